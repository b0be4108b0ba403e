"""Wires early warning at the group: windows in, learning, decisions, models down.

Called once by the bootstrap; the only place where its ports meet their adapters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from group_cloud.adapters.postgres.history_store import HistoryStore
from group_cloud.adapters.postgres.warning_reads import WarningReads
from group_cloud.adapters.postgres.warning_store import WarningStore
from group_cloud.adapters.warning_process import WarningProcess
from group_cloud.application.total import TotalSet
from group_cloud.application.warning.desk import DeskGround, WarningDesk
from group_cloud.application.warning.intake import WindowIntake
from group_cloud.application.warning.sending import WarningSending
from group_cloud.application.warning.trainer import WarningTrainer
from group_cloud.domain.scope import Scope
from shared.messages.warning import WarningReport, WarningWindows
from shared.postgres.audit import audit

if TYPE_CHECKING:
    from group_cloud.bootstrap import Cloud


@dataclass(frozen=True, slots=True)
class EarlyWarning:
    """The running parts."""

    trainer: WarningTrainer
    desk: WarningDesk
    sending: WarningSending


def wire(cloud: Cloud, total: TotalSet, sign: Callable[[bytes], bytes]) -> EarlyWarning:
    """Make the parts; `run` starts them."""
    rows, clock, records = WarningStore(cloud.pool), cloud.clock, cloud.records
    trainer = WarningTrainer(rows, records, WarningProcess(), clock, audit)
    ground = DeskGround(
        rows, WarningReads(cloud.pool), records, audit, clock, sign, cloud.tenants.sites,
        HistoryStore(cloud.pool).four_eyes,
    )  # fmt: skip
    desk = WarningDesk(ground, trainer.enough)
    sending = WarningSending(rows, records, cloud.bus, clock, audit)
    intake = WindowIntake(rows)
    intake.on_windows = trainer.wake
    total.takers[WarningWindows] = intake.take
    total.takers[WarningReport] = sending.take

    async def shown(scope: Scope) -> bytes:
        return (await desk.listed(scope)).model_dump_json().encode()

    def touch() -> None:
        cloud.live.touch("early_warnings")

    cloud.live.show("early_warnings", shown)
    trainer.on_models = desk.on_change = sending.on_change = touch
    desk.on_signed = sending.wake
    return EarlyWarning(trainer, desk, sending)


def run(cloud: Cloud, parts: EarlyWarning) -> None:
    """Start what goes on by itself."""
    cloud.service.run("warning-trainer", parts.trainer.run)
    cloud.service.run("warning-sending", parts.sending.run)
