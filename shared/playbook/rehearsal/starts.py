"""What starts runs in a rehearsal: triggers with `where` and `for`, and the overlap of one key.

Told of what happens by `play.py`; a held alarm's remaining time and what a throttle has gathered
survive a kill, as the real do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.expression import StaticEnvironment, Unknown, compile_expression
from shared.playbook.journal import ROOTS
from shared.playbook.model import Playbook, Trigger
from shared.playbook.rehearsal.document import Event
from shared.playbook.throttle import Window, take

TRANSITIONS = {
    "raise": "raised", "ack": "acknowledged", "clear": "cleared", "shelve": "shelved",
    "escalate": "escalated",
}  # fmt: skip
STATES = {
    "clear": "cleared", "ack": "acknowledged", "shelve": "shelved", "suppress": "suppressed"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Firing:
    """A trigger has fired: a run is wanted."""

    trigger: str
    name: str
    """The alarm or event as the test calls it."""
    alarm: Mapping[str, Any]
    by: str
    key: str
    due: int
    id: str = ""
    at: int = 0
    count: int = 1
    """How many were gathered in it."""


@dataclass(slots=True)
class Starts:
    """The triggers of one playbook."""

    book: Playbook
    inputs: Mapping[str, Any]
    given: Mapping[str, Any]
    """The alarm as the test gives it."""
    held: list[Firing] = field(default_factory=list)
    raised: int = 0
    fired: int = 0
    windows: dict[tuple[str, str], Window[Firing]] = field(default_factory=dict)
    """What is gathered: of a trigger, for one value of its throttle's `by`."""
    throttled: int = 0
    """How many got no firing of their own."""

    def happened(self, event: Event, now: int) -> list[str]:
        """Take an event in; the triggers that it fires (later, if they wait)."""
        kind, name = event.kind, str(getattr(event, "raise_" if event.raise_ else event.kind))
        if kind in ("clear", "shelve", "suppress"):  # it did not stand for long enough
            self.held = [f for f in self.held if f.name != name or f.due <= now]
        if kind == "raise":
            self.raised += 1
        found: list[str] = []
        for trigger in self.book.triggers:
            if not _fits(trigger, kind, name):
                continue
            alarm = self._alarm(kind, name, event, now)
            if trigger.where is not None and self._seen(trigger.where, alarm) is not True:
                continue
            by = event.by.removeprefix("user:") if trigger.manual else _by(trigger)
            found.append(trigger.id)
            key = self._seen(self.book.concurrency.key, alarm)
            shown = "" if key is None or isinstance(key, Unknown) else str(key)
            self.fired += 1
            self.held.append(
                Firing(trigger.id, name, alarm, by, shown, now + trigger.hold, str(self.fired), now)
            )  # fmt: skip
        return found

    def due(self, now: int) -> list[Firing]:
        """What fires now."""
        found: list[Firing] = []
        for place, window in list(self.windows.items()):
            if window.due is not None and window.due <= now and window.firing is not None:
                del self.windows[place]
                found.append(window.firing)
        ready = [firing for firing in self.held if firing.due <= now]
        self.held = [firing for firing in self.held if firing.due > now]
        for firing in ready:
            found += self._let_through(firing)
        return found

    def _let_through(self, firing: Firing) -> tuple[Firing, ...]:
        """What a trigger's throttle makes of one more firing."""
        throttle = next(t.throttle for t in self.book.triggers if t.id == firing.trigger)
        if throttle is None:
            return (firing,)
        by = self._seen(throttle.by, firing.alarm)
        place = (firing.trigger, "" if isinstance(by, Unknown) else str(by))
        taken = take(throttle, self.windows.get(place), firing)
        self.throttled += taken.swallowed
        self.windows.pop(place, None)
        if taken.window is not None:
            self.windows[place] = taken.window
        return taken.fires

    def next_at(self) -> int | None:
        """When something fires by itself."""
        windows = (one.due for one in self.windows.values() if one.due is not None)
        return min((*(firing.due for firing in self.held), *windows), default=None)

    def alarm_of(self, event: Event, now: int) -> dict[str, Any]:
        """The alarm of an event as expressions see it."""
        name = str(getattr(event, "raise_" if event.raise_ else event.kind))
        return self._alarm(event.kind, name, event, now)

    def _alarm(self, kind: str, name: str, event: Event, now: int) -> dict[str, Any]:
        given = {**self.given, **event.alarm}
        if kind in ("event", "incident", "start"):
            known = {"id": name, "event": f"event-{now}", "asset": "", "value": None, "unit": "",
                     "priority": None, "raised_at": now, "data": {}}  # fmt: skip
            return {**known, **given}
        return {
            "id": name, "occurrence": f"occurrence-{self.raised}", "asset": "", "tag": "",
            "value": None, "limit": None, "unit": "", "quality": "good", "priority": 1,
            "raised_at": now, "transition": TRANSITIONS.get(kind, kind), **given,
        }  # fmt: skip

    def _seen(self, text: str, alarm: Mapping[str, Any]) -> object:
        env = StaticEnvironment({"alarm": alarm, "inputs": self.inputs})
        return compile_expression(text, roots=ROOTS).evaluate(env)


def _fits(trigger: Trigger, kind: str, name: str) -> bool:
    if kind == "event":
        return trigger.event == name
    if kind == "incident":
        return trigger.incident == name
    if kind == "start":
        return trigger.id == name
    return trigger.alarm == name and trigger.transition == TRANSITIONS.get(kind)


def _by(trigger: Trigger) -> str:
    kinds = ("alarm", "incident", "event", "cron")
    return next((kind for kind in kinds if getattr(trigger, kind) is not None), "alarm")
