"""What a playbook's triggers would have made of a period of the past. Pure.

Fed with events in the order of their times; decides with the very functions that decide today
(`domain/triggers`, `shared/playbook/overlap`), and starts nothing. How long a run would have lasted
nobody knows: a firing that really ran takes its real time, any other an assumed one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count
from typing import Any

from factory_brain.application.playbooks.starting import key_of
from factory_brain.domain.triggers import occasions
from factory_brain.domain.triggers.firing import Firing, firing_id
from factory_brain.domain.triggers.index import Entry, Index
from factory_brain.domain.triggers.throttle import Window, take
from shared.alarm.states import AlarmState
from shared.expression import Expression, StaticEnvironment, Unknown, compile_expression
from shared.messages.bodies import AlarmTransition
from shared.playbook.journal import ROOTS
from shared.playbook.model import Playbook
from shared.playbook.overlap import decide, may_start
from shared.playbook.triggers import Trigger


@dataclass(frozen=True, slots=True)
class Would:
    """What one firing would have come to."""

    id: str
    at: int
    trigger: str
    outcome: str
    """started, queued, attached, ignored, throttled, dipped, where, where_unknown, superseded."""
    by: str
    alarm: str = ""
    occurrence: str | None = None
    key: str = ""
    joined: str | None = None
    """The firing whose run it joins."""


@dataclass(slots=True)
class _Group:
    live: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)


class Replay:
    """One playbook over one period."""

    def __init__(
        self, site: str, book: Playbook, codes: Mapping[str, list[str]], inputs: dict[str, Any],
        assumed_ms: int, real_ms: Mapping[str, int],
    ) -> None:  # fmt: skip
        self._site, self._book, self._inputs = site, book, inputs
        self._assumed, self._real = assumed_ms, real_ms
        self.index = Index.of([(book, "")], codes)
        self._where = {
            trigger.id: compile_expression(trigger.where, roots=ROOTS)
            for trigger in book.triggers if trigger.where is not None
        }  # fmt: skip
        self._by = {
            trigger.id: compile_expression(trigger.throttle.by, roots=ROOTS)
            for trigger in book.triggers if trigger.throttle is not None
        }  # fmt: skip
        self._seen: set[str] = set()
        self._held: dict[str, tuple[Entry, Firing]] = {}
        self._windows: dict[tuple[str, str], Window] = {}
        self._groups: dict[str, _Group] = {}
        self._due: list[tuple[int, int, str, Any]] = []
        self._order = count()
        self._refused: dict[str, Would] = {}
        self._came: dict[str, Would] = {}
        """By firing: what is decided later of the same one stands."""

    # what happened

    def alarm(self, body: AlarmTransition, event: str, at: int) -> None:
        """A transition of an alarm."""
        self._until(at)
        self._dip(body, at)
        raised = body.raised_at or body.source_time or at
        for entry in self.index.alarms.get(body.alarm, ()):
            trigger = entry.trigger
            if not occasions.fits(trigger, body):
                continue
            happened = raised if trigger.transition == "raised" else body.source_time or at
            source = occasions.source_of(trigger, body, event)
            firing = Firing(
                self._id(trigger, source), self._book.playbook, trigger.id,
                occasions.now_at(body, happened), occasions.of_alarm(body, raised),
                occurrence=body.occurrence,
            )  # fmt: skip
            self._take(entry, firing)

    def happened(self, found: occasions.Happened, entries: list[Entry], by: str = "event") -> None:
        """Something that is no alarm's."""
        self._until(found.at)
        for entry in entries:
            name = self._id(entry.trigger, found.id)
            book = self._book.playbook
            self._take(entry, Firing(name, book, entry.trigger.id, found.at, found.seen, by))

    def minute(self, entry: Entry, at: int) -> None:
        """A minute of a cron line."""
        self._until(at)
        seen = {"id": "cron", "asset": "", "raised_at": at, "priority": None, "value": None}
        name = self._id(entry.trigger, f"cron:{at}")
        self._take(entry, Firing(name, self._book.playbook, entry.trigger.id, at, seen, "cron"))

    def end(self, at: int) -> list[Would]:
        """The period is over."""
        self._until(at)
        return [*self._came.values(), *self._refused.values()]

    # as the triggers decide

    def _id(self, trigger: Trigger, source: str) -> str:
        return firing_id(self._site, self._book.playbook, trigger.id, source)

    def _take(self, entry: Entry, firing: Firing) -> None:
        if firing.id in self._seen:
            return
        said = self._look(self._where.get(entry.trigger.id), firing, True)
        if said is not True:
            outcome = "where_unknown" if isinstance(said, Unknown) else "where"
            self._refused[firing.id] = _would(firing, outcome)
            return  # looked at again when the alarm moves, as live
        self._refused.pop(firing.id, None)
        self._seen.add(firing.id)
        if entry.trigger.hold and firing.occurrence is not None:
            self._held[firing.id] = (entry, firing)
            self._at(firing.at + entry.trigger.hold, "held", firing.id)
            return
        self._offer(entry, firing, firing.at)

    def _look(self, expression: Expression | None, firing: Firing, default: Any) -> Any:
        if expression is None:
            return default
        env = StaticEnvironment({"alarm": dict(firing.alarm), "inputs": self._inputs})
        return expression.evaluate(env)

    def _dip(self, body: AlarmTransition, at: int) -> None:
        """An alarm that is held may not stand any more."""
        if not self._held or occasions.visible(AlarmState.from_dict(body.state)):
            return
        for name, (entry, firing) in list(self._held.items()):
            raised = entry.trigger.transition == "raised"
            if raised and firing.occurrence == body.occurrence:
                del self._held[name]
                self._note(replace(firing, at=at), "dipped")

    def _offer(self, entry: Entry, firing: Firing, now: int) -> None:
        throttle = entry.trigger.throttle
        if throttle is None:
            self._fire(firing, now)
            return
        by = self._look(self._by[entry.trigger.id], firing, "")
        place = (entry.trigger.id, "" if isinstance(by, Unknown) else str(by))
        taken = take(throttle, self._windows.get(place), firing)
        self._windows.pop(place, None)
        if taken.window is not None:
            self._windows[place] = taken.window
            if taken.window.due is not None:
                self._at(taken.window.due, "window", place)
        for each in taken.fires:
            self._fire(each, now)
        if taken.swallowed:
            self._note(firing, "throttled")

    def _fire(self, firing: Firing, now: int) -> None:
        key = key_of(self._book, firing, self._inputs)
        group = self._groups.setdefault(key, _Group())
        found = decide(self._book.concurrency, group.live, group.queued)
        self._note(firing, found.outcome, key, found.join)
        for name in found.drop:
            self._again(name, "superseded")
            group.queued.remove(name)
        if found.outcome == "queued":
            group.queued.append(firing.id)
            if found.cancel:
                self._at(now, "freed", key)
                group.live.clear()
        elif found.outcome == "started":
            self._begin(key, group, firing.id, now)

    def _begin(self, key: str, group: _Group, name: str, at: int) -> None:
        group.live.append(name)
        self._at(at + self._real.get(name, self._assumed), "ended", (key, name))

    # time

    def _at(self, when: int, what: str, which: Any) -> None:
        heappush(self._due, (when, next(self._order), what, which))

    def _until(self, now: int) -> None:
        """Whatever is due before that moment."""
        while self._due and self._due[0][0] <= now:
            when, _, what, which = heappop(self._due)
            if what == "held" and which in self._held:
                entry, firing = self._held.pop(which)
                self._offer(entry, firing, when)
            elif what == "window":
                window = self._windows.get(which)
                if window is not None and window.due == when and window.firing is not None:
                    del self._windows[which]
                    self._fire(window.firing, when)
            elif what == "ended" and which[1] in self._groups[which[0]].live:
                self._groups[which[0]].live.remove(which[1])
                self._pump(which[0], when)
            elif what == "freed":
                self._pump(which, when)

    def _pump(self, key: str, at: int) -> None:
        group = self._groups[key]
        while group.queued and may_start(self._book.concurrency, len(group.live)):
            self._begin(key, group, group.queued.pop(0), at)

    def _note(self, firing: Firing, outcome: str, key: str = "", joined: str | None = None) -> None:
        self._came[firing.id] = _would(firing, outcome, key, joined)

    def _again(self, name: str, outcome: str) -> None:
        self._came[name] = replace(self._came[name], outcome=outcome)


def _would(firing: Firing, outcome: str, key: str = "", joined: str | None = None) -> Would:
    alarm = str(firing.alarm.get("id") or "")
    return Would(
        firing.id, firing.at, firing.trigger, outcome, firing.by, alarm, firing.occurrence, key,
        joined,
    )  # fmt: skip
