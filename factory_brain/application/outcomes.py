"""Labels: what people say an occurrence was, with the shadow verdicts of candidate settings.

The verdicts are computed here, where the signal is, by the alarm kernel that runs live; only they
travel to the group. An occurrence without a label teaches no limit: it only says what was done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from factory_brain.application.ingest import OnOccurrence
from factory_brain.application.ports import Alarms, Audit, Samples, Transaction
from factory_brain.application.uplink import Uplink
from factory_brain.domain.faults import response_of
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.warning_words import is_warning
from shared.alarm.definition import AlarmDefinition
from shared.alarm.point import Setting
from shared.alarm.shadow import (
    AFTER_MS,
    BEFORE_MS,
    bounds_data,
    candidates,
    setting_data,
    setting_of,
    unit_step,
    verdict,
)
from shared.clock import Clock
from shared.errors import Rejected
from shared.messages.bodies import OutcomeRecord

OnLabel = Callable[[Transaction, Occurrence, str, int], Awaitable[None]]
"""Told (transaction, occurrence as it was, actor, time) of a label, in the label's transaction."""
RunEnd = tuple[str, bool | None]
"""(playbook, whether it succeeded; None while it runs)."""


class Judges(Protocol):
    """See `warning/alarms.py`."""

    async def judge(
        self, occurrence: str, label: str, cause: str, comment: str, actor: str
    ) -> Rejected | None:
        """A person says what an early warning was."""
        ...


async def _no_run(_: Occurrence) -> RunEnd:
    """No playbooks are known here."""
    return "", None


class Outcomes:
    """Takes labels and tells the group."""

    def __init__(
        self, definitions: dict[str, AlarmDefinition], clock: Clock, alarms: Alarms,
        samples: Samples, uplink: Uplink, audit: Audit,
    ) -> None:  # fmt: skip
        self._definitions, self._clock = definitions, clock
        self._alarms, self._samples, self._uplink, self._audit = alarms, samples, uplink, audit
        self.on_occurrence: list[OnOccurrence] = []
        self.warnings: Judges | None = None
        """Takes what people say of early warnings: those stand in no journal."""
        self.on_label: list[OnLabel] = []
        self.run_of: Callable[[Occurrence], Awaitable[RunEnd]] = _no_run
        """Asked for the playbook that ran for an occurrence."""

    async def label(
        self, occurrence: str, label: str, cause: str, comment: str, actor: str
    ) -> Rejected | None:
        """Store a person's outcome and send it up with the candidates' verdicts."""
        if self.warnings is not None and is_warning(occurrence):
            return await self.warnings.judge(occurrence, label, cause, comment, actor)
        found = await self._alarms.get(occurrence)
        if found is None:
            return Rejected("unknown_occurrence", {"occurrence": occurrence})
        record = await self._record(found, label, cause, actor)
        now = self._clock.now_ms()
        async with self._alarms.transaction() as tx:
            await self._alarms.set_label(tx, occurrence, label, cause, actor, now)
            await self._audit(
                tx, now, actor, "label", occurrence,
                {"label": label, "cause": cause, "comment": comment, "before": found.label},
            )  # fmt: skip
            for told in self.on_label:
                await told(tx, found, actor, now)
            await self._uplink.say(tx, "outcome", record)
            merged = await self._alarms.refresh_open(tx, occurrence)
            newest = await self._alarms.newest(found.alarm, tx)
        # The list shows the newest of an alarm: an older one that is judged does not come back.
        if merged is not None and newest is not None and newest.occurrence == occurrence:
            for listener in self.on_occurrence:
                await listener(merged, False)
        return None

    async def unjudged(self, found: Occurrence) -> OutcomeRecord:
        """What was done about an occurrence that is over and that nobody has judged.

        It carries no verdicts: no limit may be learnt from it.
        """
        return await self._base(found, "", "", "", await self._setting(found.alarm))

    async def _record(self, found: Occurrence, label: str, cause: str, actor: str) -> OutcomeRecord:
        definition = self._definitions.get(found.alarm)
        setting = await self._setting(found.alarm)
        plain = await self._base(found, label, cause, actor, setting)
        if definition is None or setting is None or definition.side is None:
            return plain
        if definition.bounds.locked or setting.filter != "raw":
            return plain  # the minute around a raise does not tell what a filter would have seen
        tried = candidates(setting, definition.side, definition.bounds, unit_step(definition))
        end = (found.returned_at or self._clock.now_ms()) + AFTER_MS
        window = await self._samples.window(found.transition.tag, found.raised_at - BEFORE_MS, end)
        verdicts: dict[str, list[float]] = {}
        for name, candidate in tried.items():
            announced, delay = verdict(candidate, definition.side, window, found.raised_at, end)
            verdicts[name] = [float(announced), delay]
        return msgspec.structs.replace(
            plain, candidates={name: setting_data(each) for name, each in tried.items()},
            verdicts=verdicts,
        )  # fmt: skip

    async def _base(
        self, found: Occurrence, label: str, cause: str, actor: str, setting: Setting | None
    ) -> OutcomeRecord:
        definition, response = self._definitions.get(found.alarm), response_of(found, label)
        bounds: dict[str, float] = {}
        if definition is not None and setting is not None and definition.side is not None:
            bounds = bounds_data(definition.bounds, unit_step(definition))
        playbook, success = await self.run_of(found)
        return OutcomeRecord(
            site=self._uplink.node.site,
            edge=found.edge,
            alarm=found.alarm,
            occurrence=found.occurrence,
            tag_class=definition.tag_class if definition else "",
            side=definition.side or "" if definition else "",
            raised_at=found.raised_at,
            returned_at=found.returned_at,
            acked_after_s=response.acked_after_s,
            label=label,
            cause=cause,
            actor=actor,
            current=setting_data(setting) if setting else {},
            bounds=bounds,
            names=definition.name.to_dict() if definition else {},
            unit=definition.unit if definition else "",
            resolved_after_s=response.resolved_after_s,
            shelved=response.shelved,
            suppressed=response.suppressed,
            dismissed=response.dismissed,
            playbook=playbook,
            playbook_success=success,
        )

    async def _setting(self, alarm: str) -> Setting | None:
        """The setting that runs now: a directive's, else the site file's."""
        pushed = (await self._alarms.settings()).get(alarm)
        if pushed is not None:
            return setting_of(pushed[0])
        definition = self._definitions.get(alarm)
        return definition.setting if definition and definition.kind == "limit" else None
