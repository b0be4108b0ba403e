"""An event as columns, for targets that have such: names and types, the same everywhere. Pure."""

from __future__ import annotations

from typing import Any

from factory_brain.application.sinks.port import EventRow

TEXTS = ("type", "kind", "alarm", "occurrence", "asset", "tag", "edge", "unit", "state", "status")
LONG_TEXTS = ("actor", "text_zh", "text_en")
WHOLE = ("version", "priority")
NUMBERS = ("value", "limit")
FLAGS = ("active", "acked", "annunciate", "late")
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


def whole(value: Any) -> int | None:
    """A whole number of 64 bits, else nothing."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if _LEAST <= value <= _MOST else None


def number(value: Any) -> float | None:
    """A finite number, else nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    told = float(value)
    return told if told - told == 0 else None


def columns(event: EventRow) -> dict[str, Any]:
    """All columns but the key; a value that is no number stays in the body."""
    view = event.view
    return (
        {name: None if view[name] is None else str(view[name]) for name in TEXTS + LONG_TEXTS}
        | {name: whole(view[name]) for name in WHOLE}
        | {name: number(view[name]) for name in NUMBERS}
        | {name: None if view[name] is None else bool(view[name]) for name in FLAGS}
    )
