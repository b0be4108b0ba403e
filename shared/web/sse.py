"""The live stream: each frame is encoded once for all viewers, every viewer's queue is bounded.

A viewer that cannot keep up, or that comes back with a hole, is told to fetch a new snapshot.
Server-sent events and WebSockets carry the same frames.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

HEARTBEAT_S = 5.0
QUEUE = 64
HISTORY = 256
HISTORY_BYTES = 8_388_608
"""Of a flood fewer frames are kept: who missed much fetches the picture anew."""


def encode_event(event: str, data: bytes, event_id: str = "") -> bytes:
    """One SSE event; `data` is JSON without line breaks."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: ".encode() + data + b"\n\n"


@dataclass(frozen=True)
class StreamFrame:
    """One event for all viewers; `data` is JSON without line breaks."""

    event: str
    data: bytes
    id: str = ""

    @cached_property
    def sse(self) -> bytes:
        """As a server-sent event."""
        return encode_event(self.event, self.data, self.id)

    @cached_property
    def text(self) -> str:
        """As a WebSocket's message: `{"id", "event", "data"}`."""
        head = msgspec.json.encode({"id": self.id, "event": self.event})[:-1]
        return (head + b',"data":' + self.data + b"}").decode()


RESYNC_FRAME = StreamFrame("resync", b"{}")
RESYNC = RESYNC_FRAME.sse


@dataclass(eq=False)
class Viewer:
    """One open stream."""

    attends: bool
    queue: asyncio.Queue[StreamFrame] = field(default_factory=lambda: asyncio.Queue(QUEUE))

    def forget(self) -> None:
        """Let go of what waits: a snapshot taken now is newer."""
        while not self.queue.empty():
            self.queue.get_nowait()


class Broadcaster:
    """Sends frames to all viewers."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now = now_ms
        self._viewers: set[Viewer] = set()
        self._recent: deque[StreamFrame] = deque()
        self._recent_bytes = 0
        self.overflows = 0
        self.frames = 0
        """Frames made; each goes to every viewer."""

    @property
    def viewers(self) -> int:
        """How many are connected."""
        return len(self._viewers)

    @property
    def attended(self) -> bool:
        """Whether someone who may acknowledge is watching."""
        return any(viewer.attends for viewer in self._viewers)

    def send(self, event: str, data: bytes, event_id: str = "") -> None:
        """Queue one frame for everybody; encoded once."""
        frame = StreamFrame(event, data, event_id)
        self.frames += 1
        if event_id:
            self._keep(frame)
        for viewer in self._viewers:
            self._push(viewer, frame)

    def _keep(self, frame: StreamFrame) -> None:
        self._recent.append(frame)
        self._recent_bytes += len(frame.data)
        while len(self._recent) > HISTORY or self._recent_bytes > HISTORY_BYTES:
            self._recent_bytes -= len(self._recent.popleft().data)

    def _push(self, viewer: Viewer, frame: StreamFrame) -> None:
        try:
            viewer.queue.put_nowait(frame)
        except asyncio.QueueFull:
            self.overflows += 1
            viewer.forget()
            viewer.queue.put_nowait(RESYNC_FRAME)

    def _missed(self, last_event_id: str | None) -> list[StreamFrame]:
        """Frames after `last_event_id`, or a resync when they are no longer known."""
        if not last_event_id:
            return [RESYNC_FRAME]
        recent = list(self._recent)
        for index, frame in enumerate(recent):
            if frame.id == last_event_id:
                return recent[index + 1 :]
        return [RESYNC_FRAME]

    async def frames_for(
        self, viewer: Viewer, *, last_event_id: str | None
    ) -> AsyncIterator[StreamFrame]:
        """What one viewer gets, for as long as it is asked for."""
        self._viewers.add(viewer)
        try:
            for frame in self._missed(last_event_id):
                yield frame
            while True:
                yield await self._next(viewer)
        finally:
            self._viewers.discard(viewer)

    async def stream(
        self, *, last_event_id: str | None, attends: bool, first: bytes = b""
    ) -> AsyncIterator[bytes]:
        """The body of one viewer's response."""
        viewer = Viewer(attends)
        self._viewers.add(viewer)
        try:
            if first:
                yield first
            for frame in self._missed(last_event_id):
                yield frame.sse
            while True:
                yield (await self._next(viewer)).sse
        finally:
            self._viewers.discard(viewer)

    async def _next(self, viewer: Viewer) -> StreamFrame:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                return await viewer.queue.get()
        except TimeoutError:
            return StreamFrame("heartbeat", msgspec.json.encode({"at": self._now()}))
