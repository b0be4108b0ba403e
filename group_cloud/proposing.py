"""Wires what finds, explains and takes proposals into the cloud, beside the learning from labels.

Called once by the bootstrap; the only place where these ports meet their adapters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from group_cloud.adapters.learning_process import LearningProcess
from group_cloud.adapters.postgres.history_store import HistoryStore
from group_cloud.adapters.postgres.limit_store import LimitStore
from group_cloud.adapters.postgres.rollout_store import ModelStore
from group_cloud.adapters.postgres.try_store import TryStore
from group_cloud.application.histories import Histories
from group_cloud.application.limit_trainer import LimitTrainer, Wanted
from group_cloud.application.own_proposals import OwnProposals, OwnStores
from group_cloud.application.proposal_keeping import KeptIn, ProposalKeeper
from group_cloud.application.rollouts import Stores
from group_cloud.application.total import TotalSet
from group_cloud.application.trying import Trying
from group_cloud.domain.evidence import Point
from shared.messages.bodies import TrialAnswer
from shared.postgres.audit import audit

if TYPE_CHECKING:
    from group_cloud.bootstrap import Cloud


@dataclass(frozen=True, slots=True)
class Proposing:
    """What finds and explains proposals."""

    limits: LimitTrainer
    own: OwnProposals
    histories: Histories
    store: LimitStore
    wanted: Wanted
    trying: Trying

    async def counted(self, point: Point) -> bool:
        """Whether a point's shadow counts speak for it."""
        return await self.store.counted(point, self.wanted)


def wire(
    cloud: Cloud, stores: Stores, total: TotalSet, sign: Callable[[bytes], bytes]
) -> Proposing:
    """Make the parts; `run` starts them."""
    settings, clock = cloud.settings, cloud.clock
    kept = KeptIn(stores.proposals, stores.rollouts, ModelStore(), audit)
    keeper, store = ProposalKeeper(kept, clock), LimitStore(cloud.pool)
    wanted = Wanted(settings.limit_min_days, settings.limit_min_faults)
    limits = LimitTrainer(
        store, cloud.records, keeper, LearningProcess(), clock, wanted,
        settings.limit_search_every_s,
    )  # fmt: skip
    own = OwnProposals(
        OwnStores(store, cloud.records, stores.proposals, stores.rollouts), keeper, clock
    )
    rows = HistoryStore(cloud.pool)
    histories = Histories(rows, cloud.bus, clock, sign, cloud.tenants.sites)
    tries = TryStore(cloud.pool)
    histories.tries = tries
    trying = Trying(tries, store, clock, cloud.tenants.sites)
    trying.on_asked = histories.wake
    cloud.rollouts.four_eyes = rows.four_eyes
    total.takers[TrialAnswer] = histories.take

    def changed() -> None:
        cloud.live.touch_proposals()
        histories.wake()
        cloud.nominator.wake()

    limits.on_proposals = own.on_proposals = cloud.trainer.on_proposals = changed
    return Proposing(limits, own, histories, store, wanted, trying)


def run(cloud: Cloud, parts: Proposing) -> None:
    """Start what goes on by itself."""
    cloud.service.run("limits", parts.limits.run)
    cloud.service.run("histories", parts.histories.run)
