"""The loops: the steps once for each item, or again and again until a condition holds.

Called by the walk. Items are pinned when the loop begins, the round when it begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.playbook.journal import Record
from shared.playbook.model import Step
from shared.playbook.walk import Walk
from shared.playbook.walk_blocks import Block, block
from shared.playbook.walk_past import Past, Strand
from shared.playbook.walk_state import Failed
from shared.playbook.walk_strands import together


def for_each(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """The steps once for each item, some at a time."""
    spec = step.for_each
    assert spec is not None
    begin: dict[str, Any] = {}
    if record is None:
        items = walk.see.value(spec.items)
        if not isinstance(items, list):
            return walk.settle(step, path, "failed", {"kind": "argument_unknown"})
        if len(items) > spec.max:
            told = {"kind": "too_many_items", "items": len(items)}
            return walk.settle(step, path, "failed", told)
        begin = {"items": items}

    def body(found: Block) -> bool:
        strands = found.strands
        return together(walk, strands, len(strands), spec.together)

    return block(walk, step, path, record, begin, body)


def for_each_parts(walk: Past, step: Step, path: str, record: Record) -> Iterator[Strand]:
    """A round for each item, each with a scope of its own."""
    items = record.data.get("items", ())
    steps = step.for_each.steps if step.for_each else []
    for index, item in enumerate(items if isinstance(items, list) else ()):
        scope = walk.scope.fork()
        scope.item, scope.index = item, index
        yield scope, steps, f"{path}/{index}"


def repeat(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """The steps again and again, until a condition holds after a round."""
    spec = step.repeat
    assert spec is not None

    def body(found: Block) -> bool:
        for scope, steps, base in found.strands[:-1]:
            with walk.inside(scope):
                walk.recall_all(steps, base)
        while True:
            current = int(found.data["round"])
            if walk.now < int(found.data.get("due", 0)):
                walk.wake(int(found.data["due"]))
                return False
            scope, steps, base = found.strands[-1]
            with walk.inside(scope):
                if not walk.sequence(steps, base):
                    return False
                met = spec.until is not None and walk.see.truth(spec.until) is True
            if met or current + 1 >= spec.max:
                found.data = {**found.data, "met": met or spec.until is None}
                found.data |= {"rounds": current + 1}
                return True
            if walk.held:
                return False
            pause = walk.see.duration(spec.pause)
            if pause is None:
                raise Failed(path, "argument_unknown")
            found.pin(round=current + 1, due=walk.now + pause)

    return block(walk, step, path, record, {"round": 0}, body)


def repeat_parts(walk: Past, step: Step, path: str, record: Record) -> Iterator[Strand]:
    """The rounds so far; they share one scope, and later ones see what earlier ones did."""
    for index in range(int(record.data.get("round", -1)) + 1):
        steps = step.repeat.steps if step.repeat else []
        yield walk.scope.round(index), steps, f"{path}/{index}"
