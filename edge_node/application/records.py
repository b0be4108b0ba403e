"""What the edge keeps: alarm records, the command journal, and the rows of one change.

Written by the engine through the journal, read once at start; stored forms, no rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import msgspec

from edge_node.domain.alarm_unit import AlarmUnit, Note, Transition
from edge_node.domain.site_change import condition_mark
from shared.alarm.filters import FILTERS
from shared.alarm.point import PointState, Setting
from shared.alarm.states import AlarmState
from shared.messages.bodies import AlarmTransition, Body, Fact
from shared.messages.envelope import Event


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored form; a new field needs a default."""


class AlarmRecord(Stored, frozen=True):
    """One alarm as it was at its last transition."""

    alarm: str
    state: dict[str, Any]
    occurrence: str
    version: int
    annunciated_version: int
    annunciated_at: int = 0
    raised_at: int = 0
    returned_at: int = 0
    value: float | None = None
    quality: str = "good"
    setting: list[float] = []
    settings_version: int = 1
    local_action: str | None = None
    by_operator: bool = False
    causes: list[str] = []
    notes: dict[str, Note] = {}
    first_out: bool = False
    mark: str = ""
    """What its condition was (`site_change.condition_mark`)."""
    re_alarm_at: int = 0
    """When it was to be announced again, in steady time; 0: never."""

    @classmethod
    def of(cls, unit: AlarmUnit) -> AlarmRecord:
        """The unit's present state."""
        return cls._as_told(unit, unit, unit.state.to_dict())

    @classmethod
    def of_transition(cls, transition: Transition) -> AlarmRecord:
        """The unit as it was right after one transition."""
        return cls._as_told(transition.unit, transition.body, transition.body.state)

    @classmethod
    def _as_told(
        cls, unit: AlarmUnit, told: AlarmUnit | AlarmTransition, state: dict[str, Any]
    ) -> AlarmRecord:
        definition = unit.definition
        return cls(
            alarm=definition.id,
            state=state,
            occurrence=told.occurrence,
            version=told.version,
            annunciated_version=told.annunciated_version,
            annunciated_at=unit.annunciated_at,
            raised_at=told.raised_at,
            returned_at=told.returned_at,
            value=told.value,
            quality=told.quality,
            setting=setting_row(definition.setting),
            settings_version=definition.settings_version,
            local_action=unit.local_action,
            by_operator=unit.by_operator,
            causes=list(unit.causes),
            notes=dict(unit.notes),
            first_out=told.first_out,
            mark=_mark(unit),
            re_alarm_at=unit.re_alarm_at if unit.state.active else 0,
        )

    @property
    def closed(self) -> bool:
        """Whether its occurrence has come to rest."""
        return _closed(*map(self.state.get, _REST))

    @property
    def at_rest(self) -> bool:
        """Whether it is closed, and nothing that people did keeps it from being heard."""
        state = AlarmState.from_dict(self.state)
        hidden = state.shelf != "U" or state.out_of_service or self.by_operator
        return self.closed and not (self.occurrence and (hidden or not state.enabled))

    @classmethod
    def rested(cls, record: AlarmRecord) -> AlarmRecord:
        """What is remembered of an alarm that is no more: its occurrence, and no state."""
        return cls(
            alarm=record.alarm, state=AlarmState().to_dict(), occurrence=record.occurrence,
            version=record.version, annunciated_version=record.annunciated_version,
        )  # fmt: skip

    def restore(self, unit: AlarmUnit) -> bool:
        """Put the unit back where it was; a standing alarm keeps the setting that raised it.

        False when its condition has become another one meanwhile: what stood does so no more.
        """
        unit.state = _sound(AlarmState.from_dict(self.state))
        unit.point = PointState(beyond=unit.state.raw, since=0, raw=unit.state.raw)
        unit.occurrence, unit.version = self.occurrence, self.version
        unit.annunciated_version = self.annunciated_version
        unit.annunciated_at, unit.re_alarm_at = self.annunciated_at, self.re_alarm_at
        unit.raised_at, unit.value, unit.quality = self.raised_at, self.value, self.quality
        unit.returned_at = self.returned_at
        unit.local_action = self.local_action
        unit.by_operator, unit.first_out = self.by_operator, self.first_out
        unit.notes = dict(self.notes)
        unit.in_view = unit.state.enabled and unit.state.active and not unit.state.hidden
        if self.mark and self.mark != _mark(unit):
            return False
        tuned = unit.definition
        if unit.state.active and self.setting and setting_row(tuned.setting) != self.setting:
            unit.pending = (tuned.setting, tuned.settings_version)
            unit.definition = tuned.with_setting(setting_of(self.setting), self.settings_version)
        return True


def _mark(unit: AlarmUnit) -> str:
    if not unit.mark:
        unit.mark = condition_mark(unit.definition)
    return unit.mark


_REST = ("enabled", "raw", "active", "acked", "confirmed", "latched")
"""The regions that say whether an occurrence has come to rest."""


@lru_cache(maxsize=64)
def _closed(*regions: bool | None) -> bool:
    known = {name: value for name, value in zip(_REST, regions, strict=True) if value is not None}
    return not AlarmState.from_dict(known).retained


def _sound(state: AlarmState) -> AlarmState:
    """Part 9 5.8.17.1: a shelving state that cannot be determined is Unshelved."""
    if state.shelf in ("T", "O") and state.shelved_until is not None:
        return state
    return replace(state, shelf="U", shelved_until=None)


def setting_row(setting: Setting) -> list[float]:
    """A setting as stored."""
    row = [setting.limit, setting.deadband, setting.on_delay_ms, setting.off_delay_ms]
    return row if setting.filter == "raw" else [*row, FILTERS.index(setting.filter)]


def setting_of(row: list[float]) -> Setting:
    """A stored setting."""
    filter = FILTERS[int(row[4])] if row[4:] else "raw"
    return Setting(row[0], row[1], int(row[2]), int(row[3]), filter)


class CommandEntry(Stored, frozen=True):
    """The journal of one actuation: intent first, then its result."""

    id: str
    device: str
    operation: str
    args: dict[str, Any]
    origin: str
    """reflex, command or beacon."""
    at: int
    boot: str = ""
    alarm: str = ""
    occurrence: str = ""
    reflex: str = ""
    outcome: str = ""
    """Empty while only the intent is known."""
    reason: str = ""
    params: dict[str, Any] = {}
    before: Any = None
    readback: Any = None


# Rows of one change: all rows of a change are committed together or not at all.


@dataclass(frozen=True, slots=True)
class PutAlarm:
    """An alarm's state, and its occurrence's record."""

    record: AlarmRecord


@dataclass(frozen=True, slots=True)
class Emit:
    """An event for the upper tier."""

    event: Event
    lane: str | None = None
    """None: live or replay, as the link is when it is written."""


@dataclass(frozen=True, slots=True)
class PutCommand:
    """The journal entry of one actuation."""

    entry: CommandEntry


@dataclass(frozen=True, slots=True)
class PutFence:
    """The newest fence of a device under the present epoch."""

    device: str
    fence: int


@dataclass(frozen=True, slots=True)
class PutFact:
    """An operator's fact and what became of it."""

    fact: Fact
    result: str


@dataclass(frozen=True, slots=True)
class PutMark:
    """The watermark of facts received from above."""

    source: str
    epoch: str
    lane: str
    seq: int


@dataclass(frozen=True, slots=True)
class PutMeta:
    """A named value (directive, counter, settings)."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class PutGap:
    """Events that memory could not hold until the disk took them: their positions stay empty."""

    count: int
    lane: str | None = None


Row = PutAlarm | Emit | PutGap | PutCommand | PutFence | PutFact | PutMark | PutMeta
Change = list[Row]


@dataclass(slots=True)
class Snapshot:
    """All that is recovered at start."""

    alarms: dict[str, AlarmRecord] = field(default_factory=dict)
    closed: dict[str, AlarmRecord] = field(default_factory=dict)
    """Newest closed occurrences, by occurrence."""
    commands: dict[str, CommandEntry] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    """Fact id -> result."""
    marks: dict[tuple[str, str, str], int] = field(default_factory=dict)
    meta: dict[str, bytes] = field(default_factory=dict)
    last_hlc: str = ""


def event(new_id: str, kind: str, time: int, body: Body, trace: str = "") -> Event:
    """An event of this edge; `trace` is its W3C trace context, if it is traced."""
    return Event(id=new_id, type=kind, time=time, body=body, trace=trace)
