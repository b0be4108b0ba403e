"""Sends what the outbox holds, in order, and forgets it only when the receiver has committed it.

One drainer per source. Live, replay and history have a loop each; each (epoch, lane) is a stream of
its own with a bounded window of unconfirmed frames. Knows no body of any message.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from shared.bus.port import Bus
from shared.errors import PermanentTransportError, RetryableTransportError
from shared.messages.codec import decode, encode
from shared.messages.control import Committed
from shared.messages.envelope import Frame
from shared.messages.subjects import EVENT_LANES, HISTORY, Node
from shared.outbox.port import Outbox
from shared.telemetry import logger

log = logger("drainer")
WINDOW_FRAMES = 16
"""Frames of one lane that may be published and not yet committed above."""
RESEND_AFTER_S = 10.0
RESEND_UNHEARD_S = 300.0
"""While nothing at all is heard of the receiver, sending again only fills the broker."""
IDLE_S = 0.5
RETRY_FIRST_S, RETRY_MAX_S = 0.1, 1.0


@dataclass
class _Cursor:
    """How far one (epoch, lane) has been published, and the ends of unconfirmed frames."""

    next: int
    open: list[int] = field(default_factory=list)
    progressed: float = 0.0
    """When last confirmed or sent anew: what the patience before a resend counts from."""
    stuck_since: float | None = None
    """Since when something sent waits without any progress; a resend is none."""


class _Road:
    """One lane's own loop: its wake-up and whether its last publish was taken."""

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self.wake = asyncio.Event()
        self.sending_since: float | None = None
        """When the publish began whose acknowledgement is awaited."""
        self.refused = ""
        """Why the upper tier's stream did not take the last frame; empty while it takes them."""


class Drainer:
    """Publishes frames of one node's outbox to its upper tier.

    Each lane has a loop of its own: a live alarm waits for no backlog, and a stream of samples
    that refuses says nothing about the way of the alarms.
    """

    def __init__(
        self, node: Node, outbox: Outbox, bus: Bus, lanes: tuple[str, ...] = (*EVENT_LANES, HISTORY)
    ) -> None:
        self._node, self._outbox, self._bus = node, outbox, bus
        self._cursors: dict[tuple[str, str], _Cursor] = {}
        self._roads = [_Road(lane) for lane in lanes]
        self._up = asyncio.Event()
        self.frames_sent = 0
        self.resends = 0
        self._heard = 0.0
        self._told: dict[str, tuple[int, int | None]] = {}
        self._subscribed = False

    @property
    def link_up(self) -> bool:
        """Whether the last publish of an alarm was acknowledged by the upper tier's stream."""
        return self._up.is_set()

    @link_up.setter
    def link_up(self, up: bool) -> None:
        if up:
            self._up.set()  # a lane that waits to try again need not wait any longer
        else:
            self._up.clear()

    def stuck_since(self, lane: str) -> float | None:
        """Since when (monotonic seconds) a lane waits for the upper tier without any progress.

        May be asked from another thread: it reads and changes nothing.
        """
        since = [c.stuck_since for (_, name), c in list(self._cursors.items()) if name == lane]
        since += [road.sending_since for road in self._roads if road.lane == lane]
        return min((at for at in since if at is not None), default=None)

    @property
    def refused(self) -> dict[str, str]:
        """Lanes whose last frame was not taken, and why."""
        return {road.lane: road.refused for road in self._roads if road.refused}

    def wake(self) -> None:
        """New rows stand in the outbox."""
        for road in self._roads:
            road.wake.set()

    async def on_committed(self, _: str, data: bytes) -> None:
        """The receiver's report: delete what it has committed."""
        report = decode(data, Committed)
        if report.source != self._node.source:
            return
        self._heard = asyncio.get_running_loop().time()
        for key, through in report.watermarks.items():
            news = (through, report.quarantined.get(key))
            if self._told.get(key) == news:
                continue  # a report names all that the receiver knows, mostly what is long done
            epoch, _, lane = key.partition("/")
            await self.committed(epoch, lane, *news)
            self._told[key] = news
        self._told = {key: self._told[key] for key in report.watermarks}

    async def committed(
        self, epoch: str, lane: str, through: int, quarantined: int | None = None
    ) -> None:
        """Delete through `through` and move the send window."""
        await self._outbox.committed(epoch, lane, through, quarantined)
        cursor = self._cursors.get((epoch, lane))
        if cursor is not None:
            before = len(cursor.open)
            cursor.open = [end for end in cursor.open if end > through]
            cursor.next = max(cursor.next, through + 1)
            if len(cursor.open) != before:
                cursor.progressed = asyncio.get_running_loop().time()
                cursor.stuck_since = cursor.progressed
                self.wake()
            if not cursor.open:
                cursor.stuck_since = None

    async def run(self) -> None:
        """Drain for ever."""
        if not self._subscribed:  # run anew after a fault, it is still the same subscription
            await self._bus.subscribe(self._node.committed, self._handle)
            self._subscribed = True
        loops = [asyncio.create_task(self._serve(road)) for road in self._roads]
        try:
            done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def _serve(self, road: _Road) -> None:
        delay = RETRY_FIRST_S
        while True:
            road.wake.clear()
            try:
                moved = await self._pass(road)
                delay = RETRY_FIRST_S
            except RetryableTransportError as error:
                self._failed(road, error)
                await self._pause(road, delay)
                delay = min(delay * 2, RETRY_MAX_S)
                continue
            if not moved:
                try:
                    # Not wait_for: on Python 3.11 it can swallow a cancellation that meets it.
                    async with asyncio.timeout(IDLE_S):
                        await road.wake.wait()
                except TimeoutError:
                    continue

    async def _pause(self, road: _Road, delay: float) -> None:
        """Before the next try; what shows that the link is back ends it for the alarms' lanes."""
        if road.lane == HISTORY:
            await asyncio.sleep(delay)
            return
        await asyncio.sleep(RETRY_FIRST_S)
        try:
            async with asyncio.timeout(delay - RETRY_FIRST_S):
                await self._up.wait()
        except TimeoutError:
            return

    def _failed(self, road: _Road, error: RetryableTransportError) -> None:
        if road.lane == HISTORY:
            if not road.refused:
                log.warning("samples_refused", node=self._node.source, error=str(error))
        else:
            if self.link_up:
                log.warning("uplink_lost", node=self._node.source, error=str(error))
            self.link_up = False
        road.refused = str(error)

    async def _handle(self, subject: str, data: bytes) -> bytes | None:
        await self.on_committed(subject, data)
        return None

    async def _pass(self, road: _Road) -> bool:
        """Send at most one frame of each epoch of a lane. True if anything was sent."""
        pending = await self._outbox.pending()
        mine = [(epoch, first, last) for epoch, lane, first, last in pending if lane == road.lane]
        held = {epoch for epoch, _, _ in mine}
        for gone in [key for key in self._cursors if key[1] == road.lane and key[0] not in held]:
            del self._cursors[gone]
        moved = False
        for epoch, first, last in mine:
            cursor = self._cursor(epoch, road.lane, first)
            if cursor.next <= last and len(cursor.open) < WINDOW_FRAMES:
                moved |= await self._send(epoch, road, cursor, first)
        return moved

    def _cursor(self, epoch: str, lane: str, first: int) -> _Cursor:
        now = asyncio.get_running_loop().time()
        cursor = self._cursors.setdefault((epoch, lane), _Cursor(first, [], now))
        # Acknowledged by the broker is not committed: after a while without progress send again
        # from the oldest; the receiver's watermark makes it harmless.
        patience = RESEND_AFTER_S if self._heard > cursor.progressed else RESEND_UNHEARD_S
        if cursor.open and now - cursor.progressed > patience:
            cursor.next, cursor.open, cursor.progressed = first, [], now
            self.resends += 1
        return cursor

    async def _send(self, epoch: str, road: _Road, cursor: _Cursor, oldest: int) -> bool:
        lane = road.lane
        segment = await self._outbox.read(epoch, lane, cursor.next)
        if segment is None:
            return False
        frame = Frame(
            source=self._node.source,
            epoch=epoch,
            lane=lane,
            first=segment.first,
            events=segment.events,
            oldest=oldest,
        )
        # A resend must reach the receiver even if the broker remembers the first one.
        message_id = f"{frame.message_id}:{self.resends}" if self.resends else frame.message_id
        road.sending_since = asyncio.get_running_loop().time()
        try:
            await self._bus.publish_durable(self._node.lane(lane), encode(frame), message_id)
        except PermanentTransportError as error:
            log.error(
                "frame_refused",
                node=self._node.source,
                frame=message_id,
                error=str(error),
            )
            raise
        finally:
            began, road.sending_since = road.sending_since, None
        if not cursor.open:
            cursor.progressed = asyncio.get_running_loop().time()
            if cursor.stuck_since is None:
                cursor.stuck_since = began
        cursor.next = frame.last + 1
        cursor.open.append(frame.last)
        self.frames_sent += 1
        road.refused = ""
        if lane != HISTORY:
            if not self.link_up:
                log.info("uplink_ready", node=self._node.source)
            self.link_up = True
        return True
