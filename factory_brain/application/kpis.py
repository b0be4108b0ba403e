"""The factory's alarm figures: of any period from the journal, and live ones kept up to date.

Live ones hold a piece for each interval of the last day and for each older day; only what an
arrival touched is read again, however late it came. Called by the routes; writes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from factory_brain.domain.kpi_rows import EVERYTHING, Entry, Scope
from shared.alarm.kpi.alarm_run import Run
from shared.alarm.kpi.figures import Counting, Figures, Period
from shared.alarm.kpi.limits import KpiLimits
from shared.alarm.kpi.records import Record
from shared.alarm.kpi.shards import Making, Shard, figures_of, join, standing
from shared.clock import Clock
from shared.site.kpi import KpiFile
from shared.telemetry import logger

log = logger("kpi")
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
DAYS = 31
"""Whole days and today: never less than thirty."""
OVERLAP_MS = 30_000
"""Arrivals are asked for again for so long: a slow transaction commits after a later one."""
LOOK_S = 1.0
DUTY = 10
"""Reading takes at most one part in so many of the time."""
RAW_MOST = 50_000
"""Records of an interval that are kept as they are; of a storm only what was counted is."""
WINDOWS = ("10min", "1h", "shift", "24h", "30d")


class Journal(Protocol):
    """The journal by the events' own time (see `adapters/postgres/kpi_journal.py`)."""

    def entries(
        self, since: int, until: int, limits: KpiLimits, scope: Scope = EVERYTHING
    ) -> AsyncIterator[list[Entry]]:
        """Rows of a period in order, in batches."""
        ...

    async def before(self, since: int, limits: KpiLimits, scope: Scope = EVERYTHING) -> list[Entry]:
        """What led up to a period."""
        ...


class Followed(Journal, Protocol):
    """A journal that says what came in."""

    async def touched(
        self, received_since: int, received_until: int, oldest: int, limits: KpiLimits
    ) -> dict[tuple[int, int], int]:
        """How much came, by (interval of its own time, slot of arrival)."""
        ...


async def figures_of_period(
    journal: Journal, since: int, until: int, limits: KpiLimits, scope: Scope = EVERYTHING
) -> Figures:
    """Figures of `[since, until)`; both are cut to the resolution."""
    step = limits.resolution_ms
    period = Period(since // step * step, until // step * step)
    counting = Counting(period, limits)
    for entry in await journal.before(period.start, limits, scope):
        counting.take(entry.record)
    async for batch in journal.entries(period.start, period.end, limits, scope):
        for entry in batch:
            counting.take(entry.record)
        await asyncio.sleep(0)
    return counting.figures()


class LiveFigures:
    """Figures up to now, of windows that begin where an interval begins."""

    def __init__(
        self, journal: Followed, chosen: Callable[[], KpiFile], zone: str, clock: Clock
    ) -> None:
        self._journal, self._chosen, self._clock = journal, chosen, clock
        self._zone = ZoneInfo(zone)
        self._limits = chosen().limits()
        self._bins: dict[int, Shard] = {}
        self._raw: dict[int, list[Record]] = {}
        """The newest intervals as they are: what a fast clock says is yet to come is left out."""
        self._days: dict[int, Shard] = {}
        self._before: dict[int, dict[str, Run]] = {}
        self._made: dict[int, tuple[tuple[int, int], Shard]] = {}
        self._came: dict[tuple[int, int], int] = {}
        """What was counted at the last look: only what differs is read again."""
        self._version = 0
        self._looked = 0
        self.loaded = False
        """Whether the last days have been read; before, live figures are not given."""
        self._wake = asyncio.Event()
        self._busy = asyncio.Lock()

    def wake(self) -> None:
        """Something was committed."""
        self._wake.set()

    async def run(self) -> None:
        """Keep up with the journal for ever."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await self.catch_up()
            took = loop.time() - began
            self._wake.clear()
            await asyncio.sleep(max(LOOK_S, took * DUTY))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S * 10):
                    await self._wake.wait()

    async def catch_up(self) -> None:
        """Read anew what was touched since the last look."""
        async with self._busy:
            if self._chosen().limits() != self._limits:
                self._limits = self._chosen().limits()
                self._forget()
            now = self._clock.now_ms()
            if now < self._looked - OVERLAP_MS:
                self._forget()  # the clock was set back: what came since the last look is "before"
            if not self.loaded:
                await self._load(now)
            else:
                came = await self._journal.touched(
                    self._looked - OVERLAP_MS, now + OVERLAP_MS, self._oldest(now), self._limits
                )
                new = {place[0] for place, n in came.items() if self._came.get(place) != n}
                await self._read_again(new, now)
                self._came = came
            self._looked = now

    def _forget(self) -> None:
        self._bins.clear()
        self._raw.clear()
        self._days.clear()
        self._before.clear()
        self._made.clear()
        self.loaded = False

    def _oldest(self, now: int) -> int:
        return now // DAY_MS * DAY_MS - (DAYS - 1) * DAY_MS

    def _recent(self, now: int) -> int:
        """From here on intervals are kept one by one: yesterday and today."""
        return now // DAY_MS * DAY_MS - DAY_MS

    async def _load(self, now: int) -> None:
        for day in range(self._oldest(now), self._recent(now), DAY_MS):
            self._days[day] = await self._shard(day, day + DAY_MS)
        width = self._limits.window_ms
        for start in range(self._recent(now), now + 1, width):
            await self._read_bin(start)
        self.loaded = True
        log.info("kpi_loaded", days=len(self._days), intervals=len(self._bins))

    async def _read_bin(self, start: int) -> None:
        end, raw = start + self._limits.window_ms, []
        making = Making(start, end, self._limits)
        newest = start >= self._newest(self._clock.now_ms())
        async for record in self._records(start, end):
            making.take(record)
            if newest and len(raw) <= RAW_MOST:
                raw.append(record)
        self._bins[start] = making.shard()
        self._raw.pop(start, None)
        if newest and len(raw) <= RAW_MOST:
            self._raw[start] = raw

    def _newest(self, now: int) -> int:
        """From here on records are kept as they are: the interval of now and the one before."""
        width = self._limits.window_ms
        return now // width * width - width

    async def _read_again(self, touched: set[int], now: int) -> None:
        self._age(now)
        width, recent = self._limits.window_ms, self._recent(now)
        late = {start // DAY_MS * DAY_MS for start in touched if start < recent}
        for start in sorted(start for start in touched if start >= recent):
            await self._read_bin(start)
        for day in sorted(late):
            self._days[day] = await self._shard(day, day + DAY_MS)
        current = now // width * width
        if any(start < current for start in touched):
            self._version += 1
            self._before.clear()  # what stood at a window's start may be another story now

    def _age(self, now: int) -> None:
        """Days become one piece; what is too old goes."""
        recent, width = self._recent(now), self._limits.window_ms
        while old := sorted(start for start in self._bins if start < recent):
            day = old[0] // DAY_MS * DAY_MS
            starts = range(day, day + DAY_MS, width)
            self._days[day] = join([self._bin(start) for start in starts], self._limits)
            for start in starts:
                self._bins.pop(start, None)
        for day in [day for day in self._days if day < self._oldest(now)]:
            del self._days[day]
        for start in [start for start in self._raw if start < self._newest(now)]:
            del self._raw[start]

    async def _records(self, begin: int, end: int) -> AsyncIterator[Record]:
        async for batch in self._journal.entries(begin, end, self._limits):
            for entry in batch:
                yield entry.record
            await asyncio.sleep(0)

    async def _shard(self, begin: int, end: int) -> Shard:
        making = Making(begin, end, self._limits)
        async for record in self._records(begin, end):
            making.take(record)
        return making.shard()

    def _bin(self, start: int) -> Shard:
        found = self._bins.get(start)
        return found or Shard.of((), start, start + self._limits.window_ms, self._limits)

    def since(self, window: str, now: int) -> int:
        """Where a window begins; raises KeyError for an unknown one."""
        width = self._limits.window_ms
        match window:
            case "10min":
                return now - 10 * MINUTE_MS
            case "1h":
                return (now - HOUR_MS) // width * width
            case "shift":
                return self._shift(now) // width * width
            case "24h":
                return (now - DAY_MS) // width * width
            case "30d":
                return self._oldest(now)
        raise KeyError(window)

    def _shift(self, now: int) -> int:
        local = datetime.fromtimestamp(now / 1000, self._zone)
        starts: list[datetime] = []
        for back in (0, 1):
            day = datetime.fromtimestamp(now / 1000 - back * 86_400, self._zone)
            for text in self._chosen().shifts:
                hour, minute = map(int, text.split(":"))
                starts.append(day.replace(hour=hour, minute=minute, second=0, microsecond=0))
        return int(max(s for s in starts if s <= local).timestamp() * 1000)

    async def figures(self, window: str, until: int | None = None) -> Figures:
        """Figures of a window up to now, from what is held; raises KeyError for an unknown one."""
        step = self._limits.resolution_ms
        now = (self._clock.now_ms() if until is None else until) // step * step
        begin = self.since(window, now) // step * step
        async with self._busy:
            if window == "10min":
                return await self._rolling(begin, now)
            if begin not in self._before:
                if len(self._before) > len(WINDOWS) * 2:
                    self._before.clear()
                entries = await self._journal.before(begin, self._limits)
                self._before[begin] = standing((e.record for e in entries), self._limits)
            return figures_of(self._whole(begin, now), now, self._before[begin], self._limits)

    async def _rolling(self, begin: int, now: int) -> Figures:
        """The last minutes, wherever they begin; counted one by one."""
        width = self._limits.window_ms
        bins = range(begin // width * width, now, width)
        if any(start in self._bins and start not in self._raw for start in bins):
            return await figures_of_period(self._journal, begin, now, self._limits)
        counting = Counting(Period(begin, now), self._limits)
        for entry in await self._journal.before(begin, self._limits):
            counting.take(entry.record)
        for start in sorted(self._raw):
            for record in self._raw[start]:
                if record.time >= begin:
                    counting.take(record)
        return counting.figures()

    def _whole(self, begin: int, now: int) -> Shard:
        """All pieces from `begin` to now as one; all but the last made once for each change."""
        width = self._limits.window_ms
        last = now // width * width
        if last in self._bins and last not in self._raw:
            newest = self._bins[last]  # a storm: too many to keep one by one
        else:
            final = [r for r in self._raw.get(last, ()) if r.time < now]
            newest = Shard.of(final, last, last + width, self._limits)
        if begin >= last:
            return newest
        mark = (self._version, last)
        kept = self._made.get(begin)
        if kept is None or kept[0] != mark:
            if len(self._made) > len(WINDOWS) * 2:
                self._made.clear()
            kept = self._made[begin] = (mark, join(self._pieces(begin, last), self._limits))
        return kept[1].joined(newest, self._limits)

    def _pieces(self, begin: int, end: int) -> list[Shard]:
        pieces: list[Shard] = []
        at = begin
        while at < end:
            day = self._days.get(at)
            pieces.append(day or self._bin(at))
            at += DAY_MS if day else self._limits.window_ms
        return pieces
