"""Alarms as OPC UA conditions (Part 9): what a tier tells of them, and which event told what.

Filled by each tier (`Tier`), kept and asked by the server. Knows no OPC UA library and owns no
truth: what people say goes back to the tier.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from shared.alarm.definition import AlarmDefinition, Words
from shared.alarm.states import NORMAL, AlarmState

GOOD = "Good"
RECENT = 32
"""Event ids of one alarm by which it can still be answered; older ones are unknown."""
SEVERITIES = {1: 900, 2: 700, 3: 500, 4: 300}
REFUSALS = {
    "Bad_EventIdUnknown": "BadEventIdUnknown",
    "not_seen": "BadEventIdUnknown",
    "Bad_ConditionBranchAlreadyAcked": "BadConditionBranchAlreadyAcked",
    "Bad_ConditionBranchAlreadyConfirmed": "BadConditionBranchAlreadyConfirmed",
    "Bad_ConditionDisabled": "BadConditionDisabled",
    "Bad_ConditionAlreadyShelved": "BadConditionAlreadyShelved",
    "Bad_ConditionNotShelved": "BadConditionNotShelved",
    "Bad_ShelvingTimeOutOfRange": "BadShelvingTimeOutOfRange",
    "Bad_MethodInvalid": "BadMethodInvalid",
    "unknown_alarm": "BadNodeIdUnknown",
    "bad_argument": "BadInvalidArgument",
    "engine_did_not_answer": "BadTimeout",
}
"""A tier's codes -> names of status codes; every other refusal is BadInvalidState."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an alarm stands and what it is called; what its node is made of."""

    alarm: str
    asset: str
    name: Words
    severity: int
    max_shelve_ms: int = 0
    """0: it says of no limit."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One state of one alarm, as an event tells it."""

    place: Place
    state: AlarmState
    severity: int
    last_severity: int
    message: str
    occurrence: str = ""
    version: int = 0
    event_id: bytes = b""
    at: int = 0
    received_at: int = 0
    comment: str = ""
    comment_at: int = 0
    by: str = ""
    """Who spoke last."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What a session was let in with; all empty: anonymous."""

    session: str = ""
    bearer: str = ""
    name: str = ""
    """The account's."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a client says about one state of an alarm."""

    alarm: str
    occurrence: str
    version: int
    action: str
    """acknowledge, confirm, comment, shelve or unshelve."""
    args: dict[str, Any] = field(default_factory=dict)


class Tier(Protocol):
    """The tier's own alarms. A report is whatever it says of one; the server looks not into it."""

    def places(self) -> dict[str, Place]:
        """Every alarm of the site's files that is served here."""
        ...

    def path(self, asset: str) -> tuple[str, ...]:
        """Root .. asset; the root alone for no asset."""
        ...

    def asset_name(self, asset: str) -> str:
        """What people call an asset; "" if nobody has said."""
        ...

    def shown(self) -> dict[str, Any]:
        """Alarm -> report, of all that are not at rest."""
        ...

    async def newest(self, alarm: str) -> Any | None:
        """The report of one that is shown no more; None if it cannot be had now."""
        ...

    def describe(self, report: Any) -> Shown:
        """What a report tells."""
        ...

    def older(self, report: Any, held: Any) -> bool:
        """Whether one report of an alarm is of before another."""
        ...

    async def actor(self, shown: Pass, alarm: str, action: str) -> str:
        """Who that is, if it may do this now; "" if not."""
        ...

    async def act(self, actor: str, said: Said) -> str:
        """Do it; the code of a refusal, or ""."""
        ...


def place_of(alarm: str, definition: AlarmDefinition) -> Place:
    """From the site's definition."""
    severity = SEVERITIES.get(definition.priority, 500)
    most = definition.policy.max_shelve_ms
    return Place(alarm, definition.asset, definition.name, severity, most)


def message_of(place: Place, value: float | None, limit: float | None, unit: str) -> str:
    """What an event says to people."""
    measured = "" if value is None else f" {value:g}{unit}"
    beyond = "" if limit is None else f"(限值 {limit:g}{unit})"
    return f"{place.name.zh}{measured}{beyond}"


class AlarmBook:
    """The newest state of every alarm, and which event told which state."""

    def __init__(self, tier: Tier) -> None:
        self._tier = tier
        self._held: dict[str, Any] = {}
        self._shown: dict[str, Shown] = {}
        self._recent: dict[str, OrderedDict[bytes, tuple[str, int]]] = {}

    def places(self) -> dict[str, Place]:
        """Every alarm of the site, and those beside it that are still of interest."""
        found = dict(self._tier.places())
        for shown in self.retained():
            found.setdefault(shown.place.alarm, shown.place)
        return found

    def of(self, alarm: str) -> Shown:
        """What is shown of an alarm now; the normal state before it ever came."""
        shown = self._shown.get(alarm)
        if shown is not None:
            return shown
        place = self._tier.places().get(alarm) or Place(alarm, "", Words(alarm, alarm), 300)
        return Shown(place, NORMAL, place.severity, place.severity, place.name.zh)

    def held(self, alarm: str) -> Any | None:
        """The report that was last taken."""
        return self._held.get(alarm)

    def retained(self) -> Iterator[Shown]:
        """What a refresh tells: all that is still of interest, each as it is when it is told."""
        for alarm in list(self._shown):
            shown = self._shown.get(alarm)
            if shown is not None and shown.state.retained:
                yield shown

    def forget(self, alarm: str) -> None:
        """The alarm has left the site and is of no interest any more."""
        for kept in (self._held, self._shown, self._recent):
            kept.pop(alarm, None)

    def take(self, alarm: str, report: Any) -> Shown | None:
        """A committed change; None if it is old or changes nothing that is shown."""
        held = self._held.get(alarm)
        if held is not None and self._tier.older(report, held):
            return None
        self._held[alarm] = report
        before, now = self._shown.get(alarm), self._tier.describe(report)
        if before is not None:
            last = before.severity if before.severity != now.severity else before.last_severity
            now = replace(now, last_severity=last)
            if _said(before) == _said(now):
                return None
        elif not now.state.retained and not now.state.hidden:
            return None  # history of an alarm that nobody here has seen
        now = replace(now, event_id=self._event_id(now))
        self._shown[alarm] = now
        return now

    def told(self, alarm: str, event_id: bytes) -> tuple[str, int] | None:
        """Occurrence and version that an event told of."""
        return self._recent.get(alarm, OrderedDict()).get(event_id)

    def _event_id(self, shown: Shown) -> bytes:
        """The same for the same state, at every brain and after a restart; never given twice."""
        recent = self._recent.setdefault(shown.place.alarm, OrderedDict())
        text = repr((shown.place.alarm, shown.occurrence, shown.version, _said(shown)))
        found = hashlib.sha256(text.encode()).digest()[:16]
        while found in recent:
            found = hashlib.sha256(found).digest()[:16]
        recent[found] = (shown.occurrence, shown.version)
        while len(recent) > RECENT:
            recent.popitem(last=False)
        return found


def _said(shown: Shown) -> tuple[object, ...]:
    """What makes one event differ from the next."""
    return (
        shown.occurrence, shown.version, shown.state, shown.severity, shown.message,
        shown.comment, shown.comment_at, shown.by,
    )  # fmt: skip
