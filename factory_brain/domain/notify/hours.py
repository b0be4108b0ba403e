"""Hours of the day by a wall clock: which window holds an instant, and when it ends. Pure.

Every window is turned into instants first, so a day of 23 or 25 hours opens and closes it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from shared.site.notify import DAYS, HoursSpec

MOST = 64
"""Windows that may follow each other without a gap; quiet for ever ends here."""


def instant(day: date, clock: str, zone: ZoneInfo) -> int:
    """UTC ms of a wall-clock time: the first of two, and the moment of the jump where it is left
    out by one.
    """
    hour, _, minute = clock.partition(":")
    local = datetime.combine(day, time(int(hour), int(minute)), tzinfo=zone)
    there = local.astimezone(UTC)
    if there.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        # In the gap: fold=1 reads it with the offset after the jump, fold=0 with the one before.
        late, early = there, local.replace(fold=1).astimezone(UTC)
        return _jump(early, late, zone)
    return int(there.timestamp() * 1000)


def _jump(early: datetime, late: datetime, zone: ZoneInfo) -> int:
    """The instant between two at which the zone's offset changes, to the minute."""
    before = early.astimezone(zone).utcoffset()
    low, high = 0, int((late - early).total_seconds() // 60)
    while low < high:
        middle = (low + high) // 2
        if (early + timedelta(minutes=middle)).astimezone(zone).utcoffset() == before:
            low = middle + 1
        else:
            high = middle
    return int((early + timedelta(minutes=low)).timestamp() * 1000)


def local_day(at: int, zone: ZoneInfo) -> date:
    """The day that the wall clock shows."""
    return datetime.fromtimestamp(at / 1000, zone).date()


def windows_near(hours: Iterable[HoursSpec], zone: ZoneInfo, at: int) -> list[tuple[int, int]]:
    """Windows of the day before, the day and the day after, as [since, until)."""
    found: list[tuple[int, int]] = []
    today = local_day(at, zone)
    for each in hours:
        for shift in (-1, 0, 1):
            day = today + timedelta(days=shift)
            if DAYS[day.weekday()] not in each.days:
                continue
            last = day if each.to > each.start else day + timedelta(days=1)
            since, until = instant(day, each.start, zone), instant(last, each.to, zone)
            if since < until:
                found.append((since, until))
    return sorted(found)


def holds(hours: Sequence[HoursSpec], zone: ZoneInfo, at: int) -> bool:
    """Whether `at` lies in one of the windows."""
    return any(since <= at < until for since, until in windows_near(hours, zone, at))


def free_from(hours: Sequence[HoursSpec], zone: ZoneInfo, at: int) -> int:
    """The first instant from `at` on that lies in no window."""
    for _ in range(MOST):
        ends = [until for since, until in windows_near(hours, zone, at) if since <= at < until]
        if not ends:
            return at
        at = max(ends)
    return at
