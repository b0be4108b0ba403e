"""Fills the filters of limit alarms from the edge's own history, after a start or a change.

Runs beside the live loop, an hour of one tag at a time. Until a filter knows its window the samples
themselves are held against the engineer's limit; this only makes that time shorter.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Protocol

from edge_node.domain.alarm_unit import AlarmUnit
from edge_node.domain.conditions.filtered import FilteredLimit
from edge_node.kernel.history import Curve
from shared.alarm.filters import DAY_BUCKET_MS, DAY_MS, SignalFilter
from shared.errors import StoreError
from shared.telemetry import logger

log = logger("filters")
EVERY_S = 20.0
PART_MS = 3_600_000
Limits = Callable[[], Iterable[tuple[AlarmUnit, FilteredLimit]]]


class Past(Protocol):
    """The edge's history (see `history.History`)."""

    async def read(self, tags: list[str], since: int, until: int) -> dict[str, Curve]:
        """Each tag's rows of source times in [since, until], in the order of time."""
        ...


class FilterFill:
    """Gives every filter of a day the day before this process began."""

    def __init__(self, limits: Limits, history: Past) -> None:
        self._limits, self._history = limits, history
        self.filled = 0
        """Filters that were given what history knew."""

    async def run(self) -> None:
        """Look for filters that have just begun, for ever."""
        while True:
            await self.round()
            await asyncio.sleep(EVERY_S)

    async def round(self) -> None:
        """Fill those that have closed their first piece of time: what is older is whole."""
        for unit, limit in list(self._limits()):
            run = limit.filters.get("day")
            if run is None or run.asked or (until := run.first_closed) is None:
                continue
            run.asked = True
            try:
                older = await self._older(unit.definition.tag, until)
            except (StoreError, KeyError) as error:  # the site has changed, or the disk is away
                log.warning("filter_history_unread", alarm=unit.id, error=str(error))
                continue
            run.prepend(older, until)
            self.filled += 1
            log.info("filter_recalled", alarm=unit.id, share=round(run.share(), 3))

    async def _older(self, tag: str, until: int) -> SignalFilter:
        older, at = SignalFilter("day"), until - DAY_MS - DAY_BUCKET_MS
        while at < until:
            end = min(at + PART_MS, until)
            rows = (await self._history.read([tag], at, end - 1))[tag]
            # Off the loop: an hour of a fast tag has tens of thousands of rows.
            await asyncio.to_thread(_feed, older, rows)
            at = end
        return older


def _feed(run: SignalFilter, curve: Curve) -> None:
    for at, value, grade in zip(
        memoryview(curve[0]).cast("q"), memoryview(curve[1]).cast("d"), curve[2], strict=True
    ):
        if not grade and math.isfinite(value):
            run.take(at, value)
