"""Dry runs: the alarms that old and new settings would have told over this edge's own history.

Called by the directive handler; runs the very function that runs live, beside the live loop and in
small slices. Changes nothing.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from edge_node.application.history import History
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import AlarmUnit
from edge_node.domain.tags import TagTable
from edge_node.kernel.history import Curve
from shared.alarm.episodes import Episode, episodes, filtered
from shared.alarm.filters import DAY_BUCKET_MS, DAY_MS, LARGEST, Filter, SignalFilter
from shared.alarm.point import Setting
from shared.clock import Clock

BACK_MS = 7 * 86_400_000
MOST_SAMPLES = 200_000
"""The newest samples of one tag that are replayed."""
MOST_ALARMS = 200
HOLD_MS = 60_000
"""A pause in the signal longer than this counts as no data."""
Span = tuple[int, int]


@dataclass(slots=True)
class Recording:
    """What is replayed of one tag."""

    times: list[int]
    values: list[float]
    day: dict[int, tuple[float, int]] = field(default_factory=dict)
    """Of the day before it, by pieces of time: sum and samples."""
    last: int = 0
    """The newest sample of that day."""

    def before(self, kind: Filter) -> SignalFilter | None:
        """A filter that knows the day before; None where nothing is known."""
        if kind != "day" or not self.day:
            return None
        return SignalFilter.of_day([(n, *each) for n, each in self.day.items()], self.last)


class DryRun:
    """Replays settings over the ring."""

    def __init__(self, tags: Callable[[], TagTable], history: History, clock: Clock) -> None:
        self._tags, self._history, self._clock = tags, history, clock

    async def replay(self, book: AlarmBook, settings: dict[str, Setting]) -> dict[str, Any]:
        """Alarm -> what its running and its new setting would have told, and over how much time."""
        until, tags = self._clock.now_ms(), self._tags()
        found: dict[str, Any] = {}
        for alarm in sorted(settings)[:MOST_ALARMS]:
            unit = book.units[alarm]
            definition = unit.definition
            if definition.kind != "limit" or definition.tag not in tags:
                continue
            source, _ = tags.place(definition.tag)
            end = until - source.time.offset
            times, values = await self.newest(definition.tag, end - BACK_MS, end)
            taken = Recording(times, values)
            if times and "day" in (definition.setting.filter, settings[alarm].filter):
                await self._day_before(definition.tag, taken)
            found[alarm] = await asyncio.to_thread(_compare, taken, unit, settings[alarm])
        return {"alarms": found}

    async def newest(self, tag: str, since: int, until: int) -> tuple[list[int], list[float]]:
        """The newest good samples, in the order of time; what lies before them is not read."""
        windows: list[list[tuple[int, float]]] = []
        room = MOST_SAMPLES
        async with aclosing(self._history.back(tag, since, until)) as curves:
            async for curve in curves:
                # Off the loop: one window of a fast source has hundreds of thousands of rows.
                windows.append((await asyncio.to_thread(_good, curve))[-room:])
                room -= len(windows[-1])
                if room <= 0:
                    break
        rows = [row for window in reversed(windows) for row in window]
        return [at for at, _ in rows], [value for _, value in rows]

    async def _day_before(self, tag: str, taken: Recording) -> None:
        """Sums of the day before the first sample: of a fast tag not even a day is replayed."""
        first = taken.times[0]
        since = first - DAY_MS - DAY_BUCKET_MS
        async with aclosing(self._history.back(tag, since, first - 1)) as curves:
            async for curve in curves:
                rows = await asyncio.to_thread(_good, curve)
                await asyncio.to_thread(_add_up, taken, rows)


def _add_up(taken: Recording, rows: list[tuple[int, float]]) -> None:
    for at, value in rows:
        taken.last = max(taken.last, at)
        if abs(value) <= LARGEST:
            total, count = taken.day.get(at // DAY_BUCKET_MS, (0.0, 0))
            taken.day[at // DAY_BUCKET_MS] = (total + value, count + 1)


def _compare(taken: Recording, unit: AlarmUnit, new: Setting) -> dict[str, Any]:
    definition, times = unit.definition, taken.times
    if not times:
        return {"samples": 0, "coverage_s": 0.0, "now": [0, 0.0], "new": [0, 0.0]}
    end = times[-1]
    both = {"now": definition.setting, "new": definition.with_setting(new, 0).setting}
    # Where a filter does not know its window the engineer's limit ran, not the one in question.
    known = _known(taken, {each.filter for each in both.values()}, definition.centre)
    told = {
        name: _told(
            episodes(
                times,
                taken.values,
                setting,
                definition.side or "HI",
                None,
                definition.centre,
                end,
                definition.fallback,
                taken.before(setting.filter),
            ),
            end,
            known,
        )
        for name, setting in both.items()
    }
    covered = sum(
        later - at
        for first, last in ([(times[0], end)] if known is None else known)
        for at, later in pairwise(times[bisect_left(times, first) : bisect_right(times, last)])
        if later - at <= HOLD_MS
    )
    return {
        "samples": len(times), "since": times[0], "until": end,
        "coverage_s": round(covered / 1000, 1), **told,
    }  # fmt: skip


def _known(taken: Recording, kinds: set[Filter], centre: float) -> list[Span] | None:
    """When the filters of both settings know their windows; None: always."""
    runs = [
        [
            (at, known)
            for at, _, known in filtered(
                taken.times, taken.values, kind, centre, taken.before(kind)
            )
        ]
        for kind in sorted(kinds - {"raw"})
    ]
    if not runs:
        return None
    found: list[Span] = []
    going = False
    for rows in zip(*runs, strict=True):
        at, known = rows[0][0], all(each for _, each in rows)
        if known:
            found.append((found.pop()[0], at) if going else (at, at))
        going = known
    return found


def _good(curve: Curve) -> list[tuple[int, float]]:
    """The good samples of a window."""
    return [
        (at, value)
        for at, value, grade in zip(
            memoryview(curve[0]).cast("q"), memoryview(curve[1]).cast("d"), curve[2], strict=True
        )
        if not grade and not math.isnan(value)
    ]


def _told(found: list[Episode], end: int, known: list[Span] | None) -> list[float]:
    """Number of alarms and seconds for which one stood, as far as it is `known`."""
    spans = [(raised, end if cleared is None else cleared) for raised, cleared in found]
    if known is None:
        many, standing = len(spans), sum(last - first for first, last in spans)
        return [many, round(standing / 1000, 1)]
    many, standing, place = 0, 0, 0
    raised = [first for first, _ in spans]
    for since, until in known:  # both in the order of time, and none overlaps another
        many += bisect_right(raised, until) - bisect_left(raised, since)
        while place < len(spans) and spans[place][1] <= since:
            place += 1
        for first, last in spans[place : bisect_left(raised, until)]:
            standing += max(0, min(last, until) - max(first, since))
    return [many, round(standing / 1000, 1)]
