"""Schedules: a condition that counts only at certain times of the week, in the site's time zone.

Wraps any condition; its opening and closing act by themselves, without a sample. Times of day are
those of the wall, also on days with 23 or 25 hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from edge_node.domain.conditions.port import Answer, Condition, Environment
from shared.alarm.condition import Schedule

LATEST_MS = 60_000
"""The schedule is looked at so often by the clock, in case somebody sets the wall clock."""


class Calendar:
    """Whether a schedule is open at a moment, and until when that stays so."""

    __slots__ = ("_openings", "_zone")

    def __init__(self, schedule: Schedule) -> None:
        self._zone = ZoneInfo(schedule.timezone)
        self._openings = schedule.openings

    def at(self, wall_ms: int) -> tuple[bool, int]:
        """(open, wall time of the next change, at the latest in a week)."""
        today = datetime.fromtimestamp(wall_ms / 1000, self._zone).date()
        latest = wall_ms + 7 * 86_400_000
        spans = sorted(self._spans(today))
        until = wall_ms
        for start, end in spans:  # windows that touch or overlap are one
            if start <= until < end:
                until = end
        if until > wall_ms:
            return True, min(until, latest)
        following = [start for start, _ in spans if start > wall_ms]
        return False, min([*following, latest])

    def _spans(self, today: date) -> Iterator[tuple[int, int]]:
        for offset in range(-1, 9):
            day = today + timedelta(days=offset)
            for opening in self._openings:
                if day.weekday() in opening.days:
                    over = opening.end <= opening.start
                    yield (
                        self._moment(day, opening.start),
                        self._moment(day + timedelta(days=1) if over else day, opening.end),
                    )

    def _moment(self, day: date, minutes: int) -> int:
        day += timedelta(days=minutes // 1440)
        minutes %= 1440
        local = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60,
                         tzinfo=self._zone)  # fmt: skip
        return round(local.timestamp() * 1000)


class ScheduledCondition:
    """`inner` while the schedule is open; not there while it is closed."""

    __slots__ = ("_calendar", "_open", "_until", "alarms", "every_ms", "inner", "tags")

    def __init__(self, inner: Condition, schedule: Schedule) -> None:
        self.inner, self._calendar = inner, Calendar(schedule)
        self.tags, self.alarms = inner.tags, inner.alarms
        self.every_ms: int | None = min(inner.every_ms or LATEST_MS, LATEST_MS)
        self._open, self._until = False, -1

    def sample(self, tag: str, at: int, value: float | str, good: bool) -> None:
        """The inner condition sees all samples, so that it knows its state at the opening."""
        self.inner.sample(tag, at, value, good)

    def look(self, tags: Environment, at: int) -> Answer:
        """The inner condition while open."""
        wall = at + tags.wall_ahead
        self._open, self._until = self._calendar.at(wall)
        change = self._until - tags.wall_ahead
        answer = self.inner.look(tags, at)
        if not self._open:
            return replace(answer, holds=False, reason="", again_at=change)
        again = change if answer.again_at is None else min(change, answer.again_at)
        return replace(answer, again_at=again)

    def adopt(self, old: Condition) -> None:
        """The inner condition goes on."""
        self.inner.adopt(old.inner if isinstance(old, ScheduledCondition) else old)
