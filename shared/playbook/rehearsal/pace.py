"""A playbook whose own waiting passes faster: what a drill with a `time_scale` runs by. Pure.

Used by the engine for such runs and by whoever walks their journals again. What takes its time
outside (commands, their verification, requests, deliveries) is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.playbook.model import Playbook, Repeat, Step
from shared.playbook.values import Part
from shared.playbook.verbs import AskSpec, Retry, Rung, WaitUntil
from shared.site.fields import parse_duration

MOST = 600.0
"""The fastest that a drill may run."""
LEAST_DEADLINE_MS = 60_000
_WAITS: Mapping[type[Part], tuple[str, ...]] = {
    Step: ("wait", "timeout"), Repeat: ("pause",),
    WaitUntil: ("within", "hold"), AskSpec: ("within", "reminders"), Rung: ("after",),
    Retry: ("delay", "max_delay", "schedule"),
}  # fmt: skip
_OUTSIDE = ("http", "webhook", "command")
"""The time-out of such a step is about the outside."""
_LEFT = ("triggers", "offline", "budget")
"""What a drill does not wait by."""


def scale_of(context: Mapping[str, Any]) -> float:
    """How much faster a run's own waiting passes; 1 but for drills that say otherwise."""
    return float(context.get("time_scale") or 1.0) if context.get("drill") else 1.0


def paced(book: Playbook, times: float) -> Playbook:
    """The same document with every wait and time-out of its own shortened."""
    if times == 1.0:
        return book
    found = _part(book, times)
    assert isinstance(found, Playbook)
    inputs = {
        name: spec.model_copy(update={"default": _given(spec.default, times)})
        if spec.type == "duration" else spec
        for name, spec in book.inputs.items()
    }  # fmt: skip
    return found.model_copy(update={"inputs": inputs, "deadline": deadline_at(book, times)})


def paced_inputs(book: Playbook, inputs: Mapping[str, Any], times: float) -> dict[str, Any]:
    """A run's inputs with its durations shortened."""
    durations = {name for name, spec in book.inputs.items() if spec.type == "duration"}
    return {
        name: _given(value, times) if name in durations and times != 1.0 else value
        for name, value in inputs.items()
    }  # fmt: skip


def deadline_at(book: Playbook, times: float) -> int:
    """A run's deadline at this pace: in it falls what takes its real time, so never too short."""
    return max(shortened(book.deadline, times), min(book.deadline, LEAST_DEADLINE_MS))


def shortened(ms: int, times: float) -> int:
    """A length of time at this pace; never nothing at all."""
    return max(1, round(ms / times)) if ms > 0 else ms


def _part(part: Part, times: float) -> Part:
    changed: dict[str, Any] = {}
    waits = _WAITS.get(type(part), ())
    if isinstance(part, Step) and part.verb in _OUTSIDE:
        waits = ()
    for name in type(part).model_fields:
        value = getattr(part, name)
        if name in waits:
            changed[name] = _length(value, times)
        elif name not in _LEFT:
            changed[name] = _below(value, times)
    return part.model_copy(update=changed)


def _below(value: Any, times: float) -> Any:
    if isinstance(value, Part):
        return _part(value, times)
    if isinstance(value, list):
        return [_below(one, times) for one in value]
    if isinstance(value, dict):
        return {key: _below(one, times) for key, one in value.items()}
    return value


def _length(value: Any, times: float) -> Any:
    """Milliseconds, or a list of them; a template gives what its input is shortened to."""
    if isinstance(value, list):
        return [shortened(one, times) for one in value]
    return shortened(value, times) if isinstance(value, int) else value


def _given(value: Any, times: float) -> Any:
    """An input's duration as it is written."""
    try:
        return f"{shortened(parse_duration(value), times)}ms"
    except ValueError:
        return value
