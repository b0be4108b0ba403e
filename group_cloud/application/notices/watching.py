"""Feeds each closed day of each factory to its drift watch, once, and opens notices.

Run by the cloud; its state is the database's, so a restart loses nothing and repeats nothing. It
asks for people and changes nothing else.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence

from group_cloud.application.notices.ports import (
    Fed,
    Feed,
    Found,
    Learn,
    Notice,
    NoticeRows,
    Site,
    Watched,
)
from group_cloud.application.ports import Audit, Records
from shared.clock import Clock
from shared.ids import uuid7
from shared.telemetry import logger

log = logger("drift")
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
GRACE_MS: dict[Feed, int] = {"rates": 2 * HOUR_MS, "labels": 3 * DAY_MS}
"""How long after its end a day is complete, where nothing is known to be on its way: alarms come
at once, people judge within days. What comes later changes no day that was fed."""
LATEST_MS = 7 * DAY_MS
"""A factory or an edge that is away holds its days back for this long at the most."""
BACK_DAYS = 84
"""Days that a watch is fed at its first start: as many as it holds."""
NEWS_DAYS = 14
"""What changed longer ago is no news: the watch learns it and says nothing."""
CHUNK_DAYS = 7
MOST_OPEN = 200
"""Notices of one factory that may wait for people."""
EVERY_S = 600.0
GROUP = "group"


class DriftWatching:
    """Watches all factories."""

    def __init__(
        self, rows: NoticeRows, records: Records, audit: Audit, clock: Clock, learn: Learn,
        told_until: Callable[[str], int | None], keep_days: int = 400,
    ) -> None:  # fmt: skip
        self._rows, self._records, self._audit, self._clock = rows, records, audit, clock
        self._learn, self._told_until = learn, told_until
        self._keep_ms = keep_days * DAY_MS
        self.on_change: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            await self.watch()
            await self._rows.prune(self._clock.now_ms() - self._keep_ms)
            await asyncio.sleep(EVERY_S)

    async def watch(self) -> int:
        """One round over all factories; returns how many notices were opened."""
        opened = 0
        for site in await self._rows.sites():
            for feed in GRACE_MS:
                while (found := await self._feed(site, feed)) is not None:
                    opened += found
        if opened:
            self.on_change()
        return opened

    async def _feed(self, site: Site, feed: Feed) -> int | None:
        """The next days of one feed in one transaction; None: there is none yet."""
        last = self._closed(site, feed)
        known = await self._rows.watched(site.site, feed)
        # The first day of a factory is only part of one.
        first = max(site.first_day + 1, last - BACK_DAYS + 1)
        state = known or Watched(last + 1, first - 1)
        until = min(last, state.day + CHUNK_DAYS)
        if until <= state.day:
            return None
        days = range(state.day + 1, until + 1)
        numbers = await self._rows.numbers(site.site, feed, state.began, days)
        # Hundreds of points cost tens of milliseconds, and a first start many weeks of them.
        found, data = await asyncio.to_thread(self._learn, state.data, numbers)
        news = [each for each in found if each.day > last - NEWS_DAYS]
        return await self._keep(site.site, feed, state, Watched(state.began, until, data), news)

    def _closed(self, site: Site, feed: Feed) -> int:
        """The newest day that is complete: all told, by the factory and by its edges."""
        now = self._clock.now_ms()
        told = self._told_until(site.site)
        heard = now - LATEST_MS if told is None else told
        if site.edges_told is not None:
            heard = min(heard, site.edges_told)
        heard = max(min(now, heard), now - LATEST_MS)
        return (heard - GRACE_MS[feed]) // DAY_MS - 1

    async def _keep(
        self, site: str, feed: Feed, before: Watched, now: Watched, news: Sequence[Found]
    ) -> int | None:
        at, opened = self._clock.now_ms(), 0
        async with self._records.transaction() as tx:
            if not await self._rows.advance(tx, site, feed, before.day, now, at):
                return None
            for each in sorted(news, key=_weight, reverse=True):
                made = Notice(
                    uuid7(self._clock), site, each.what, each.alarm, "", each.kind, each.day,
                    each.before, each.now, [[d, v] for d, v in each.trend], opened_at=at,
                )  # fmt: skip
                if not await self._rows.add(tx, made, MOST_OPEN):
                    log.info("notice_not_opened", site=site, what=each.what, alarm=each.alarm)
                    continue
                opened += 1
                await self._audit(
                    tx, at, GROUP, "drift_notice", made.id,
                    {"site": site, "what": each.what, "alarm": each.alarm, "before": each.before,
                     "now": each.now},
                )  # fmt: skip
        return opened


def _weight(found: Found) -> float:
    """How much it has changed: where a factory has too many, the largest are shown."""
    return abs(math.log((abs(found.now) + 0.1) / (abs(found.before) + 0.1)))


def rates(
    days: range, began: int, points: Sequence[str], raised: dict[tuple[str, int], int],
    first: dict[str, int], forecast: dict[str, tuple[float, int]],
) -> list[Fed]:  # fmt: skip
    """Alarms a day of the factory and of each point, and what changed points did against what was
    forecast of them.

    `first`: the first day of a point's first alarm, before which nobody knows whether it was
    there; `forecast`: (alarms a day, the first whole day with the new setting).
    """
    total = dict.fromkeys(days, 0)
    for (_, day), count in raised.items():
        total[day] = total.get(day, 0) + count
    found = []
    for day in days:
        found.append(Fed("alarms", "", day, float(total[day])))
        for point in points:
            count = raised.get((point, day), 0)
            if day >= min(first.get(point, began), began):
                found.append(Fed("alarms", point, day, float(count)))
            if point in forecast and day >= forecast[point][1]:
                off = 2 * (math.sqrt(count + 0.375) - math.sqrt(forecast[point][0] + 0.375))
                found.append(Fed("forecast", point, day, round(off, 4)))
    return found


FEWEST_ANSWERED = 10
"""Alarms of a day whose share says anything."""


def shares(days: range, counts: dict[int, tuple[int, int, int]]) -> list[Fed]:
    """The share of a day's finished alarms that people judged, and of those judged that were
    nuisance; `counts`: day -> (finished, judged, nuisance)."""
    found = []
    for day in days:
        finished, judged, nuisance = counts.get(day, (0, 0, 0))
        if finished >= FEWEST_ANSWERED:
            found.append(Fed("judged", "", day, round(judged / finished, 4)))
        if judged >= FEWEST_ANSWERED:
            found.append(Fed("dismissed", "", day, round(nuisance / judged, 4)))
    return found
