"""The child's outgoing side: samples gathered into columns, control messages ahead of them.

Fed by a driver through `port.Sink`; bounded, drops the oldest samples and counts them.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import deque

from edge_node.application.ipc import DriverState, FromChild, Samples, Texts, WriteResult, pack

FLUSH_S = 0.001
MAX_SAMPLES = 500_000
MAX_TEXTS = 10_000
_SHED = 10


class Batcher:
    """Gathers samples and writes them at most every millisecond; idle, it does nothing at all."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._wake = asyncio.Event()
        self._control: deque[FromChild] = deque()
        self._last = DriverState(state="")
        self._dropped = 0
        self._reset()

    def _reset(self) -> None:
        self._tags, self._times, self._values = array("i"), array("q"), array("d")
        self._qualities = bytearray()
        self._texts: list[tuple[int, int, str, int]] = []

    def sample(self, index: int, time_ms: int, value: float, quality: int) -> None:
        """Queue a number or a boolean."""
        if len(self._tags) >= MAX_SAMPLES:
            self._shed()
        self._tags.append(index)
        self._times.append(time_ms)
        self._values.append(value)
        self._qualities.append(quality)
        self._wake.set()

    def columns(self, tags: bytes, times: bytes, values: bytes, qualities: bytes) -> None:
        """Queue many numbers or booleans."""
        while self._tags and len(self._tags) + len(qualities) > MAX_SAMPLES:
            self._shed()
        self._tags.frombytes(tags)
        self._times.frombytes(times)
        self._values.frombytes(values)
        self._qualities += qualities
        self._wake.set()

    def text(self, index: int, time_ms: int, value: str, quality: int) -> None:
        """Queue a string."""
        if len(self._texts) >= MAX_TEXTS:
            del self._texts[: MAX_TEXTS // _SHED]
            self._count_dropped(MAX_TEXTS // _SHED)
        self._texts.append((index, time_ms, value, quality))
        self._wake.set()

    def state(self, state: str, detail: str = "") -> None:
        """Queue a state, if it differs from the last one."""
        if (state, detail) != (self._last.state, self._last.detail):
            self._announce(DriverState(state=state, detail=detail, dropped=self._dropped))

    def result(self, result: WriteResult) -> None:
        """Queue the answer to a write."""
        self._control.append(result)
        self._wake.set()

    def _shed(self) -> None:
        cut = min(MAX_SAMPLES // _SHED, len(self._tags))
        for column in (self._tags, self._times, self._values, self._qualities):
            del column[:cut]
        self._count_dropped(cut)

    def _count_dropped(self, samples: int) -> None:
        self._dropped += samples
        last = self._last
        self._announce(DriverState(state=last.state, detail=last.detail, dropped=self._dropped))

    def _announce(self, state: DriverState) -> None:
        self._last = state
        if self._control and isinstance(self._control[-1], DriverState):
            self._control.pop()  # an engine that does not read gets the newest state only
        self._control.append(state)
        self._wake.set()

    async def run(self) -> None:
        """Write for ever; ends with an OSError when the engine is gone."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(0)  # take along what this turn of the loop still brings
            self._wake.clear()
            self.write_out()
            await self._writer.drain()
            await asyncio.sleep(FLUSH_S)

    def write_out(self) -> None:
        """Hand all that is queued to the pipe."""
        while self._control:
            self._writer.write(pack(self._control.popleft()))
        tags, times, values, qualities = self._tags, self._times, self._values, self._qualities
        texts = self._texts
        self._reset()
        if tags:
            columns = Samples(
                tags=tags.tobytes(), times=times.tobytes(), values=values.tobytes(),
                qualities=bytes(qualities),
            )  # fmt: skip
            self._writer.write(pack(columns))
        if texts:
            self._writer.write(pack(Texts(rows=texts)))
