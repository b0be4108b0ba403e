"""Dry runs: the alarms that old and new settings would have told over this edge's own history.

Called by the directive handler; runs the very function that runs live, beside the live loop and in
small slices. Changes nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import aclosing
from itertools import pairwise
from typing import Any

from edge_node.application.history import History
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import AlarmUnit
from edge_node.domain.tags import TagTable
from edge_node.kernel.history import Curve
from shared.alarm.episodes import Episode, episodes
from shared.alarm.point import Setting
from shared.clock import Clock

BACK_MS = 7 * 86_400_000
MOST_SAMPLES = 200_000
"""The newest samples of one tag that are replayed."""
MOST_ALARMS = 200
HOLD_MS = 60_000
"""A pause in the signal longer than this counts as no data."""


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
            found[alarm] = await asyncio.to_thread(_compare, times, values, unit, settings[alarm])
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


def _compare(
    times: list[int], values: list[float], unit: AlarmUnit, new: Setting
) -> dict[str, Any]:
    definition = unit.definition
    if not times:
        return {"samples": 0, "coverage_s": 0.0, "now": [0, 0.0], "new": [0, 0.0]}
    end = times[-1]
    told = {
        name: _told(
            episodes(
                times,
                values,
                setting,
                definition.side or "HI",
                None,
                definition.centre,
                end,
                definition.fallback,
            ),
            end,
        )
        for name, setting in (
            ("now", definition.setting),
            ("new", definition.with_setting(new, 0).setting),
        )
    }
    covered = sum(later - at for at, later in pairwise(times) if later - at <= HOLD_MS)
    return {
        "samples": len(times), "since": times[0], "until": end,
        "coverage_s": round(covered / 1000, 1), **told,
    }  # fmt: skip


def _good(curve: Curve) -> list[tuple[int, float]]:
    """The good samples of a window."""
    return [
        (at, value)
        for at, value, grade in zip(
            memoryview(curve[0]).cast("q"), memoryview(curve[1]).cast("d"), curve[2], strict=True
        )
        if not grade and math.isfinite(value)
    ]


def _told(found: list[Episode], end: int) -> list[float]:
    """Number of alarms and seconds for which one stood."""
    standing = sum((end if cleared is None else cleared) - raised for raised, cleared in found)
    return [len(found), round(standing / 1000, 1)]
