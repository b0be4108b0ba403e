"""Compensation: what was done is undone, newest first, each step once, under its own conditions.

Called by the verb `compensate_all`, by a run that leaves and by one that a person ends. A step
whose undoing fails ends the run for a person to see to: nothing further is undone blindly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.playbook.journal import Record
from shared.playbook.model import Step
from shared.playbook.walk import Walk
from shared.playbook.walk_state import Failed, Scope, Stopped

Undoable = Mapping[str, tuple[Step, Scope, Record]]
GUARDS = ("interlock",)
_ABOUT = ("device", "readback", "before", "outcome", "params")


def compensate_all(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Undo every step so far that says how; which ones is pinned once it has begun."""
    assert step.compensate_all is not None
    if walk.halting:
        return _halted(walk, step, path, record)
    if record is None:  # looked at afresh, so that what this look itself does is in the journal
        walk.pin(step, path, {"why": walk.see.render(step.compensate_all.reason)})
        return False
    found = undoable(walk)
    if "paths" not in record.data:
        data = {**record.data, "paths": order(found)}
        record = walk.pin(step, path, data, record.attempt + 1)
    paths = [str(one) for one in record.data["paths"]]
    before = len(walk.next.effects)
    if not undo(walk, found, paths) or len(walk.next.effects) > before:
        return False  # what was undone is in the journal before anyone goes by it
    return walk.settle(step, path, "done", record.data, record.attempt)


def _halted(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Once begun, undoing is finished when the run leaves; when a person ends it, it rests."""
    if record is None:
        return True
    found = undoable(walk)
    paths = [str(one) for one in record.data.get("paths", ())]
    if walk.halting == "left" and paths:
        reason, walk.halting = walk.halting, ""
        try:
            if not undo(walk, found, paths):
                return False
        finally:
            walk.halting = reason
    for one in paths:
        told = walk.journal.get(f"{one}/compensate")
        if one in found and told is not None and told.phase in ("intent", "unknown"):
            with walk.inside(found[one][1].fork()):
                if not walk.rest(_back(found[one][0]), f"{one}/compensate", told):
                    return False
    data = {**record.data, "reason": walk.halting, "halted": True}
    return walk.settle(step, path, "skipped", data, record.attempt)


def undoable(walk: Walk) -> Undoable:
    """What the journal says was done and can be undone, in the whole run."""
    past = Walk(
        walk.document, walk.journal, walk.context, walk.now, walk.verbs, walk.inside_of
    )  # fmt: skip
    past.recall_all(walk.document.steps, "/steps")
    for index, one in enumerate(walk.document.catch):
        past.recall_all(one.steps, f"/catch/{index}")
    return past.undoable


def order(found: Undoable) -> list[str]:
    """The paths in reverse order of completion."""
    return sorted(found, key=lambda path: (found[path][2].n, found[path][2].at), reverse=True)


def undo(walk: Walk, found: Undoable, paths: Sequence[str]) -> bool:
    """Undo these steps one after the other; True when none is left."""
    for path in paths:
        if path not in found:
            continue  # undone already: its record says `compensated`
        step, scope, record = found[path]
        with walk.inside(scope.fork()):
            if not _undone(walk, step, path, record):
                return False
    return True


def _undone(walk: Walk, step: Step, path: str, record: Record) -> bool:
    back = _back(step)
    below = f"{path}/compensate"
    told = walk.journal.get(below)
    if told is not None and told.phase == "failed" and told.data.get("kind") in GUARDS:
        data = {**told.data, "reason": "interlock"}
        walk.settle(back, below, "skipped", data, told.attempt)
        return True
    try:
        if not walk.step(back, below):
            return False
    except Failed as failure:
        if failure.kind in GUARDS:
            return True
        raise Stopped("needs_human", _unsettled(walk, below, failure)) from None
    ended = walk.scope.steps[step.id]
    if ended["phase"] == "skipped":
        return True
    return walk.settle(step, path, "compensated", record.data, record.attempt)


def _back(step: Step) -> Step:
    """How a step is undone, as a step."""
    how = step.compensate
    assert how is not None
    return Step(id=step.id, command=how.command, http=how.http, webhook=how.webhook,
                retry=how.retry)  # fmt: skip


def _unsettled(walk: Walk, path: str, failure: Failed) -> dict[str, Any]:
    """What is known of the thing that could not be undone."""
    record = walk.journal.get(path)
    data = record.data if record is not None else {}
    state = {key: data[key] for key in _ABOUT if key in data}
    return {"path": path, "kind": failure.kind, "reason": failure.reason, **state}
