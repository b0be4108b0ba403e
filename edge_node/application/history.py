"""The edge's own history at full rate: a bounded ring of whole batches, perhaps with a disk below.

Fed by the engine with every batch at a constant cost; read for trends and snippets on a thread of
its own. Never decides anything, never stands in the way of an alarm.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from edge_node.application.ipc import Samples
from edge_node.domain.tags import TagTable
from edge_node.kernel.history import Curve, pick
from shared.clock import Clock
from shared.errors import StoreError
from shared.telemetry import logger

log = logger("history")
ROWS = 4096
"""Small batches are gathered into chunks of about this many rows; larger ones stay whole."""
OPEN_MS = 5_000
"""A gathering chunk is closed after this time, so that a kill costs no more than this."""
ROW_BYTES = 21
CHUNK_BYTES = 600
"""What a chunk costs beside its rows."""
MAX_UNWRITTEN = 64
"""Chunks that may wait for the disk."""
FIRST_WINDOW_MS, MOST_WINDOW_MS = 1_000, 3_600_000
MANY_ROWS = 400_000
"""Rows of a source that one look back of `History.back` should touch at most."""
EMPTY: Curve = (b"", b"", b"")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of one source, in columns, with the span of their source times."""

    n: int
    """Rises by one; 0: from an earlier run."""
    source: str
    names: tuple[str, ...]
    first: int
    last: int
    tags: bytes
    times: bytes
    values: bytes
    qualities: bytes
    added: int = 0
    """Monotonic ms at which it was closed."""

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return ROW_BYTES * len(self.qualities) + CHUNK_BYTES


class Disk(Protocol):
    """Where chunks outlive the process; every call comes from the history's thread."""

    def write(self, chunk: Chunk) -> None:
        """Add a chunk; raises StoreError, after which the next call tries again."""
        ...

    def read(self, source: str, since: int, until: int, skip: set[int]) -> list[Chunk]:
        """Chunks of a source that touch [since, until], oldest first, but those of `skip`."""
        ...

    def close(self) -> None:
        """Close the files."""
        ...


@dataclass(slots=True)
class _Open:
    began: int
    first: int
    last: int
    tags: bytearray = field(default_factory=bytearray)
    times: bytearray = field(default_factory=bytearray)
    values: bytearray = field(default_factory=bytearray)
    qualities: bytearray = field(default_factory=bytearray)


class History:
    """The ring."""

    def __init__(
        self, tags: TagTable, clock: Clock, max_bytes: int, max_age_ms: int, disk: Disk | None
    ) -> None:
        self._tags, self._clock, self._disk = tags, clock, disk
        self._max_bytes, self._max_age_ms = max_bytes, max_age_ms
        self._names = {k: tuple(tag.id for tag in s.tags) for k, s in tags.sources.items()}
        self._ring: deque[Chunk] = deque()
        self._open: dict[str, _Open] = {}
        self._n = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._unwritten = 0
        self.bytes = 0
        self.began = clock.now_ms()
        self.unspilled = 0
        """Chunks that the disk did not take."""
        self.disk_fault = ""
        self.on_disk: Callable[[str], None] = lambda fault: None
        """Called on the loop when the disk fails, and with "" when it is well again."""

    def renew(self, tags: TagTable) -> None:
        """Another site: what is kept stays readable, new batches have the new places of tags."""
        for source in list(self._open):
            self._shut(source)
        self._tags = tags
        self._names = {k: tuple(tag.id for tag in s.tags) for k, s in tags.sources.items()}

    # the live loop's side

    def add(self, source: str, batch: Samples, first: int, last: int) -> None:
        """Keep a batch whose source times span [first, last]."""
        count = len(batch.qualities)
        if count >= ROWS:
            self._shut(source)
            self._keep(source, first, last, batch.tags, batch.times, batch.values, batch.qualities)
            return
        found = self._open.get(source)
        if found is None:
            found = self._open[source] = _Open(self._clock.mono_ms(), first, last)
        found.first, found.last = min(found.first, first), max(found.last, last)
        found.tags += batch.tags
        found.times += batch.times
        found.values += batch.values
        found.qualities += batch.qualities
        if len(found.qualities) >= ROWS:
            self._shut(source)

    def _shut(self, source: str) -> None:
        found = self._open.pop(source, None)
        if found is not None:
            self._keep(
                source, found.first, found.last, bytes(found.tags), bytes(found.times),
                bytes(found.values), bytes(found.qualities),
            )  # fmt: skip

    def _keep(
        self, source: str, first: int, last: int, tags: bytes, times: bytes, values: bytes,
        qualities: bytes,
    ) -> None:  # fmt: skip
        self._n += 1
        chunk = Chunk(
            self._n, source, self._names[source], first, last, tags, times, values, qualities,
            self._clock.mono_ms(),
        )  # fmt: skip
        self._ring.append(chunk)
        self.bytes += chunk.size
        while self.bytes > self._max_bytes and self._ring:
            self.bytes -= self._ring.popleft().size
        self._spill(chunk)

    def tick(self) -> None:
        """Once a second: close what has gathered long enough, let go of what is too old."""
        now = self._clock.mono_ms()
        for source in [s for s, found in self._open.items() if now - found.began >= OPEN_MS]:
            self._shut(source)
        while self._ring and now - self._ring[0].added > self._max_age_ms:
            self.bytes -= self._ring.popleft().size

    @property
    def span_ms(self) -> int:
        """How far back the memory reaches."""
        return self._clock.mono_ms() - self._ring[0].added if self._ring else 0

    # the disk

    @property
    def disk_state(self) -> str:
        """off, on, or why the disk does not take the history."""
        return "off" if self._disk is None else self.disk_fault or "on"

    def _spill(self, chunk: Chunk) -> None:
        if self._disk is None:
            return
        if self._unwritten >= MAX_UNWRITTEN:
            self.unspilled += 1
            return
        self._unwritten += 1
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._thread, self._disk.write, chunk)
        done.add_done_callback(self._written)

    def _written(self, done: asyncio.Future[None]) -> None:
        self._unwritten -= 1
        fault = None if done.cancelled() else done.exception()
        if fault is not None and not isinstance(fault, StoreError):
            raise fault
        if fault is not None:
            self.unspilled += 1
        if str(fault or "") != self.disk_fault:
            self.disk_fault = str(fault or "")
            log.warning("history_disk", fault=self.disk_fault)
            self.on_disk(self.disk_fault)

    async def close(self) -> None:
        """Write what has gathered and close the files."""
        for source in list(self._open):
            self._shut(source)
        if self._disk is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._disk.close)
        self._thread.shutdown(wait=False)

    # looking back

    async def read(self, tags: Sequence[str], since: int, until: int) -> dict[str, Curve]:
        """Each tag's rows of source times in [since, until] at full rate, in the order of time."""
        by_source: dict[str, list[str]] = {}
        for tag in tags:
            source, _ = self._tags.place(tag)
            by_source.setdefault(source.spec.id, []).append(tag)
        found: dict[str, Curve] = {}
        for source, names in by_source.items():
            found |= await self.read_source(source, names, since, until)
        return found

    async def back(self, tag: str, since: int, until: int) -> AsyncGenerator[Curve]:
        """A tag's rows window by window, the newest first; whoever has enough stops asking.

        Windows grow and shrink with what the source holds, so that memory is bounded however far
        back and however fast it goes, and the disk gets its turn to write between them.
        """
        place, _ = self._tags.place(tag)
        source, window = place.spec.id, FIRST_WINDOW_MS
        while until >= since:
            first = max(since, until - window + 1)
            rows, found = await self._collect(source, [tag], first, until)
            yield found[tag]
            until = first - 1
            if rows > MANY_ROWS:
                window = max(window // 4, 1)
            elif rows < MANY_ROWS // 4:
                window = min(window * 2, MOST_WINDOW_MS)

    async def read_source(
        self, source: str, tags: Sequence[str], since: int, until: int
    ) -> dict[str, Curve]:
        """The same for tags of one source."""
        return (await self._collect(source, tags, since, until))[1]

    async def _collect(
        self, source: str, tags: Sequence[str], since: int, until: int
    ) -> tuple[int, dict[str, Curve]]:
        """How many rows came from the disk, and each tag's."""
        chunks = [chunk for chunk in self._ring if chunk.source == source]
        live = self._open.get(source)
        skip = {chunk.n for chunk in chunks}
        if live is not None:
            chunks.append(
                Chunk(
                    0, source, self._names[source], live.first, live.last, bytes(live.tags),
                    bytes(live.times), bytes(live.values), bytes(live.qualities),
                )
            )  # fmt: skip

        def collect() -> tuple[int, dict[str, Curve]]:
            older = self._disk.read(source, since, until, skip) if self._disk else []
            rows = sum(len(chunk.qualities) for chunk in older)
            return rows, {tag: curve_of(tag, [*older, *chunks], since, until) for tag in tags}

        return await asyncio.get_running_loop().run_in_executor(self._thread, collect)


def curve_of(tag: str, chunks: Iterable[Chunk], since: int, until: int) -> Curve:
    """One tag's rows of some chunks, in the order of time."""
    parts: list[Curve] = []
    places: dict[tuple[str, ...], int] = {}
    for chunk in chunks:
        if chunk.last < since or chunk.first > until:
            continue
        if chunk.names not in places:
            places[chunk.names] = chunk.names.index(tag) if tag in chunk.names else -1
        if (place := places[chunk.names]) >= 0:
            columns = (chunk.tags, chunk.times, chunk.values, chunk.qualities)
            parts.append(pick(*columns, place, since, until))
    times, values, qualities = (b"".join(part[i] for part in parts) for i in range(3))
    return in_order((times, values, qualities))


def in_order(curve: Curve) -> Curve:
    """The same rows by time; rows of one time stay as they came."""
    times = memoryview(curve[0]).cast("q")
    listed = times.tolist()
    if listed == sorted(listed):
        return curve
    order = sorted(range(len(listed)), key=listed.__getitem__)
    return taken(curve, order)


def taken(curve: Curve, places: Sequence[int]) -> Curve:
    """Some rows of a curve."""
    times, values, qualities = curve
    return (
        b"".join(times[8 * i : 8 * i + 8] for i in places),
        b"".join(values[8 * i : 8 * i + 8] for i in places),
        bytes(qualities[i] for i in places),
    )
