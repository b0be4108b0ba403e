"""Which alarms the kernel runs itself, and how it is told of them.

Called by the pipeline at load and when a setting changes. Pure.
"""

from __future__ import annotations

from edge_node.kernel.rules import BAD, EQUAL, HIGH, LOW, STALE
from shared.alarm.definition import AlarmDefinition
from shared.alarm.point import is_high

KERNEL_KINDS = frozenset({"limit", "discrete", "stale", "bad_quality"})
"""All other kinds are conditions of their own (`registry.py`)."""
_FIRST_CODE = 2.0**900
"""Texts are numbers to the kernel; no device sends such a one."""


def in_kernel(definition: AlarmDefinition) -> bool:
    """Whether the kernel runs this alarm's condition."""
    plain = definition.kind in KERNEL_KINDS and definition.condition is None
    return plain and not definition.filters


class TextCodes:
    """The texts that discrete alarms wait for, each with the number that stands for it."""

    __slots__ = ("_codes",)

    def __init__(self) -> None:
        self._codes: dict[str, float] = {}

    def learn(self, text: str) -> float:
        """The number of a text that an alarm names."""
        return self._codes.setdefault(text, _FIRST_CODE * (len(self._codes) + 2))

    def of(self, text: str) -> float:
        """The number of any text; that of no alarm's text when no alarm names it."""
        return self._codes.get(text, _FIRST_CODE)


def kernel_rule(definition: AlarmDefinition, codes: TextCodes) -> tuple[int, float, float]:
    """Kind, limit and deadband of an alarm's rule."""
    match definition.kind:
        case "limit" if definition.side is not None:
            kind = HIGH if is_high(definition.side) else LOW
            return kind, definition.setting.limit, definition.setting.deadband
        case "discrete" if isinstance(definition.equals, str):
            return EQUAL, codes.learn(definition.equals), 0.0
        case "discrete" if definition.equals is not None:
            return EQUAL, float(definition.equals), 0.0
        case "stale":
            return STALE, float(definition.stale_after_ms), 0.0
        case "bad_quality":
            return BAD, 0.0, 0.0
    raise ValueError(f"alarm {definition.id}: kind {definition.kind} is not the kernel's")
