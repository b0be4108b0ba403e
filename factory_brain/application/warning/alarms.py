"""Early warnings as rows of the operators' list, of a class of their own; people judge them.

They go through the live view like the product's own conditions and never into the plant's journal:
no figure of the plant's alarms counts them, nothing sounds for them, no playbook starts. A verdict
is a label for the windows of the warning. Raised and ended by `judging.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from factory_brain.application.live_view import LiveView
from factory_brain.application.ports import Audit
from factory_brain.application.warning.ports import EarlyWarning, Rows
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.warning_words import PRIORITY, name_of
from shared.alarm.states import AlarmState
from shared.clock import Clock, HybridTime
from shared.errors import Rejected
from shared.messages.bodies import AlarmTransition, Fact

SHOWN_MS = 24 * 3_600_000
"""One that is over and that nobody has acknowledged stays in the list for so long."""
NODE = "brain"
LABELS = ("true", "nuisance", "drill")


class WarningAlarms:
    """The list's rows of early warning."""

    def __init__(self, clock: Clock, rows: Rows, audit: Audit, live: LiveView) -> None:
        self._clock, self._rows, self._audit, self._live = clock, rows, audit, live
        self._shown: dict[str, EarlyWarning] = {}
        self._busy = asyncio.Lock()
        self.on_verdict: Callable[[], None] = lambda: None

    async def refresh(self) -> None:
        """Bring the list to what is stored."""
        async with self._busy:
            found: dict[str, EarlyWarning] = {}
            # The oldest first: of one alarm the newest is shown.
            for each in await self._rows.shown(self._clock.now_ms() - SHOWN_MS):
                if each.returned_at is None or each.acked_at is None:
                    found[each.alarm] = each
            for alarm, before in self._shown.items():
                if alarm not in found:
                    await self._live.on_occurrence(_occurrence(before, gone=True), True)
            for alarm, each in found.items():
                if self._shown.get(alarm) != each:
                    await self._live.on_occurrence(_occurrence(each), True)
            self._shown = found

    async def changed(self, _: str = "") -> None:
        """Another brain has written."""
        await self.refresh()

    def line(self, name: str) -> str:
        """The asset of an alarm or of an occurrence, for the rights."""
        alarm = name.partition("#")[0]
        found = self._shown.get(alarm)
        return found.line if found is not None else alarm.partition(".")[2]

    async def acknowledge(
        self, alarm: str, occurrence: str, actor: str, comment: str
    ) -> Rejected | None:
        """Acknowledge the warning that was on the screen."""
        now = self._clock.now_ms()
        async with self._rows.transaction() as tx:
            held = await self._rows.get(tx, occurrence)
            if held is None or held.alarm != alarm:
                return Rejected("Bad_EventIdUnknown", {"alarm": alarm})
            if held.acked_at is not None:
                code = "Bad_ConditionBranchAlreadyAcked"
                return Rejected(code, {"alarm": alarm, "by": held.acked_by or ""})
            acked = replace(held, acked_by=actor, acked_at=now, changed=now)
            await self._audit(
                tx, now, actor, "acknowledge_early_warning", occurrence, {"comment": comment}
            )
            await self._rows.put(tx, acked)
        await self.refresh()
        return None

    async def judge(
        self, occurrence: str, label: str, cause: str, comment: str, actor: str
    ) -> Rejected | None:
        """A person says what it was; the last word holds."""
        if label not in LABELS:
            return Rejected("unknown_label", {"label": label})
        now = self._clock.now_ms()
        async with self._rows.transaction() as tx:
            held = await self._rows.get(tx, occurrence)
            if held is None:
                return Rejected("unknown_occurrence", {"occurrence": occurrence})
            said = replace(held, label=label, label_by=actor, label_at=now, changed=now)
            await self._audit(
                tx, now, actor, "label_early_warning", occurrence,
                {"label": label, "cause": cause, "comment": comment, "before": held.label},
            )  # fmt: skip
            await self._rows.put(tx, said)
        self.on_verdict()
        await self.refresh()
        return None


def _occurrence(each: EarlyWarning, *, gone: bool = False) -> Occurrence:
    """As the live view knows occurrences: a low row that no horn is for."""
    active = each.returned_at is None and not gone
    facts: tuple[Fact, ...] = ()
    if each.acked_at is not None:
        facts = (
            Fact(
                id=f"{each.occurrence}/ack", alarm=each.alarm, occurrence=each.occurrence,
                version_seen=2, action="acknowledge", actor=each.acked_by or "", place="factory",
                hlc=str(HybridTime(each.acked_at)),
            ),
        )  # fmt: skip
    name = name_of(each.line, each.confidence, each.tags, each.outside, each.many)
    transition = AlarmTransition(
        alarm=each.alarm, occurrence=each.occurrence, version=1 if active else 2,
        annunciated_version=1, kind="raised" if active else "returned", annunciate=False,
        state=AlarmState(raw=active, active=active, acked=gone).to_dict(), settings_version=0,
        priority=PRIORITY, asset=each.line, tag="", value=round(100 * each.confidence, 1),
        limit=round(100 * each.threshold, 1), unit="%", source_time=each.raised_at,
        receive_time=each.raised_at, raised_at=each.raised_at, names={"zh": name.zh, "en": name.en},
    )  # fmt: skip
    order = f"{each.raised_at:020d}/{not active:d}/{each.changed:020d}/{gone:d}"
    return Occurrence(
        each.occurrence, each.alarm, NODE, transition, order, each.raised_at, each.returned_at,
        each.raised_at, False, facts, label=each.label or None,
    )  # fmt: skip
