"""Fills the filters of limit alarms from the edge's own history, after a start or a change.

Runs beside the live loop, an hour at a time and with pauses, in which trends are read. Until a
filter knows its window the samples themselves are held against the engineer's limit; this only
makes that time shorter.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

from edge_node.domain.alarm_unit import AlarmUnit
from edge_node.domain.conditions.filtered import FilteredLimit
from edge_node.kernel.history import Curve
from shared.alarm.filters import DAY_BUCKET_MS, DAY_MS, SignalFilter
from shared.telemetry import logger

log = logger("filters")
EVERY_S = 20.0
PAUSE_S = 0.2
"""Between two reads: the history has one thread, and people's trends wait for it too."""
PART_MS = 3_600_000
MOST_TAGS = 32
"""Tags of one pass; an hour of each is held at once."""
MOST_TRIES = 5
"""A tag whose history cannot be read so often fills by its own samples."""
Limits = Callable[[], Iterable[tuple[AlarmUnit, FilteredLimit]]]


class Past(Protocol):
    """The edge's history (see `history.History`)."""

    async def read(self, tags: list[str], since: int, until: int) -> dict[str, Curve]:
        """Each tag's rows of source times in [since, until], in the order of time."""
        ...


class FilterFill:
    """Gives every filter of a day the day before this process began."""

    def __init__(self, limits: Limits, history: Past, pause_s: float = PAUSE_S) -> None:
        self._limits, self._history, self._pause_s = limits, history, pause_s
        self._tries: dict[str, int] = {}
        """By tag: reads that have failed since one went well."""
        self.filled = 0
        """Filters that were given what history knew."""

    async def run(self) -> None:
        """Look for filters that have just begun, for ever."""
        while True:
            await self.round()
            await asyncio.sleep(EVERY_S)

    async def round(self) -> None:
        """Fill those that have closed their first piece of time: what is older is whole."""
        wanted: dict[tuple[int, str], list[SignalFilter]] = defaultdict(list)
        for unit, limit in list(self._limits()):
            run = limit.filters.get("day")
            if run is None or run.asked or (until := run.first_closed) is None:
                continue
            run.asked = True
            wanted[until, unit.definition.tag].append(run)
        for until in dict.fromkeys(until for until, _ in wanted):
            tags = {tag: runs for (end, tag), runs in wanted.items() if end == until}
            for batch in self._batches(sorted(tags)):
                await self._fill({tag: tags[tag] for tag in batch}, until)

    def _batches(self, tags: list[str]) -> list[list[str]]:
        """Together, so that a source is read once; one that has failed goes by itself."""
        sound = [tag for tag in tags if tag not in self._tries]
        parts = [sound[at : at + MOST_TAGS] for at in range(0, len(sound), MOST_TAGS)]
        return parts + [[tag] for tag in tags if tag in self._tries]

    async def _fill(self, tags: dict[str, list[SignalFilter]], until: int) -> None:
        try:
            older = await self._older(list(tags), until)
        except Exception as error:  # the site has changed, the disk is away: tried again, then not
            log.warning("filter_history_unread", tags=sorted(tags), error=repr(error))
            for tag, runs in tags.items():
                self._tries[tag] = self._tries.get(tag, 0) + 1
                for run in runs:
                    run.asked = self._tries[tag] >= MOST_TRIES
            return
        for tag, runs in tags.items():
            self._tries.pop(tag, None)
            for run in runs:
                run.prepend(older[tag], until)
                self.filled += 1
            log.info("filter_recalled", tag=tag, share=round(runs[0].share(), 3))

    async def _older(self, tags: list[str], until: int) -> dict[str, SignalFilter]:
        older, at = {tag: SignalFilter("day") for tag in tags}, until - DAY_MS - DAY_BUCKET_MS
        while at < until:
            end = min(at + PART_MS, until)
            found = await self._history.read(tags, at, end - 1)
            for tag in tags:
                # Off the loop: an hour of a fast tag has tens of thousands of rows.
                await asyncio.to_thread(_feed, older[tag], found[tag])
            at = end
            await asyncio.sleep(self._pause_s)
        return older


def _feed(run: SignalFilter, curve: Curve) -> None:
    for at, value, grade in zip(
        memoryview(curve[0]).cast("q"), memoryview(curve[1]).cast("d"), curve[2], strict=True
    ):
        if not grade and not math.isnan(value):
            run.take(at, value)
