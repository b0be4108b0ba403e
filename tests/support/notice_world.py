"""Drift notices, the ranking of nuisance and shelving proposals over a store, without a bus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import asyncpg

from group_cloud.adapters.learners import NuisanceLearner, watch_drift
from group_cloud.adapters.postgres.mail_store import MailStore
from group_cloud.adapters.postgres.notice_store import NoticeStore
from group_cloud.adapters.postgres.nuisance_store import NuisanceStore
from group_cloud.adapters.postgres.record_store import RecordStore
from group_cloud.adapters.postgres.shelving_store import ShelvingStore
from group_cloud.application.dispatching.mail import Mail
from group_cloud.application.notices.desk import NoticeDesk
from group_cloud.application.notices.watching import DriftWatching
from group_cloud.application.nuisance.rounds import NuisanceRounds
from group_cloud.application.nuisance.shelving import ShelvingDesk
from group_cloud.application.nuisance.view import NuisanceView
from group_cloud.web.routes_notices import NoticeParts
from shared.clock import Clock
from shared.postgres.audit import audit


@dataclass
class Noticing:
    """One process of the group: what it holds in memory is gone with it."""

    drift: DriftWatching
    rounds: NuisanceRounds
    parts: NoticeParts


def noticing_on(
    pool: asyncpg.Pool, clock: Clock, told_until: Callable[[str], int | None] = lambda _: None
) -> Noticing:
    records = RecordStore(pool)
    notices, verdicts = NoticeStore(pool), NuisanceStore(pool)
    mail = Mail(MailStore(pool), records, audit, cast(Any, None), clock, lambda _: b"")
    shelving = ShelvingDesk(ShelvingStore(pool), records, audit, mail, clock)
    return Noticing(
        DriftWatching(notices, records, audit, clock, watch_drift, told_until),
        NuisanceRounds(verdicts, records, NuisanceLearner(), shelving, clock, audit),
        NoticeParts(
            NoticeDesk(notices, records, audit, clock), NuisanceView(verdicts), shelving
        ),
    )  # fmt: skip
