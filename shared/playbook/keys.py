"""Which keys may stand where in a playbook, for the hint that an unknown key is told with. Pure.

Used by `faults.py`; read from the model, so a new key is known as soon as it is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any, get_args, get_origin

from shared.playbook.model import Playbook
from shared.playbook.near import nearest
from shared.playbook.values import Part

FAMILIAR = {
    "do": "steps", "then_steps": "steps", "else": "otherwise", "default_steps": "otherwise",
    "cmd": "command", "action": "command", "operation": "op", "arguments": "args",
    "params": "args", "parameters": "inputs", "variables": "inputs", "on": "triggers",
    "trigger": "triggers", "retries": "retry", "on_failure": "on_error", "except": "catch",
    "rescue": "catch", "always": "finally", "approve": "ask", "approval_step": "approval",
    "sleep": "wait", "delay_for": "wait", "expect_within": "within", "rollback": "compensate",
    "undo": "compensate", "condition_if": "if", "recipients": "to", "text": "message",
    "choices": "options", "loop": "repeat", "foreach": "for_each", "while": "repeat",
    "minimum": "min", "maximum": "max",
}  # fmt: skip
"""Words of other languages -> ours."""


def hint(key: str, place: Sequence[str | int]) -> tuple[str, str]:
    """(Chinese, English) what to do about an unknown key at a place of the document."""
    part = part_at(Playbook, place)
    here = keys_of(part) if part is not None else ()
    close = nearest(key, here) or (FAMILIAR[key] if FAMILIAR.get(key) in here else "")
    if close:
        return f"是不是 {close!r}？", f"did you mean {close!r}?"
    homes = _homes()
    if (meant := key if key in homes else nearest(key, homes)) in homes:
        there = ", ".join(homes[meant])
        asked = ("", "") if meant == key else (f"是不是 {meant!r}？", f"did you mean {meant!r}? ")
        return f"{asked[0]}{meant} 写在 {there} 之下", f"{asked[1]}{meant!r} stands below: {there}"
    if 0 < len(here) <= _MOST:
        there = ", ".join(here)
        return f"删除它；这里可写 {there}", f"remove it; here may stand: {there}"
    return "删除它，或改正名称", "remove it, or correct its name"


_MOST = 14


def keys_of(part: type[Part]) -> tuple[str, ...]:
    """The keys of one part, as they are written."""
    return tuple(field.alias or name for name, field in part.model_fields.items())


def part_at(model: type[Part], place: Sequence[str | int]) -> type[Part] | None:
    """The part of the language that stands at a place; None where any key may stand."""
    kind: Any = model
    for step in place:
        kind = _below(kind, step)
        if kind is None:
            return None
    return _part(kind)


def _below(kind: Any, step: str | int) -> Any:
    part = _part(kind)
    if part is not None:
        found = [f for n, f in part.model_fields.items() if step in (f.alias or n, n)]
        return found[0].annotation if found else None
    for one in _members(kind):
        wanted = list if isinstance(step, int) else dict
        if get_origin(one) is wanted:
            return get_args(one)[-1]
    return None


def _part(kind: Any) -> type[Part] | None:
    found = [o for o in _members(kind) if isinstance(o, type) and issubclass(o, Part)]
    return found[0] if len(found) == 1 else None


def _members(kind: Any) -> Iterator[Any]:
    """The kinds of a union, without their annotations."""
    if get_origin(kind) is Annotated:
        yield from _members(get_args(kind)[0])
    elif get_origin(kind) in (list, dict) or isinstance(kind, type):
        yield kind
    else:
        for one in get_args(kind):
            yield from _members(one)


@lru_cache(maxsize=1)
def _homes() -> dict[str, tuple[str, ...]]:
    """Key -> the keys below which it may stand; of those at the top none is told."""
    found: dict[str, list[str]] = {}
    for above, part in _parts(Playbook, set()):
        for key in keys_of(part):
            if above not in found.setdefault(key, []):
                found[key].append(above)
    return {key: tuple(homes) for key, homes in found.items()}


def _parts(model: type[Part], seen: set[tuple[str, type]]) -> Iterator[tuple[str, type[Part]]]:
    for name, field in model.model_fields.items():
        for part in _inside(field.annotation):
            key = (field.alias or name, part)
            if key not in seen and part.__name__ != "Words":
                seen.add(key)
                yield key
                yield from _parts(part, seen)


def _inside(kind: Any) -> Iterator[type[Part]]:
    for one in _members(kind):
        if isinstance(one, type) and issubclass(one, Part):
            yield one
        elif get_origin(one) in (list, dict):
            yield from _inside(get_args(one)[-1])
