"""A better setting found in shadow counts, with everything that people are shown of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from group_cloud.domain.evidence import Point
from shared.alarm.point import Setting


@dataclass(frozen=True, slots=True)
class Bar:
    """What one setting does: false alarms, missed faults, delay, standing time."""

    false_per_day: float
    missed: int
    delay_min: float | None
    """Median of the delays until the first alarm of the plant tells of a fault."""
    standing_h_per_day: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "false_per_day": round(self.false_per_day, 3), "missed": self.missed,
            "delay_s": None if self.delay_min is None else round(self.delay_min * 60, 1),
            "standing_h_per_day": round(self.standing_h_per_day, 4),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bettered:
    """A fault of which the plant would be told at another time."""

    fault: str
    at: int
    before_min: float
    after_min: float


@dataclass(frozen=True, slots=True)
class LimitFound:
    """One alarm point's better setting."""

    point: Point
    current: Setting
    proposed: Setting
    now: Bar
    then: Bar
    days: int
    """Judged days that it rests on."""
    faults: int
    group_faults: int
    caught: tuple[str, ...]
    """Faults that nothing told and something now would."""
    lost: tuple[str, ...]
    later: tuple[Bettered, ...]
    per_day: float
    """Alarms a day that are to be expected, true ones too."""
    before_per_day: float
    trend: tuple[tuple[float | None, ...], ...]
    """(day, mean, sigma, alarms now, alarms then)."""
    fingerprint: str
    newest_at: int
    supposes: tuple[str, ...] = ()
    """Alarms whose proposals this one takes as accepted."""
