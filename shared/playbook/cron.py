"""Five cron fields in a site's local time, also where its clocks are put forward or back. Pure.

A line whose hour is fixed runs once a day of the calendar: what the clock leaves out runs at the
minute after, the hour that comes twice counts once. A line of every hour follows the clock on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE_MS = 60_000
_FIELDS = (
    ("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12),
    ("day of week", 0, 7),
)  # fmt: skip
_NAMES = {
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "day of week": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
_FIRST = {"month": 1, "day of week": 0}


@dataclass(frozen=True, slots=True)
class Cron:
    """A line that was read."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    every_hour: bool
    any_day: bool
    any_weekday: bool

    @classmethod
    def parse(cls, line: str) -> Cron:
        """Read five fields; raises ValueError that says which one is wrong and why."""
        parts = line.split()
        if len(parts) != 5:
            raise ValueError(
                f"{line!r} has {len(parts)} fields and not five: minute hour day month weekday"
            )
        found = [_field(text, *spec) for text, spec in zip(parts, _FIELDS, strict=True)]
        weekdays = frozenset(day % 7 for day in found[4])
        return cls(
            found[0], found[1], found[2], found[3], weekdays, parts[1].startswith("*"),
            parts[2].startswith("*"), parts[4].startswith("*"),
        )  # fmt: skip

    def matches(self, local: datetime) -> bool:
        """Whether a local time is one of the line's."""
        if local.minute not in self.minutes or local.hour not in self.hours:
            return False
        if local.month not in self.months:
            return False
        day, weekday = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        # As every cron: when both are restricted, either will do.
        either = not self.any_day and not self.any_weekday
        return (day or weekday) if either else (day and weekday)

    def due(self, zone: ZoneInfo, after: int, through: int) -> Iterator[int]:
        """The minutes (UTC ms) at which it runs in (after, through], oldest first."""
        at = (after // MINUTE_MS + 1) * MINUTE_MS
        before = _local(at - MINUTE_MS, zone)
        while at <= through:
            local = _local(at, zone)
            if self._runs(before, local):
                yield at
            before, at = local, at + MINUTE_MS

    def _runs(self, before: datetime, local: datetime) -> bool:
        if self.every_hour:
            return self.matches(local)
        if local.fold:  # this hour has been
            return False
        if self.matches(local):
            return True
        wall = before.replace(tzinfo=None, fold=0) + timedelta(minutes=1)
        end = local.replace(tzinfo=None, fold=0)
        while wall < end and not before.fold:  # minutes that the clock has left out
            if self.matches(wall):
                return True
            wall += timedelta(minutes=1)
        return False


def _local(at: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)


def _field(text: str, what: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if step and (not step.isdigit() or int(step) < 1):
            raise ValueError(f"{what}: the step of {part!r} is no number from 1")
        first, last = _span(span, what, low, high, bool(step))
        if first > last:
            raise ValueError(f"{what}: {part!r} ends before it begins")
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)


def _span(span: str, what: str, low: int, high: int, stepped: bool) -> tuple[int, int]:
    if span == "*":
        return low, high
    first, dash, last = span.partition("-")
    begin = _number(first, what, low, high)
    if dash:
        return begin, _number(last, what, low, high)
    return begin, high if stepped else begin


def _number(text: str, what: str, low: int, high: int) -> int:
    names = _NAMES.get(what, ())
    if text.lower() in names:
        return names.index(text.lower()) + _FIRST[what]
    if not text.isdigit() or not low <= int(text) <= high:
        raise ValueError(f"{what}: {text!r} is not within {low} to {high}")
    return int(text)
