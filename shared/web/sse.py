"""Server-sent events: each frame is encoded once for all viewers, every viewer's queue is bounded.

A viewer that cannot keep up, or that comes back with a hole, is told to fetch a new snapshot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import msgspec

HEARTBEAT_S = 5.0
QUEUE = 64
HISTORY = 256
RESYNC = b"event: resync\ndata: {}\n\n"


def encode_event(event: str, data: bytes, event_id: str = "") -> bytes:
    """One SSE event; `data` is JSON without line breaks."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: ".encode() + data + b"\n\n"


@dataclass(eq=False)
class _Viewer:
    attends: bool
    queue: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    overflows: int = 0


class Broadcaster:
    """Sends frames to all viewers."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now = now_ms
        self._viewers: set[_Viewer] = set()
        self._recent: deque[tuple[str, bytes]] = deque(maxlen=HISTORY)
        self.overflows = 0

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
        frame = encode_event(event, data, event_id)
        if event_id:
            self._recent.append((event_id, frame))
        for viewer in self._viewers:
            self._push(viewer, frame)

    def _push(self, viewer: _Viewer, frame: bytes) -> None:
        try:
            viewer.queue.put_nowait(frame)
        except asyncio.QueueFull:
            self.overflows += 1
            while not viewer.queue.empty():
                viewer.queue.get_nowait()
            viewer.queue.put_nowait(RESYNC)

    def _missed(self, last_event_id: str | None) -> list[bytes]:
        """Frames after `last_event_id`, or a resync when they are no longer known."""
        if not last_event_id:
            return [RESYNC]
        ids = [event_id for event_id, _ in self._recent]
        if last_event_id not in ids:
            return [RESYNC]
        start = ids.index(last_event_id) + 1
        return [frame for _, frame in list(self._recent)[start:]]

    async def stream(
        self, *, last_event_id: str | None, attends: bool, first: bytes = b""
    ) -> AsyncIterator[bytes]:
        """The body of one viewer's response."""
        viewer = _Viewer(attends)
        self._viewers.add(viewer)
        try:
            if first:
                yield first
            for frame in self._missed(last_event_id):
                yield frame
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        frame = await viewer.queue.get()
                    yield frame
                except TimeoutError:
                    yield encode_event("heartbeat", msgspec.json.encode({"at": self._now()}))
        finally:
            self._viewers.discard(viewer)
