"""Which side of a limit a figure is on: direction and deadband, as deviation and its kin use them.

Pure; one function for live values and for the score of a model.
"""

from __future__ import annotations

from shared.alarm.condition import Direction


def signed(value: float, direction: Direction) -> float:
    """The figure so that larger is worse."""
    return abs(value) if direction == "both" else value if direction == "high" else -value


def outside(value: float, limit: float, deadband: float, direction: Direction, was: bool) -> bool:
    """Whether a figure is past the limit; the deadband applies to coming back."""
    return signed(value, direction) > (limit - deadband if was else limit)
