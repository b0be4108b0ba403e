"""Golden journals: what the interpreter asked for at every prefix of a run's journal, for ever.

`python -m tests.support.golden` adds the situations that have no file yet; it overwrites none: a
file changes only by hand, together with `SEMANTICS`. `tests/golden/playbooks/*.json` are replayed
by tests/unit/shared/playbook/test_golden.py.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shared.expression import Reading, StaticEnvironment
from shared.paths import playbook_library
from shared.playbook.journal import Advance, Context, Effect, Record, noted
from shared.playbook.loader import load_playbook
from shared.playbook.model import Playbook
from shared.playbook.run import SEMANTICS, advance
from tests.support.playbook_forest import world as tree
from tests.support.playbook_memory import NOW, Engine, Result, World, at, book

FOLDER = Path(__file__).parents[1] / "golden" / "playbooks"
PLAIN = ("alarm", "inputs", "site", "run", "deadline_at")
CHANGING = ("answers", "control", "alarm_states", "resume_ask", "watched_since")
Situation = Callable[[], tuple[World, Callable[[World], None]]]


def shown(found: Advance) -> dict[str, Any]:
    """An advance as it is kept."""
    effects = [
        {**{key: getattr(one, key) for key in ("kind", "path", "phase", "attempt", "book")},
         "step": one.step.id if one.step is not None else None, "data": dict(one.data)}
        for one in found.effects
    ]  # fmt: skip
    asks = [asdict(one) for one in found.asks]
    plain = {
        "status": found.status, "wake_at": found.wake_at, "watch": sorted(found.watch),
        "metrics": dict(found.metrics), "asks": asks, "effects": effects,
    }  # fmt: skip
    return json.loads(json.dumps(plain))


def replayed(kept: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What was expected and what is found now, at each prefix of the journal."""
    document = Playbook.model_validate(kept["document"])
    books = {name: Playbook.model_validate(one) for name, one in kept["books"].items()}
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for look in kept["looks"]:
        journal: dict[str, Record] = {}
        for path, attempt, phase, data, when in kept["journal"][: look["rows"]]:
            noted(journal, path, Record(phase, when, data, attempt))
        readings = {name: Reading(value, good) for name, (value, good) in look["tags"].items()}
        context = Context(
            **kept["context"], **look["context"], books=books,
            tags=StaticEnvironment(tags=readings),
        )  # fmt: skip
        found = advance(document, journal, context, look["now"])
        pairs.append((look["advance"], shown(found)))
    return pairs


class _Witness(Engine):
    """An engine that writes down every look, also those between two commits."""

    looks: list[dict[str, Any]]

    def commit(self, path: str, attempt: int, phase: str, data: Mapping[str, Any]) -> None:
        super().commit(path, attempt, phase, data)
        self.seen(advance(self.world.document, self.journal, self.world.context(), self.world.now))

    def look(self) -> Advance:
        found = super().look()
        self.seen(found)
        return found

    def seen(self, found: Advance) -> None:
        """Keep one look."""
        context = self.world.context()
        tags = {
            name: one if isinstance(one, Reading) else Reading(one)
            for name, one in self.world.tags.items()
        }
        told = {
            "rows": len(self.world.rows), "now": self.world.now,
            "tags": {name: [one.value, one.good] for name, one in tags.items()},
            "context": copy.deepcopy({key: getattr(context, key) for key in CHANGING}),
            "advance": shown(found),
        }  # fmt: skip
        if not self.looks or self.looks[-1] != told:
            self.looks.append(told)


def record(name: str, situation: Situation) -> dict[str, Any]:
    """Run a situation and keep every look at it."""
    world, script = situation()
    looks: list[dict[str, Any]] = []

    def witnessed(here: World) -> Engine:
        engine = _Witness(here)
        engine.looks = looks
        return engine

    world.engine = witnessed
    script(world)
    context = world.context()
    return {
        "name": name, "semantics": SEMANTICS,
        "document": world.document.model_dump(mode="json", by_alias=True),
        "books": {key: one.model_dump(mode="json", by_alias=True)
                  for key, one in context.books.items()},
        "context": {key: getattr(context, key) for key in PLAIN},
        "journal": [[p, a, f, json.loads(d), t] for p, a, f, d, t in world.rows],
        "looks": looks,
    }  # fmt: skip


# the situations


def _finish(world: World) -> None:
    world.engine(world).work()


def _interlocked(effect: Effect, world: World) -> Result:
    failing = {"/steps/hold-heat": "interlock", "/steps/b/compensate": "refused"}
    kind = failing.get(effect.path)
    if kind is not None:
        return "failed", {"kind": kind, "device": "FUR-01/burner"}
    return "done", {"before": {"pct": 80}}


def _furnace(**more: Any) -> World:
    document = load_playbook(playbook_library() / "furnace" / "furnace-overtemp.yaml").playbook
    inputs = {name: one.default for name, one in document.inputs.items()}
    alarm = {"id": "FUR-01.TT-101.HIHI", "asset": "FUR-01", "value": 1291.5, "limit": 1280.0}
    tags = {"esd.active": False, "zone.temp": 1290.0, "burner.setpoint": 80.0}
    world = World(document, more={"inputs": inputs, "alarm": alarm}, tags=dict(tags))
    world.answer = lambda ask: more.get("answer")
    world.results = more.get("results", world.results)
    return world


def _move(name: str) -> dict[str, Any]:
    command = {"device": "d", "op": "set", "expires": "10s"}
    undo = {"command": {**command, "args": {"to": f"${{steps.{name}.before.pct}}"}}}
    return {"id": name, "command": command, "compensate": undo}


def _leaving() -> tuple[World, Callable[[World], None]]:
    leave = [{"alarm": "shelved", "then": "compensate"}]
    steps = [_move("a"), _move("b"), {"id": "w", "wait": "1h"}]

    def script(world: World) -> None:
        at(world, 0)
        world.more["alarm_states"] = {"shelved": NOW}
        at(world, 60_000)

    return World(book(steps, leave_when=leave), results=_interlocked), script


def _cancelled() -> tuple[World, Callable[[World], None]]:
    until = {"condition": "tag('t').value < 5", "within": "1h", "for": "30s"}
    branches = [
        {"id": "x", "steps": [_move("a"), {"id": "w", "wait": "1h"}]},
        {"id": "y", "steps": [{"id": "v", "wait_until": until}]},
    ]
    end = [{"id": "end", "log": "${run.outcome}"}]

    def script(world: World) -> None:
        at(world, 0)
        world.tags["t"] = 9.0
        at(world, 20_000)
        world.control["suspend"] = {"by": "li", "at": NOW, "reason": ""}
        at(world, 30_000)
        world.control["cancel"] = {"by": "li", "at": NOW, "reason": "", "compensate": True}
        at(world, 60_000)

    document = book([{"id": "p", "parallel": {"branches": branches}}], **{"finally": end})
    return World(document, results=_interlocked, tags={"t": 1.0}), script


SITUATIONS: dict[str, Situation] = {
    "furnace-vented": lambda: (_furnace(answer="vent"), _finish),
    "furnace-nobody-answers": lambda: (_furnace(), _finish),
    "furnace-interlocked": lambda: (_furnace(results=_interlocked), _finish),
    "left-with-failing-undo": _leaving,
    "suspended-then-cancelled": _cancelled,
    **{f"tree-{seed}": (lambda seed=seed: (tree(seed), _finish)) for seed in (4, 9, 15, 26)},
    **{f"race-{seed}": (lambda seed=seed: (tree(seed, True), _finish)) for seed in (2, 7, 11)},
}


def main() -> int:
    """Add what is missing; says what it wrote."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, situation in SITUATIONS.items():
        path = FOLDER / f"{name}.json"
        if path.exists():
            continue
        text = json.dumps(record(name, situation), ensure_ascii=False, separators=(",", ":"))
        path.write_text(text + "\n", encoding="utf-8")
        sys.stdout.write(f"{path.name}: {len(text)} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
