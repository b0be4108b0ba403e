"""Whether values of a playbook's inputs may be moved by the group, and within which bounds. Pure.

Asked by the group before it proposes and before it signs, and again by every factory, by the
document that is live there, which alone decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.errors import Rejected
from shared.playbook.model import Input, Playbook
from shared.playbook.site_inputs import faults_of
from shared.site.fields import parse_duration

MAX_INPUTS = 50


def outside(book: Playbook, values: Mapping[str, Any]) -> Rejected | None:
    """Why the group may not move these inputs; None: all are tunable and within their bounds."""
    if not values:
        return Rejected("empty")
    if len(values) > MAX_INPUTS:
        return Rejected("too_large", {"inputs": len(values), "most": MAX_INPUTS})
    for name, value in values.items():
        spec = book.inputs.get(name)
        if spec is None:
            return Rejected("unknown_input", {"playbook": book.playbook, "input": name})
        if spec.tunable is None:
            return Rejected("input_not_tunable", {"playbook": book.playbook, "input": name})
        if faults := faults_of(book, {name: value}):
            return Rejected("input_unfit", {"input": name, "why": faults[0][1]})
        if not within(spec, value):
            bounds = {"min": str(spec.tunable.min), "max": str(spec.tunable.max)}
            return Rejected("input_outside_bounds", {"input": name, **bounds})
    return None


def within(spec: Input, value: Any) -> bool:
    """Whether a value lies in an input's bounds; what cannot be measured does not."""
    bounds = bounds_of(spec)
    at = measure(value)
    return bounds is not None and at is not None and bounds[0] <= at <= bounds[1]


def bounds_of(spec: Input) -> tuple[float, float] | None:
    """What an input may be; None: it is not tunable, or its bounds say nothing."""
    if spec.tunable is None:
        return None
    low, high = measure(spec.tunable.min), measure(spec.tunable.max)
    return None if low is None or high is None else (low, high)


def measure(value: Any) -> float | None:
    """A number or a duration as a number; NaN and all else: none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if value == value and abs(value) != float("inf") else None
    try:
        return float(parse_duration(value)) if isinstance(value, str) else None
    except ValueError:
        return None
