"""What a factory's shadow counts and record of faults say, as the optimiser is given it. Pure.

Made from the tables by the application, judged here: a day teaches only if people were judging.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from group_cloud.domain.evidence import Point
from shared.alarm.grid import Grid
from shared.alarm.point import Setting

DAY_MS = 86_400_000
COVERED = 0.5
"""A day with good samples for less of its time says nothing."""
SHORTEST_MS = 3_600_000
WATCH_DAYS = 7
"""A quiet day counts if people judged something at this factory within so many days after it."""


@dataclass(frozen=True, slots=True)
class CountedDay:
    """One day of a point, as its factory counted it; scaled to a whole day where it was less."""

    day: int
    since: int
    until: int
    coverage: float
    activations: bytes
    standing: bytes
    told: float
    """How often the live setting told."""
    mean: float | None = None
    sigma: float | None = None

    @property
    def usable(self) -> bool:
        """Whether enough of it was seen."""
        return self.coverage >= COVERED and self.until - self.since >= SHORTEST_MS


@dataclass(frozen=True, slots=True)
class Span:
    """One recorded fault."""

    id: str
    start: int
    end: int
    recorded_at: int
    cause: str = ""


@dataclass(frozen=True, slots=True)
class PointEvidence:
    """All that is known of one alarm point."""

    point: Point
    key: str
    """What like points of several factories share."""
    tag_class: str
    side: str
    unit: str
    names: Mapping[str, str]
    current: Setting
    bounds: Mapping[str, float]
    grid: Mapping[str, Any]
    """The candidates of all its days and verdicts."""
    line: str = ""
    days: tuple[CountedDay, ...] = ()
    verdicts: Mapping[str, bytes] = field(default_factory=dict)
    """fault -> float32 seconds by candidate."""
    labelled: frozenset[int] = frozenset()
    """Days on which somebody judged an alarm of this very point."""
    true_alarms: int = 0
    nuisance: int = 0


@dataclass(frozen=True, slots=True)
class SiteEvidence:
    """One factory."""

    site: str
    points: tuple[PointEvidence, ...] = ()
    faults: tuple[Span, ...] = ()
    judged_at: tuple[int, ...] = ()
    """When anybody there judged anything: labels and records of faults."""


def judged(
    day: CountedDay, labelled: Set[int], faults: Sequence[Span], judged_at: Sequence[int]
) -> bool:
    """Whether a day may teach: what people were silent about is no evidence.

    A day with alarms needs a judgement of one of them, or a recorded fault; a day without any
    counts if people of that factory judged something on it or within the week after it.
    """
    begin, end = day.day * DAY_MS, (day.day + 1) * DAY_MS
    if day.told > 0:
        return day.day in labelled or any(f.start < end and f.end >= begin for f in faults)
    return any(begin <= at < end + WATCH_DAYS * DAY_MS for at in judged_at)


def teaching_days(point: PointEvidence, site: SiteEvidence) -> list[CountedDay]:
    """The days of a point that may teach, oldest first."""
    found = (
        day for day in point.days
        if day.usable and judged(day, point.labelled, site.faults, site.judged_at)
    )  # fmt: skip
    return sorted(found, key=lambda day: day.day)


def known_faults(site: SiteEvidence) -> list[Span]:
    """Recorded faults of which at least one point has something to say."""
    told = {fault for point in site.points for fault, delays in point.verdicts.items() if delays}
    return [fault for fault in site.faults if fault.id in told]


def counted_bar(
    point: PointEvidence, site: SiteEvidence, setting: Setting
) -> dict[str, Any] | None:
    """What one setting of a point told by the counts: alarms a day, faults that this point missed.

    None where it is none of the counted candidates or no whole day was counted.
    """
    place = Grid.from_dict(point.grid).index(setting)
    days = [day for day in point.days if day.usable]
    if place is None or not days:
        return None
    told = stood = 0.0
    for day in days:
        scale = DAY_MS / (day.until - day.since)
        told += scale * struct.unpack_from("<i", day.activations, 4 * place)[0]
        stood += scale * struct.unpack_from("<f", day.standing, 4 * place)[0]
    known = {fault.id for fault in site.faults}
    delays = [
        struct.unpack_from("<f", data, 4 * place)[0]
        for fault, data in point.verdicts.items() if data and fault in known
    ]  # fmt: skip
    late = [delay for delay in delays if delay >= 0]
    return {
        "alarms_per_day": round(told / len(days), 3), "missed": len(delays) - len(late),
        "delay_s": round(median(late), 1) if late else None,
        "standing_h_per_day": round(stood / len(days) / 3600, 4),
    }  # fmt: skip


def daily(point: PointEvidence, now: Setting, then: Setting) -> list[list[float | None]]:
    """Of each counted day: its number, mean, sigma, the alarms now and then (None: not counted)."""
    grid = Grid.from_dict(point.grid)
    places = [grid.index(setting) for setting in (now, then)]
    return [
        [day.day, day.mean, day.sigma, *(_told(day, place) for place in places)]
        for day in point.days
        if day.usable
    ]


def _told(day: CountedDay, place: int | None) -> float | None:
    return None if place is None else float(struct.unpack_from("<i", day.activations, 4 * place)[0])
