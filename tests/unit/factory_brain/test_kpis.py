"""Live figures over days that pass, with late data, against figures of the same period."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from factory_brain.application.kpis import WINDOWS, LiveFigures, figures_of_period
from factory_brain.domain.kpi_rows import EVERYTHING, Entry, Scope
from shared.alarm.kpi import KpiLimits, report
from shared.alarm.kpi.records import ACKNOWLEDGED, RAISED, RETURNED, Record
from shared.clock import ManualClock
from shared.site.kpi import KpiFile

HOUR = 3_600_000
BEGIN = 1_700_000_000_000 // (24 * HOUR) * 24 * HOUR


@dataclass
class Held:
    """A journal in memory: (arrival, record)."""

    rows: list[tuple[int, Record]] = field(default_factory=list)
    read: int = 0

    def _entries(self, low: int, high: int) -> list[Entry]:
        found = sorted((r for _, r in self.rows if low <= r.time < high), key=lambda r: r.time)
        return [Entry(r.time, r, r.alarm, "H", "f1.e1", "") for r in found]

    async def entries(
        self, since: int, until: int, limits: KpiLimits, scope: Scope = EVERYTHING
    ) -> AsyncIterator[list[Entry]]:
        self.read += until - since
        yield self._entries(since, until)

    async def before(self, since: int, limits: KpiLimits, scope: Scope = EVERYTHING) -> list[Entry]:
        return self._entries(0, since)

    async def touched(
        self, received_since: int, received_until: int, oldest: int, limits: KpiLimits
    ) -> dict[tuple[int, int], int]:
        found: dict[tuple[int, int], int] = {}
        for at, record in self.rows:
            if received_since // 10_000 * 10_000 <= at < received_until and record.time >= oldest:
                place = (record.time // limits.window_ms * limits.window_ms, at // 10_000)
                found[place] = found.get(place, 0) + 1
        return found


async def same(live: LiveFigures, journal: Held, now: int) -> None:
    for window in WINDOWS:
        found = await live.figures(window, now)
        whole = await figures_of_period(journal, found.period.start, now, KpiLimits())
        assert report(found) == report(whole), window


@pytest.mark.parametrize("seed", range(3))
async def test_live_figures_equal_those_of_the_period_while_days_pass(seed: int) -> None:
    draw, clock, journal = random.Random(seed), ManualClock(BEGIN - 5 * 24 * HOUR), Held()
    live = LiveFigures(journal, KpiFile, "Asia/Kathmandu", clock)
    await live.catch_up()
    for _ in range(60):
        clock.advance(draw.choice([1000, 9 * 60_000, HOUR, 7 * HOUR, 30 * HOUR]))
        now = clock.now_ms()
        for _ in range(draw.randrange(25)):
            # Mostly just now, in bursts; some hours or days late; some by a clock that is ahead.
            back = draw.choice([0, 0, 0, 60_000, 5 * HOUR, 50 * HOUR, -90_000])
            at = (now - back - draw.randrange(400_000)) // 1000 * 1000
            kind = draw.choice([RAISED, RAISED, RETURNED, ACKNOWLEDGED])
            journal.rows.append((now, Record(at, draw.choice("abc"), kind, "1")))
        await live.catch_up()
        await same(live, journal, now // 1000 * 1000)
    assert len(journal.rows) > 300


async def test_a_clock_that_is_set_back_hides_nothing_that_comes_then() -> None:
    clock, journal = ManualClock(BEGIN + 13 * HOUR), Held()
    live = LiveFigures(journal, KpiFile, "UTC", clock)
    await live.catch_up()
    clock.advance(-49 * HOUR)
    await live.catch_up()
    for minute in range(3):
        now = clock.now_ms()
        journal.rows.append((now, Record(now - 1000, "a", RAISED, str(minute))))
        await live.catch_up()
        await same(live, journal, clock.now_ms())
        assert (await live.figures("24h")).annunciations == minute + 1
        clock.advance(60_000)


async def test_a_late_row_costs_one_interval_and_a_quiet_look_nothing() -> None:
    clock, journal = ManualClock(BEGIN + 13 * HOUR), Held()
    live = LiveFigures(journal, KpiFile, "UTC", clock)
    await live.catch_up()
    journal.read = 0
    await live.catch_up()
    assert journal.read == 0
    journal.rows.append((clock.now_ms(), Record(BEGIN + 2 * HOUR, "a", RAISED, "1")))
    await live.catch_up()
    await live.catch_up()
    assert journal.read == KpiLimits().window_ms
    assert (await live.figures("24h")).annunciations == 1


def test_windows_begin_with_an_interval_and_shifts_in_the_sites_own_time() -> None:
    clock = ManualClock(BEGIN + 13 * HOUR + 123_456)
    live = LiveFigures(Held(), KpiFile, "Asia/Shanghai", clock)
    now = clock.now_ms()
    assert now - live.since("10min", now) == 600_000
    assert live.since("1h", now) == BEGIN + 12 * HOUR
    assert live.since("24h", now) == BEGIN - 11 * HOUR
    # 21:02 in Shanghai: the shift began at 16:00 there, at 8:00 here.
    assert live.since("shift", now) == BEGIN + 8 * HOUR
    assert live.since("30d", now) == BEGIN - 30 * 24 * HOUR
    with pytest.raises(KeyError):
        live.since("1y", now)
