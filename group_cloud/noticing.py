"""Wires the watch over drift and the ranking of nuisance into the cloud.

Called once by the bootstrap; the only place where their ports meet their adapters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from group_cloud.adapters.learners import NuisanceLearner, watch_drift
from group_cloud.adapters.postgres.notice_store import NoticeStore
from group_cloud.adapters.postgres.nuisance_store import NuisanceStore
from group_cloud.adapters.postgres.shelving_store import ShelvingStore
from group_cloud.application.dispatching.mail import Mail
from group_cloud.application.notices.desk import NoticeDesk
from group_cloud.application.notices.watching import DriftWatching
from group_cloud.application.nuisance.rounds import NuisanceRounds
from group_cloud.application.nuisance.shelving import ShelvingDesk
from group_cloud.application.nuisance.view import NuisanceView
from group_cloud.domain.scope import Scope
from group_cloud.web.routes_notices import NoticeParts
from shared.postgres.audit import audit

if TYPE_CHECKING:
    from group_cloud.bootstrap import Cloud


@dataclass(frozen=True, slots=True)
class Noticing:
    """What goes on by itself, and what the routes call."""

    parts: NoticeParts
    drift: DriftWatching
    rounds: NuisanceRounds


def wire(cloud: Cloud, mail: Mail) -> Noticing:
    """Make the parts; `run` starts them."""
    pool, clock, records, live = cloud.pool, cloud.clock, cloud.records, cloud.live
    rows, verdicts = NoticeStore(pool), NuisanceStore(pool)
    desk = NoticeDesk(rows, records, audit, clock)
    drift = DriftWatching(
        rows, records, audit, clock, watch_drift, cloud.factories.told_until,
        cloud.settings.statistic_days,
    )  # fmt: skip
    shelving = ShelvingDesk(ShelvingStore(pool), records, audit, mail, clock)
    rounds = NuisanceRounds(verdicts, records, NuisanceLearner(), shelving, clock, audit)

    async def notices(scope: Scope) -> bytes:
        return (await desk.listed(scope)).model_dump_json().encode()

    async def proposals(scope: Scope) -> bytes:
        return (await shelving.listed(scope)).model_dump_json().encode()

    live.show("notices", notices)
    live.show("shelving", proposals)
    desk.on_change = drift.on_change = lambda: live.touch("notices")
    shelving.on_change = rounds.on_change = lambda: live.touch("shelving")
    trained = cloud.ingest.on_outcome

    def judged() -> None:
        trained()
        rounds.wake()

    cloud.ingest.on_outcome = judged
    return Noticing(NoticeParts(desk, NuisanceView(verdicts), shelving), drift, rounds)


def run(cloud: Cloud, noticing: Noticing) -> None:
    """Start what goes on by itself."""
    cloud.service.run("drift", noticing.drift.run)
    cloud.service.run("nuisance", noticing.rounds.run)
