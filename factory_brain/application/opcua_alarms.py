"""Alarms as OPC UA conditions (Part 9): what a client is shown, and what it may say.

Fed with committed occurrences by the OPC UA server's adapter, asked by it for every call. Knows no
OPC UA library and owns no truth: what people say goes through the alarm desk.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from factory_brain.application.desk import Desk
from factory_brain.domain.desk_rules import RIGHTS, Asked
from factory_brain.domain.rows import Occurrence
from shared.alarm.definition import AlarmDefinition, Words
from shared.alarm.states import NORMAL, AlarmState
from shared.hybrid_time import HybridTime
from shared.identity.policy import User

GOOD = "Good"
RECENT = 32
"""Event ids of one alarm by which it can still be answered; older ones are unknown."""
SEVERITIES = {1: 900, 2: 700, 3: 500, 4: 300}
_REFUSALS = {
    "Bad_EventIdUnknown": "BadEventIdUnknown",
    "not_seen": "BadEventIdUnknown",
    "Bad_ConditionBranchAlreadyAcked": "BadConditionBranchAlreadyAcked",
    "Bad_ConditionBranchAlreadyConfirmed": "BadConditionBranchAlreadyConfirmed",
    "Bad_ConditionDisabled": "BadConditionDisabled",
    "Bad_MethodInvalid": "BadMethodInvalid",
    "unknown_alarm": "BadNodeIdUnknown",
    "bad_argument": "BadInvalidArgument",
}
"""The desk's codes -> names of status codes; every other refusal is BadInvalidState."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an alarm stands and what it is called; what its node is made of."""

    alarm: str
    asset: str
    name: Words
    severity: int


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


def place_of(alarm: str, definition: AlarmDefinition | None, newest: Occurrence | None) -> Place:
    """From the site's definition, else from what the alarm says of itself."""
    if definition is not None:
        severity = SEVERITIES.get(definition.priority, 500)
        return Place(alarm, definition.asset, definition.name, severity)
    if newest is None:
        return Place(alarm, "", Words(alarm, alarm), SEVERITIES[4])
    said = newest.transition
    zh, en = said.names.get("zh") or alarm, said.names.get("en") or alarm
    return Place(alarm, said.asset, Words(zh, en), SEVERITIES.get(said.priority, 500))


class AlarmBook:
    """The newest state of every alarm, and which event told which state."""

    def __init__(self, definitions: Mapping[str, AlarmDefinition]) -> None:
        self._definitions = definitions
        self._held: dict[str, Occurrence] = {}
        self._shown: dict[str, Shown] = {}
        self._recent: dict[str, OrderedDict[bytes, tuple[str, int]]] = {}

    def places(self) -> dict[str, Place]:
        """Every alarm of the site, and those beside it that are still of interest."""
        found = {each: place_of(each, self._definitions[each], None) for each in self._definitions}
        for shown in self.retained():
            found.setdefault(shown.place.alarm, shown.place)
        return found

    def of(self, alarm: str) -> Shown:
        """What is shown of an alarm now; the normal state before it ever came."""
        shown = self._shown.get(alarm)
        if shown is not None:
            return shown
        place = place_of(alarm, self._definitions.get(alarm), None)
        return Shown(place, NORMAL, place.severity, place.severity, place.name.zh)

    def held(self, alarm: str) -> Occurrence | None:
        """The occurrence that was last taken."""
        return self._held.get(alarm)

    def retained(self) -> Iterator[Shown]:
        """What a refresh tells: all that is still of interest."""
        return (each for each in list(self._shown.values()) if each.state.retained)

    def forget(self, alarm: str) -> None:
        """The alarm has left the site and is of no interest any more."""
        for kept in (self._held, self._shown, self._recent):
            kept.pop(alarm, None)

    def take(self, occurrence: Occurrence) -> Shown | None:
        """A committed change; None if it is old or changes nothing that is shown."""
        alarm, held = occurrence.alarm, self._held.get(occurrence.alarm)
        if held is not None and _older(occurrence, held):
            return None
        self._held[alarm] = occurrence
        before = self._shown.get(alarm)
        now = self._describe(occurrence, before)
        if before is not None and _said(before) == _said(now):
            return None
        if before is None and not now.state.retained:
            return None  # history of an alarm that nobody here has seen
        now = replace(now, event_id=self._event_id(now))
        self._shown[alarm] = now
        return now

    def told(self, alarm: str, event_id: bytes) -> tuple[str, int] | None:
        """Occurrence and version that an event told of."""
        return self._recent.get(alarm, OrderedDict()).get(event_id)

    def _describe(self, occurrence: Occurrence, before: Shown | None) -> Shown:
        view, said = occurrence.view, occurrence.transition
        place = place_of(occurrence.alarm, self._definitions.get(occurrence.alarm), occurrence)
        severity = SEVERITIES.get(said.priority, 500)
        spoken = max(
            (each for each in (*view.comments, view.acked_by, *view.also_acked_by) if each),
            key=lambda each: HybridTime.parse(each.hlc), default=None,
        )  # fmt: skip
        spoken_at = HybridTime.parse(spoken.hlc).ms if spoken else 0
        value = "" if said.value is None else f" {said.value:g}{said.unit}"
        limit = "" if said.limit is None else f"(限值 {said.limit:g}{said.unit})"
        last = before.severity if before and before.severity != severity else None
        return Shown(
            place, view.state, severity,
            last or (before.last_severity if before else severity),
            f"{place.name.zh}{value}{limit}", occurrence.occurrence, view.version,
            at=max(said.source_time, spoken_at), received_at=occurrence.received_at,
            comment=spoken.text if spoken else "", comment_at=spoken_at,
            by=spoken.actor if spoken else "",
        )  # fmt: skip

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


def _older(occurrence: Occurrence, held: Occurrence) -> bool:
    if occurrence.occurrence != held.occurrence:
        return held.raised_at > occurrence.raised_at
    return held.order_key > occurrence.order_key


def _said(shown: Shown) -> tuple[object, ...]:
    """What makes one event differ from the next."""
    return (
        shown.occurrence, shown.version, shown.state, shown.severity, shown.message,
        shown.comment, shown.comment_at, shown.by,
    )  # fmt: skip


class Spoken:
    """What clients say about conditions, taken to the desk with their own rights."""

    def __init__(self, book: AlarmBook, desk: Desk) -> None:
        self._book, self._desk = book, desk

    async def act(
        self, user: User | None, alarm: str, event_id: bytes, action: str, text: str
    ) -> str:
        """Take one action (`acknowledge`, `confirm`, `comment`); the name of a status code."""
        if user is None or not user.may(RIGHTS[action], await self._desk.asset(alarm)):
            return "BadUserAccessDenied"
        if not self._book.of(alarm).state.enabled:
            return "BadConditionDisabled"
        told = self._book.told(alarm, event_id)
        if told is None:
            return "BadEventIdUnknown"
        args = {"text" if action == "comment" else "comment": text} if text else {}
        asked = Asked(alarm, told[0], told[1], action, args)
        refusal = await self._desk.act(asked, user.name)
        return GOOD if refusal is None else _REFUSALS.get(refusal.code, "BadInvalidState")
