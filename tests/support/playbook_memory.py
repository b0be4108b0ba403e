"""An engine in memory with the rules of the real one: rows of a journal, commits, kills.

Used by tests of the interpreter. Every commit is a point at which it can be killed; a command's
edge and an HTTP receiver keep what they were sent by id, as the real ones do. It decides nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shared.expression import Reading, StaticEnvironment
from shared.playbook.journal import Advance, Asking, Context, Effect, Record, noted
from shared.playbook.model import Playbook
from shared.playbook.run import advance

NOW = 1_000_000
RIDING = ("notify", "webhook", "emit", "incident")
ENDED = ("success", "failure", "needs_human", "cancelled")
Result = tuple[str, dict[str, Any]]


def book(steps: list[dict[str, Any]], name: str = "p", **more: Any) -> Playbook:
    """A document around some steps."""
    about = {"schema": "playbook/v1", "playbook": name, "version": 1, "name": "n"}
    trigger = {"id": "hot", "alarm": "A.HIHI"}
    return Playbook.model_validate({**about, "triggers": [trigger], "steps": steps, **more})


class Killed(Exception):
    """The engine was killed before a commit."""


class Twice(AssertionError):
    """A journal row was written a second time: the real table would drop it silently."""


def well(effect: Effect, edge: World) -> Result:
    """What becomes of a command or a request: it is done."""
    return "done", {}


@dataclass
class World:
    """What outlives a kill: the journal's rows, the plant, what people said, the time."""

    document: Playbook
    more: dict[str, Any] = field(default_factory=dict)
    """Further fields of the context."""
    tags: dict[str, Any] = field(default_factory=dict)
    results: Callable[[Effect, World], Result] = well
    answer: Callable[[Asking], str | None] = lambda ask: None
    now: int = NOW
    rows: list[tuple[str, int, str, str, int]] = field(default_factory=list)
    keys: set[tuple[str, int, str]] = field(default_factory=set)
    told: list[Effect] = field(default_factory=list)
    """What rode in a commit, in order."""
    acted: Counter[str] = field(default_factory=Counter)
    """What the edge and the receivers did, by `path:attempt`: each at most once."""
    edge: dict[str, Result] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    """Paths in the order in which something happened outside."""
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    control: dict[str, dict[str, Any]] = field(default_factory=dict)
    commits: int = 0
    engine: Callable[[World], Engine] = lambda world: Engine(world)

    def journal(self) -> dict[str, Record]:
        """The newest record of every path, read from the rows."""
        found: dict[str, Record] = {}
        for path, attempt, phase, data, at in self.rows:
            noted(found, path, Record(phase, at, json.loads(data), attempt))  # type: ignore[arg-type]
        return found

    def phases(self) -> dict[str, str]:
        """Path -> how it ended: found out later or told at once is the same."""
        found = self.journal().items()
        return {path: "done" if r.phase == "reconciled" else r.phase for path, r in found}

    def context(self) -> Context:
        """What expressions see now."""
        readings = {
            name: one if isinstance(one, Reading) else Reading(one)
            for name, one in self.tags.items()
        }
        plain = Context(
            alarm={"id": "A.HIHI", "asset": "FUR-01", "value": 1290.0}, inputs={}, site={},
            run={"id": "r"}, tags=StaticEnvironment(tags=readings), answers=self.answers,
            deadline_at=NOW + 24 * 3_600_000, control=self.control,
        )  # fmt: skip
        return replace(plain, **self.more)

    def effects(self) -> Counter[str]:
        """Everything that happened outside, by kind and path."""
        riding = Counter(f"{effect.kind} {effect.path}" for effect in self.told)
        return riding + Counter({f"act {key}": count for key, count in self.acted.items()})


class Engine:
    """One life of an engine: it ends when the run waits, ends, or it is killed."""

    def __init__(self, world: World, lives: int | None = None) -> None:
        self.world, self.left, self.journal = world, lives, world.journal()
        """How many commits it makes before it is killed; None: it is not."""

    def commit(self, path: str, attempt: int, phase: str, data: Mapping[str, Any]) -> None:
        """Write one row, or be killed just before."""
        if self.left is not None:
            if self.left == 0:
                raise Killed
            self.left -= 1
        world, stored = self.world, json.dumps(dict(data))
        if (path, attempt, phase) in world.keys:
            raise Twice(f"{path} {attempt} {phase}")
        world.keys.add((path, attempt, phase))
        world.rows.append((path, attempt, phase, stored, world.now))
        record = Record(phase, world.now, json.loads(stored), attempt)  # type: ignore[arg-type]
        noted(self.journal, path, record)
        world.commits += 1

    def look(self) -> Advance:
        """What the run needs next."""
        world = self.world
        return advance(world.document, self.journal, world.context(), world.now)

    def work(self, patience: int = 2_000) -> Advance:
        """Go on until the run ends, or waits for something that only the test brings."""
        for _ in range(patience):
            found = self.look()
            for effect in found.effects:
                self.carry_out(effect)
            if found.effects:
                continue
            if found.status in ENDED or not self.pass_time(found):
                return found
        raise AssertionError("does not come to rest")

    def rest(self) -> Advance:
        """Go on as far as it goes at this moment."""
        for _ in range(500):
            found = self.look()
            for effect in found.effects:
                self.carry_out(effect)
            if not found.effects:
                return found
        raise AssertionError("does not come to rest")

    def pass_time(self, found: Advance) -> bool:
        """People answer, or the clock goes on to what is due; False when nothing will happen."""
        world = self.world
        for ask in found.asks:
            answer = world.answer(ask)
            if answer is not None and ask.path not in world.answers:
                world.answers[ask.path] = {"answer": answer, "by": "li"}
                return True
        if found.wake_at is None:
            return False
        world.now = max(world.now, found.wake_at)
        return True

    def carry_out(self, effect: Effect) -> None:
        """Commit, act, commit: as the real engine does, one effect after the other."""
        world = self.world
        if effect.kind in ("settle", "await"):
            self.commit(effect.path, effect.attempt, effect.phase, effect.data)
        elif effect.kind in RIDING:
            self.commit(effect.path, effect.attempt, effect.phase, effect.data)
            world.told.append(effect)
            world.order.append(effect.path)
            if effect.phase == "intent":  # a webhook that is waited for
                world.answers[effect.path] = {"phase": "done", "data": {"status": 202}}
        else:
            self.act(effect)

    def act(self, effect: Effect) -> None:
        """A command or a request, or the question what became of one."""
        world = self.world
        record = self.journal.get(effect.path)
        begun = record is not None and record.attempt == effect.attempt
        if effect.kind == "command" and begun:
            raise Twice(f"command {effect.path} sent again")
        if not begun:
            self.commit(effect.path, effect.attempt, "intent", effect.data)
        key = f"{effect.path}:{effect.attempt}"
        if key not in world.edge:
            world.edge[key] = world.results(effect, world)
            world.acted[key] += 1
            world.order.append(effect.path)
        phase, data = world.edge[key]
        if effect.kind == "reconcile" and phase == "done":
            phase = "reconciled"
        self.commit(effect.path, effect.attempt, phase, {**effect.data, **data})


def at(world: World, ms: int) -> Advance:
    """Look at this moment, counted from the beginning, as far as it goes."""
    world.now = NOW + ms
    return world.engine(world).rest()


def finish(world: World) -> Advance:
    """Run to the end (or to a wait for people) without any kill."""
    return Engine(world).work()


def killed_at(world: World, first: int, then: Callable[[], int | None] = lambda: None) -> Advance:
    """Be killed after `first` commits, begin again, be killed again after `then()` more, …"""
    lives: int | None = first
    for _ in range(500):
        try:
            return Engine(world, lives).work()
        except Killed:
            lives = then()
    raise AssertionError("never comes to its end")
