"""Feeds each closed day of each factory to its drift watch, once, and opens notices.

Run by the cloud; its state is the database's, so a restart loses nothing and repeats nothing. It
asks for people and changes nothing else.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from group_cloud.application.kept_state import UnreadableStateError, each_alone
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
"""A factory or an edge that is away holds its days back for this long at the most; after that they
are passed over, and what they were is never known."""
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

        async def of(site: Site) -> None:
            nonlocal opened
            for feed in GRACE_MS:
                while (found := await self._feed(site, feed)) is not None:
                    opened += found

        await each_alone(await self._rows.sites(), of, log, "drift_watch_failed")
        if opened:
            self.on_change()
        return opened

    async def _feed(self, site: Site, feed: Feed) -> int | None:
        """The next days of one feed in one transaction; None: there is none yet."""
        closed = self._closed(site, feed)
        if closed is None:
            return None
        whole, last = closed
        known = await self._rows.watched(site.site, feed)
        # The first day of a factory is only part of one.
        first = max(site.first_day + 1, last - BACK_DAYS + 1)
        state = known or Watched(last + 1, first - 1)
        until = min(last, state.day + CHUNK_DAYS)
        if until <= state.day:
            return None
        # What nobody has told is passed over: a gap, for a zero would say that nothing came up.
        days = range(state.day + 1, min(until, whole) + 1)
        known_of = {edge: _day(told, feed) for edge, told in site.edges_told.items()}
        numbers = await self._rows.numbers(site.site, feed, state.began, days, known_of)
        found, data, lost = await self._learnt(state.data, numbers)
        news = [each for each in found if each.day > last - NEWS_DAYS]
        now = Watched(state.began, until, data)
        return await self._keep(site.site, feed, state, now, news, lost)

    async def _learnt(
        self, held: dict[str, Any] | None, numbers: Sequence[Fed]
    ) -> tuple[list[Found], dict[str, Any] | None, str]:
        """What was noticed, what the watch now holds, and why it was begun anew."""
        # Hundreds of points cost tens of milliseconds, and a first start many weeks of them.
        try:
            return (*await asyncio.to_thread(self._learn, held, numbers), "")
        except UnreadableStateError as error:
            return (*await asyncio.to_thread(self._learn, None, numbers), str(error))

    def _closed(self, site: Site, feed: Feed) -> tuple[int, int] | None:
        """The newest day of which the factory has told all, and the newest that is waited for no
        longer; None: it was not heard of at all."""
        now = self._clock.now_ms()
        told = self._told_until(site.site)
        heard = site.reported if told is None else told
        if heard is None:
            return None
        heard, latest = min(now, heard), now - LATEST_MS
        # An edge that is away for longer is a gap in its own points, and holds up no others.
        whole = min([heard, *(told for told in site.edges_told.values() if told > latest)])
        return _day(whole, feed), _day(max(whole, latest), feed)

    async def _keep(
        self, site: str, feed: Feed, before: Watched, now: Watched, news: Sequence[Found],
        lost: str,
    ) -> int | None:  # fmt: skip
        at, opened = self._clock.now_ms(), 0
        async with self._records.transaction() as tx:
            if not await self._rows.advance(tx, site, feed, before.day, now, at):
                return None
            if lost:
                log.error("drift_state_unreadable", site=site, feed=feed, error=lost)
                told = {"feed": feed, "error": lost}
                await self._audit(tx, at, GROUP, "drift_begun_anew", site, told)
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


def _day(told: int, feed: Feed) -> int:
    """The newest day that is complete, by what was told until then."""
    return (told - GRACE_MS[feed]) // DAY_MS - 1


def _weight(found: Found) -> float:
    """How much it has changed: where a factory has too many, the largest are shown."""
    return abs(math.log((abs(found.now) + 0.1) / (abs(found.before) + 0.1)))


def rates(
    days: range, began: int, points: Sequence[str], raised: dict[tuple[str, int], int],
    first: dict[str, int], forecast: dict[str, tuple[float, int]],
    edges: Mapping[str, str] | None = None, whole: Mapping[str, int] | None = None,
) -> list[Fed]:  # fmt: skip
    """Alarms a day of the factory and of each point, and what changed points did against what was
    forecast of them.

    `first`: the first day of a point's first alarm, before which nobody knows whether it was
    there; `forecast`: (alarms a day, the first whole day with the new setting); `whole`: edge of a
    point (`edges`) -> the last day of which it has told all. Of the days after it nothing is said
    of its points, nor of the factory as a whole.
    """
    edges, whole = edges or {}, whole or {}
    all_told = min(whole.values(), default=days.stop)
    total = dict.fromkeys(days, 0)
    for (_, day), count in raised.items():
        total[day] = total.get(day, 0) + count
    found = []
    for day in days:
        if day <= all_told:
            found.append(Fed("alarms", "", day, float(total[day])))
        for point in points:
            if day > whole.get(edges.get(point, ""), day):
                continue
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
