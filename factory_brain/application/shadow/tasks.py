"""What the counting is asked and what it answers: plain data that passes between two processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.alarm.point import Setting, Side

LIVE, ENGINEER, CANDIDATE = "live", "engineer", "candidate"


@dataclass(frozen=True, slots=True)
class Question:
    """One alarm point to be counted."""

    alarm: str
    side: Side
    named: dict[str, Setting]
    """live, engineer and, where one is on trial, candidate."""
    grid: dict[str, Any] = field(default_factory=dict)
    """Empty: to be made around the engineer's setting."""
    bounds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DayCount:
    """What a day says of one alarm point."""

    alarm: str
    grid: dict[str, Any]
    activations: bytes
    standing: bytes
    named: dict[str, list[float]]
    engineer_only: list[list[int]]
    engineer_only_more: int
    mean: float | None
    sigma: float | None


@dataclass(frozen=True, slots=True)
class FaultCount:
    """What each candidate of one alarm point would have said about a fault."""

    alarm: str
    grid: dict[str, Any]
    delays: bytes
    named: dict[str, float]
