"""Plays a recording: each row at its time, faster or slower, once or for ever.

Run by the driver child, for drills, tests and training; the state says that it is a recording.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge_node.adapters.sources.json_values import as_raw
from edge_node.adapters.sources.port import BAD, Point, Sink, Source, emit
from edge_node.adapters.sources.recordings import Recorded, recording_of, rows
from edge_node.adapters.sources.replay import ReplayOptions
from edge_node.application.ipc import Write, WriteResult
from shared.clock import Clock
from shared.errors import ConfigError

BREATH = 500
"""Rows after which other tasks have their turn, however fast the recording plays."""


class ReplayDriver:
    """One recorded file."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._options: ReplayOptions = source.options
        self._points: dict[str, list[Point]] = {}
        for point in source.points:
            self._points.setdefault(point.address, []).append(point)
        self._path = Path()
        self._broken: ConfigError | None = None

    async def connect(self) -> None:
        """Find the file; one that is broken is not played from its beginning again and again."""
        if self._broken is not None:
            raise self._broken
        self._path = recording_of(self._source)

    async def run(self) -> None:
        """Play; at the end begin again, or rest."""
        try:
            await self._play()
        except ConfigError as error:
            self._broken = error
            raise

    async def _play(self) -> None:
        played = 0
        heard: set[str] = set()
        while True:
            first: Recorded | None = None
            began, n = self._clock.mono_ms(), 0
            start_ms = self._clock.now_ms()
            passed = 0.0
            before = 0
            for row in rows(self._path, self._options):
                first = first or row
                passed += self._pause(row.at_ms - before) if n else 0.0
                before, n = row.at_ms, n + 1
                wait = began + passed - self._clock.mono_ms()
                if wait > 0 or n % BREATH == 0:
                    await asyncio.sleep(max(wait, 0) / 1000)
                moment = start_ms + round(passed)
                self._hand_over(row, row.at_ms if self._options.clock == "original" else moment)
                if n == 1 or not heard >= row.values.keys():
                    heard |= row.values.keys()
                    self._sink.state("connected", self._describe(heard))
            played += 1
            if not self._options.loop or first is None:
                break
            # A loop's last row stands as long as the one before it did, at least this long.
            await asyncio.sleep(max(self._source.interval_ms, 10) / 1000)
        self._sink.state("connected", f"recording {self._path} has ended")
        await asyncio.Event().wait()

    def _pause(self, gap_ms: int) -> float:
        gap = max(gap_ms, 0) / self._options.speed
        most = self._options.max_gap
        return min(gap, most) if most else gap

    def _describe(self, heard: set[str]) -> str:
        absent = sorted(self._points.keys() - heard)
        told = f"recording {self._path}, not a live plant"
        return f"{told}; no column yet for {', '.join(absent[:5])}" if absent else told

    def _hand_over(self, row: Recorded, moment: int) -> None:
        for address, value in row.values.items():
            for point in self._points.get(address, ()):
                raw = as_raw(value, point.kind)
                emit(self._sink, point, moment, raw, BAD if raw is None else row.quality)

    async def write(self, order: Write) -> WriteResult:
        """A recording cannot be written to."""
        detail = "not sent: a recording cannot be written to"
        return WriteResult(id=order.id, outcome="failed", detail=detail)

    async def close(self) -> None:
        """Nothing is held open between rows that outlives `run`."""
