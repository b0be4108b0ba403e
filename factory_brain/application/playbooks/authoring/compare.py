"""What differs between two texts of a playbook: lines, steps, what it can do at worst. Pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from shared.playbook.explain import Explained, explain
from shared.playbook.model import Playbook

MOST_LINES = 2_000
_BLOCKS = ("switch", "parallel", "for_each", "repeat", "try")
"""Verbs whose steps are looked at one by one, not as part of them."""
_WHOLE = ("name", "description", "owner", "labels", "version", "playbook", "schema")
_NOT_COMPARED = {"steps", "catch", "finally", "offline"}


@dataclass(frozen=True, slots=True)
class StepChange:
    """One step that is not as it was."""

    kind: Literal["added", "removed", "changed", "moved"]
    id: str
    path: str
    verb: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is different."""

    steps: tuple[StepChange, ...]
    parts: tuple[str, ...]
    """Other parts of the document: triggers, inputs, deadline."""
    moves_added: tuple[str, ...]
    moves_removed: tuple[str, ...]
    tells_added: tuple[str, ...]
    tells_removed: tuple[str, ...]


def text_diff(before: str, after: str, names: tuple[str, str]) -> list[str]:
    """A unified diff, cut where nobody would read it."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="", n=3)
    return list(islice(lines, MOST_LINES))


def compare(before: Playbook | None, after: Playbook) -> Comparison:
    """What a new document does otherwise than the old one; without one, all is new."""
    old, new = _explained(before), explain(after)
    old_moves, old_tells = (set(old.moves), set(old.tells)) if old else (set(), set())
    return Comparison(
        tuple(_steps(before, after, old, new)), tuple(_parts(before, after)),
        tuple(sorted(set(new.moves) - old_moves)), tuple(sorted(old_moves - set(new.moves))),
        tuple(sorted(set(new.tells) - old_tells)), tuple(sorted(old_tells - set(new.tells))),
    )  # fmt: skip


def _explained(book: Playbook | None) -> Explained | None:
    return None if book is None else explain(book)


def _own(book: Playbook) -> dict[str, dict[str, Any]]:
    """Step -> what is written in it, without the steps of its blocks."""
    found = {}
    for step in book.all_steps():
        data = step.model_dump(mode="json", by_alias=True, exclude_unset=True)
        for verb in _BLOCKS:
            if verb in data:
                data[verb] = _bare(data[verb])
        found[step.id] = data
    return found


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _bare(v) for k, v in value.items() if k != "steps"}
    return [_bare(each) for each in value] if isinstance(value, list) else value


def _steps(
    before: Playbook | None, after: Playbook, old: Explained | None, new: Explained
) -> list[StepChange]:
    was, now = _own(before) if before else {}, _own(after)
    old_paths = {each.name: each for each in (old.steps if old else ()) if each.name in was}
    found: list[StepChange] = []
    for shown in new.steps:
        step = shown.name
        if not shown.verb or step not in now:
            continue  # an arm, a handler, a rung: part of its step
        if step not in was:
            found.append(StepChange("added", step, shown.path, shown.verb))
            continue
        fields = tuple(sorted(
            key for key in {*was[step], *now.get(step, {})}
            if was[step].get(key) != now.get(step, {}).get(key)
        ))  # fmt: skip
        if fields:
            found.append(StepChange("changed", step, shown.path, shown.verb, fields))
        elif step in old_paths and old_paths[step].path != shown.path:
            found.append(StepChange("moved", step, shown.path, shown.verb))
    for step, shown in old_paths.items():
        if step not in now:
            found.append(StepChange("removed", step, shown.path, shown.verb))
    return found


def _parts(before: Playbook | None, after: Playbook) -> list[str]:
    """Keys of the document that are not as they were, beside its steps."""
    if before is None:
        return []
    was = before.model_dump(mode="json", by_alias=True)
    now = after.model_dump(mode="json", by_alias=True)
    keys = [key for key in now if key not in _NOT_COMPARED and key not in _WHOLE[4:]]
    return [key for key in keys if was.get(key) != now[key]]
