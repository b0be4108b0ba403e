"""The edge's half of a rehearsal: a playbook's `offline` part while the brain cannot be reached.

Driven by `play.py`; the same interpreter over a journal of the edge's own, which the brain's run
adopts on its return, as the real ones do. Outlives every kill of the brain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shared.expression import StaticEnvironment, compile_expression
from shared.playbook import fragment
from shared.playbook.journal import OUTCOME, ROOTS, Context, Effect, Phase, Record, noted
from shared.playbook.model import Playbook
from shared.playbook.rehearsal.receivers import command_of
from shared.playbook.rehearsal.site_side import site_device
from shared.playbook.rehearsal.stage import World
from shared.playbook.run import advance

OVER = ("success", "failure", "needs_human")
MOST_STEPS = 1_000
Row = tuple[str, Record]


@dataclass(slots=True)
class Fragment:
    """One run of the offline part, for one standing alarm."""

    name: str
    alarm: Mapping[str, Any]
    began: int
    journal: dict[str, Record] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    """What travels up, in its order, under the brain's paths."""
    told: int = 0
    """So many of them the brain has heard."""
    over: bool = False
    wake_at: int | None = None


@dataclass(slots=True)
class Alone:
    """What the edge does by itself."""

    world: World
    inputs: Mapping[str, Any]
    book: Playbook | None = field(init=False)
    standing: dict[str, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    """Alarm -> since when it stands, and what it looks like."""
    runs: dict[str, Fragment] = field(default_factory=dict)
    away_since: int | None = None

    def __post_init__(self) -> None:
        self.book = fragment.document(self.world.book)

    @property
    def after(self) -> int:
        """How long the brain must have been away."""
        offline = self.world.book.offline
        return offline.after if offline is not None else 0

    def stands(self, name: str, alarm: Mapping[str, Any], now: int) -> None:
        """An alarm has been raised."""
        if self.book is not None:
            self.standing.setdefault(name, (now, alarm))

    def gone(self, name: str) -> None:
        """It has cleared, or people have put it aside."""
        self.standing.pop(name, None)
        if (run := self.runs.get(name)) is not None and run.over:
            del self.runs[name]  # the next occurrence has a part of its own

    def work(self, now: int, away: bool) -> None:
        """Begin what is due, go on, and hand over once the brain is there."""
        if self.book is None:
            return
        if not away:
            self.away_since = None
        elif self.away_since is None:
            self.away_since = now
        since = self.away_since
        for name, (stood, alarm) in self.standing.items() if since is not None else ():
            due = max(stood, since or 0) + self.after
            if now >= due and name not in self.runs and self._wanted(name, alarm):
                self.runs[name] = Fragment(name, alarm, now)
                self.world.note(now, "event", "alone", alarm=name)
        for run in self.runs.values():
            if not run.over:
                self._go_on(run, now, away)

    def news(self, name: str) -> list[Row]:
        """What the brain has not heard yet of an alarm's part."""
        run = self.runs.get(name)
        if run is None:
            return []
        found, run.told = run.rows[run.told :], len(run.rows)
        return found

    def next_at(self) -> int | None:
        """When it looks by itself."""
        times = [run.wake_at for run in self.runs.values() if not run.over]
        if self.away_since is not None:
            times += [
                max(stood, self.away_since) + self.after
                for name, (stood, _) in self.standing.items() if name not in self.runs
            ]  # fmt: skip
        return min((at for at in times if at is not None), default=None)

    # one part

    def _wanted(self, name: str, alarm: Mapping[str, Any]) -> bool:
        env = StaticEnvironment({"alarm": alarm, "inputs": self.inputs})
        return any(
            trigger.alarm == name and trigger.transition == "raised"
            and (trigger.where is None
                 or compile_expression(trigger.where, roots=ROOTS).evaluate(env) is True)
            for trigger in self.world.book.triggers
        )  # fmt: skip

    def _go_on(self, run: Fragment, now: int, away: bool) -> None:
        assert self.book is not None
        run.wake_at = None
        self._landed(run, now)
        busy = any(r.phase == "intent" and "device" in r.data for r in run.journal.values())
        if not away and not busy:
            self._end(run, fragment.HANDED_OVER, now)
            return
        for _ in range(MOST_STEPS):
            ahead = advance(self.book, run.journal, self._context(run, now), now)
            fresh = [e for e in ahead.effects if away and e.kind != "reconcile"]
            for effect in fresh:
                self._carry_out(run, effect, now)
            if self._landed(run, now):
                continue
            if ahead.status in OVER:
                self._end(run, ahead.status, now)
                return
            if not fresh:
                run.wake_at = ahead.wake_at
                return

    def _context(self, run: Fragment, now: int) -> Context:
        about = {"id": run.name, "started_by": "edge", "elapsed_s": (now - run.began) / 1000}
        return Context(
            alarm=run.alarm, inputs=self.inputs, site={}, run=about, tags=self.world.plant.here(),
            deadline_at=run.began + self.world.book.deadline,
        )  # fmt: skip

    def _carry_out(self, run: Fragment, effect: Effect, now: int) -> None:
        if effect.kind != "command":
            phase = "intent" if effect.kind == "await" else effect.phase
            self._note(run, effect.path, phase, effect.data, effect.attempt, now)
            return
        spec, world = command_of(effect), self.world
        data = {**effect.data, "device": spec.device, "op": spec.op, "began": now,
                "attempt": effect.attempt, "expires_at": now + spec.expires}  # fmt: skip
        at = None
        if world.devices is not None:
            at = site_device(world.book, spec.device, run.alarm, world.devices)
            if at is None:
                self._note(run, effect.path, "failed", {"kind": "unbound_device"}, 1, now)
                return
        self._note(run, effect.path, "intent", data, effect.attempt, now)
        key = f"alone:{run.name}:{effect.path}:{effect.attempt}"
        if at is not None:
            world.receivers.bound[key] = at
        seen = replace(effect, path=fragment.told_as(effect.path) or effect.path)
        world.note(now, "command", seen.path, **data)
        world.receivers.send(key, seen, data, now, here=True)

    def _landed(self, run: Fragment, now: int) -> bool:
        """Take in what has become of commands; whether something has."""
        found = False
        for path, record in list(run.journal.items()):
            key = f"alone:{run.name}:{path}:{record.attempt}"
            if record.phase != "intent" or key not in self.world.receivers.works:
                continue
            result = self.world.receivers.outcome(key, record.data, "done")
            if result is not None:
                self._note(run, path, result[0], result[1], record.attempt, now)
                found = True
        return found

    def _end(self, run: Fragment, status: str, now: int) -> None:
        run.over = True
        self._note(run, OUTCOME, "done", {"status": status, "reason": ""}, 1, now)

    def _note(
        self, run: Fragment, path: str, phase: Phase, data: Mapping[str, Any], attempt: int,
        now: int,
    ) -> None:  # fmt: skip
        noted(run.journal, path, Record(phase, now, dict(data), attempt))
        told = fragment.told_as(path)
        if told is not None:
            run.rows.append((told, Record(phase, now, dict(data), attempt)))
            self.world.note(now, "step", told, phase=phase, data=dict(data), attempt=attempt)
