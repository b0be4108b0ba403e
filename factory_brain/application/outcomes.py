"""Labels: what people say an occurrence was, with the shadow verdicts of candidate settings.

The verdicts are computed here, where the signal is, by the alarm kernel that runs live; only they
travel to the group. An occurrence without a label teaches nobody.
"""

from __future__ import annotations

from factory_brain.application.ingest import OnOccurrence
from factory_brain.application.ports import Alarms, Audit, Samples
from factory_brain.application.uplink import Uplink
from factory_brain.domain.rows import Occurrence
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
from shared.clock import Clock, HybridTime
from shared.errors import Rejected
from shared.messages.bodies import OutcomeRecord


class Outcomes:
    """Takes labels and tells the group."""

    def __init__(
        self, definitions: dict[str, AlarmDefinition], clock: Clock, alarms: Alarms,
        samples: Samples, uplink: Uplink, audit: Audit,
    ) -> None:  # fmt: skip
        self._definitions, self._clock = definitions, clock
        self._alarms, self._samples, self._uplink, self._audit = alarms, samples, uplink, audit
        self.on_occurrence: list[OnOccurrence] = []

    async def label(
        self, occurrence: str, label: str, cause: str, comment: str, actor: str
    ) -> Rejected | None:
        """Store a person's outcome and send it up with the candidates' verdicts."""
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
            await self._uplink.say(tx, "outcome", record)
            merged = await self._alarms.refresh_open(tx, occurrence)
        if merged is not None:
            for listener in self.on_occurrence:
                await listener(merged, False)
        return None

    async def _record(self, found: Occurrence, label: str, cause: str, actor: str) -> OutcomeRecord:
        definition = self._definitions.get(found.alarm)
        setting = await self._setting(found.alarm)
        tried: dict[str, Setting] = {}
        verdicts: dict[str, list[float]] = {}
        bounds: dict[str, float] = {}
        if definition is not None and setting is not None and definition.side is not None:
            bounds = bounds_data(definition.bounds, unit_step(definition))
            if not definition.bounds.locked:
                tried = candidates(
                    setting, definition.side, definition.bounds, unit_step(definition)
                )
            end = (found.returned_at or self._clock.now_ms()) + AFTER_MS
            window = await self._samples.window(
                found.transition.tag, found.raised_at - BEFORE_MS, end
            )
            for name, candidate in tried.items():
                announced, delay = verdict(candidate, definition.side, window, found.raised_at, end)
                verdicts[name] = [float(announced), delay]
        acked = found.view.acked_by
        acked_after = None
        if acked is not None:
            acked_after = (HybridTime.parse(acked.hlc).ms - found.raised_at) / 1000
        return OutcomeRecord(
            site=self._uplink.node.site,
            edge=found.edge,
            alarm=found.alarm,
            occurrence=found.occurrence,
            tag_class=definition.tag_class if definition else "",
            side=definition.side or "" if definition else "",
            raised_at=found.raised_at,
            returned_at=found.returned_at,
            acked_after_s=acked_after,
            label=label,
            cause=cause,
            actor=actor,
            current=setting_data(setting) if setting else {},
            bounds=bounds,
            candidates={name: setting_data(each) for name, each in tried.items()},
            verdicts=verdicts,
            names=definition.name.to_dict() if definition else {},
            unit=definition.unit if definition else "",
        )

    async def _setting(self, alarm: str) -> Setting | None:
        """The setting that runs now: a directive's, else the site file's."""
        pushed = (await self._alarms.settings()).get(alarm)
        if pushed is not None:
            return setting_of(pushed[0])
        definition = self._definitions.get(alarm)
        return definition.setting if definition and definition.kind == "limit" else None
