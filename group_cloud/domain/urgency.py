"""How urgently a factory wants the group's eyes: a sum of stated parts, each with its reason. Pure.

Points: worst standing priority 400/200/80/20; the age of its oldest unacknowledged alarm, up to
200 at ten minutes (half for priorities 3 and 4); a flood 100 + 10 for each alarm above ten in ten
minutes, at most 300; silence 100 at thirty seconds, rising to 300 at five minutes; open incidents
of priority 1 and 2, 50 each, at most 150; a missed deadline of the dispatch 150.
"""

from __future__ import annotations

from dataclasses import dataclass

from group_cloud.domain.figures import FLOOD

OF_PRIORITY = {1: 400, 2: 200, 3: 80, 4: 20}
AGED_MS, AGED_POINTS = 600_000, 200
SILENT_MS, DEAF_MS = 30_000, 300_000


@dataclass(frozen=True, slots=True)
class Plight:
    """What is known of one factory now."""

    worst_priority: int | None = None
    oldest_unacked_ms: int | None = None
    """Age of the oldest alarm that nobody has acknowledged."""
    in_ten_minutes: int = 0
    silent_ms: int | None = None
    """Since when no heartbeat came; None: it never was heard."""
    grave_incidents: int = 0
    missed: int = 0
    """Assignments whose deadline has passed."""


def urgency(plight: Plight) -> dict[str, int]:
    """The parts of the score by reason; parts of nothing are left out."""
    parts = {
        "priority": OF_PRIORITY.get(plight.worst_priority or 0, 0),
        "unacknowledged": _age(plight),
        "flood": _flood(plight.in_ten_minutes),
        "silence": _silence(plight.silent_ms),
        "incidents": min(150, 50 * plight.grave_incidents),
        "deadline": 150 if plight.missed else 0,
    }
    return {name: points for name, points in parts.items() if points}


def score(parts: dict[str, int]) -> int:
    """The sum by which factories are sorted, highest first."""
    return sum(parts.values())


def _age(plight: Plight) -> int:
    if plight.oldest_unacked_ms is None or plight.oldest_unacked_ms <= 0:
        return 0
    full = AGED_POINTS if (plight.worst_priority or 4) <= 2 else AGED_POINTS // 2
    return round(full * min(1.0, plight.oldest_unacked_ms / AGED_MS))


def _flood(count: int) -> int:
    return min(300, 100 + 10 * (count - FLOOD)) if count > FLOOD else 0


def _silence(silent_ms: int | None) -> int:
    if silent_ms is None or silent_ms < SILENT_MS:
        return 0
    share = min(1.0, (silent_ms - SILENT_MS) / (DEAF_MS - SILENT_MS))
    return round(100 + 200 * share)
