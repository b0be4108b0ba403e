"""Wires early warning: labelled windows up, the group's models down, warnings in the list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_brain.adapters.postgres.warning_reads import WarningReads
from factory_brain.adapters.postgres.warning_samples import WarningSamples
from factory_brain.adapters.postgres.warning_store import WarningStore
from factory_brain.application.ports import Transaction
from factory_brain.application.warning.alarms import WarningAlarms
from factory_brain.application.warning.judging import Judging
from factory_brain.application.warning.models import Trust, WarningModels
from factory_brain.application.warning.norms import Norms
from factory_brain.application.warning.view import WarningView
from factory_brain.application.warning.windows import Ground, WindowSender
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.warning import Plant, plants_of
from shared.postgres.audit import audit
from shared.security import load_public

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain


@dataclass(frozen=True, slots=True)
class EarlyWarning:
    """The running parts."""

    alarms: WarningAlarms
    models: WarningModels
    sender: WindowSender
    judging: Judging
    view: WarningView


async def wire(brain: Brain) -> EarlyWarning:
    """Send, take, judge from now on; returns what the routes and other brains' news call."""
    site, clock, asked = brain.site, brain.clock, brain.asked

    def plants() -> list[Plant]:
        return plants_of(site.tags, site.assets)

    rows = WarningStore(brain.pool)
    reads, samples = WarningReads(asked), WarningSamples(asked)
    ground = Ground(
        brain.settings.site, plants, lambda: site.assets, clock, rows, reads, samples, brain.uplink
    )
    norms = Norms(clock, rows, reads, samples, lambda: site.assets)
    alarms = WarningAlarms(clock, rows, audit, brain.live)
    trust = Trust(brain.settings.site, load_public(brain.settings.release_key_file), plants)
    models = WarningModels(trust, brain.bus, clock, rows, brain.uplink, audit)
    sender, judging = WindowSender(ground, norms), Judging(ground, norms, alarms)
    models.on_change.append(judging.wake)
    alarms.on_verdict = sender.wake
    brain.faults.on_change.append(sender.wake)

    async def labelled(_: Transaction, __: Occurrence, ___: str, ____: int) -> None:
        sender.wake()

    brain.outcomes.on_label.append(labelled)
    brain.desk.warnings = brain.outcomes.warnings = alarms
    await alarms.refresh()
    await models.listen()
    brain.service.run("warning-models", brain.leading(models.run))
    brain.service.run("warning-windows", brain.leading(sender.run))
    brain.service.run("warning-judging", brain.leading(judging.run))
    return EarlyWarning(alarms, models, sender, judging, WarningView(ground))
