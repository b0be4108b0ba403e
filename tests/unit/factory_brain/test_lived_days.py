"""Retention counts time that was lived through: a clock that leaps makes nothing older."""

from __future__ import annotations

from factory_brain.domain.lived_days import DAY_MS, kept_since

NOW = 20_000 * DAY_MS + 5


def days(first: int, last: int) -> list[int]:
    return [n * DAY_MS for n in range(first, last)]


def test_days_without_a_leap_are_kept_by_the_calendar() -> None:
    for starts in (days(19_000, 20_001), days(19_000, 19_996), days(19_990, 20_000), []):
        assert kept_since(starts, NOW, 400 * DAY_MS) == NOW - 400 * DAY_MS


def test_a_leap_of_the_clock_makes_nothing_older() -> None:
    lived = days(19_500, 20_000)
    for ahead in (10, 30, 401, 5000):
        now = NOW + ahead * DAY_MS
        # At once, and when days of the wrong time stand and events are received in them.
        for later in ([], days(20_000 + ahead - 1, 20_000 + ahead + 2)):
            before = kept_since(lived + later, now, 400 * DAY_MS)
            assert NOW - 401 * DAY_MS <= before <= NOW - 398 * DAY_MS, ahead


def test_days_ahead_of_a_clock_that_was_set_back_count_for_nothing() -> None:
    starts = days(19_500, 20_001) + days(21_000, 21_003)
    assert kept_since(starts, NOW, 400 * DAY_MS) == NOW - 400 * DAY_MS
