"""Which shift it is: starts at times of day in the site's time zone, daylight saving included.

Asked by the hand-over. Pure: the moment is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from shared.site.shifts import WHOLE_DAY, ShiftSpec


@dataclass(frozen=True, slots=True)
class Turn:
    """One shift on one day: from its start until the next one's."""

    spec: ShiftSpec
    start: int
    end: int


def turns_at(specs: Sequence[ShiftSpec], timezone: str, now: int) -> tuple[Turn, Turn]:
    """The shift that is on at `now` (UTC ms) and the one that follows it."""
    zone = ZoneInfo(timezone)
    today = datetime.fromtimestamp(now / 1000, zone).date()
    chosen = specs or (WHOLE_DAY,)
    starts = sorted(
        (_at(today + timedelta(days=day), spec, zone), spec.id, spec)
        for day in (-1, 0, 1, 2)
        for spec in chosen
    )
    on = max(index for index, (start, _, _) in enumerate(starts) if start <= now)
    first, second, third = (starts[on + ahead] for ahead in range(3))
    return Turn(first[2], first[0], second[0]), Turn(second[2], second[0], third[0])


def _at(day: date, spec: ShiftSpec, zone: ZoneInfo) -> int:
    """The start in UTC ms.

    On the day on which the clocks skip it, as much later as they skip; of two, the first.
    """
    hour, minute = spec.time
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).timestamp() * 1000)
