"""The edge's road to its factory: connect, register, drain, answer; all of it may be missing.

Supervised by the bootstrap; the engine runs whether or not this ever succeeds. Decides the lane of
each event, and nothing else about it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edge_node.application.alarm_service import AlarmService
from edge_node.application.board import Board
from edge_node.application.command_handler import CommandHandler
from edge_node.application.directive_handler import DirectiveHandler
from edge_node.application.engine import Engine
from edge_node.application.fragments import OfflinePlaybooks
from edge_node.application.journal import Journal, JournalOutbox
from edge_node.application.status import ClockStatus
from edge_node.domain.annunciation import Annunciation
from shared.alarm.filters import FILTERS
from shared.bus.nats_bus import NatsBus
from shared.clock import Clock, SystemClock
from shared.errors import ConfigError, ContractError, RetryableTransportError
from shared.messages.bodies import AlarmTransition
from shared.messages.codec import decode, encode
from shared.messages.control import (
    CommandRequest,
    CommandResult,
    Health,
    Hello,
    LeaseGrant,
    SampleRequest,
    Welcome,
)
from shared.messages.directives import DRY_RUN, SETTINGS
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import LIVE, REPLAY, Node
from shared.outbox.drainer import Drainer
from shared.outbox.port import OutboxStatus
from shared.telemetry import logger

log = logger("uplink")
HELLO_TIMEOUT_S, HELLO_RETRY_S, HELLO_EVERY_S, REFUSED_S = 3.0, 1.0, 5.0, 10.0
BEAT_S = 1.0
DIRECTIVE_S = 60.0
BUCKET_RETRY_S = 5.0
CONNECT_FIRST_S, CONNECT_MAX_S = 1.0, 15.0
STALLED_MS = 1500
"""Without any confirmation for so long, what is written goes to replay."""
CROWDED_MS, CROWD = 250, 500
"""Or for so long while a frame's worth was written: no storm may pile up in the live lane, behind
which the first alarm after the return would wait."""
URGENT_HELD = {1: 200, 2: 100}
"""How many transitions of a priority may wait in the live lane for the link's return."""
LOST_MS = 12_000
COMMANDS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this run of the edge is."""

    node: Node
    epoch: str
    boot: str


@dataclass(frozen=True, slots=True)
class Answerers:
    """Who answers what comes down."""

    engine: Engine
    alarms: AlarmService
    commands: CommandHandler
    directives: DirectiveHandler
    annunciation: Annunciation
    board: Board
    playbooks: OfflinePlaybooks


class Lanes:
    """Whether an event written now travels live or as replay (asked by the store's thread).

    Live while the factory confirms what it gets. While it does not, events go to replay, so that
    the first alarm after the return waits behind nothing. A few of the highest priorities stay
    live all the same: what was raised during the cut is told before the backlog, not after it.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.drainer: Drainer | None = None
        self._clock = clock or SystemClock()
        self._urgent: Counter[int] = Counter()
        self._stuck: float | None = None
        self._crowd = 0
        """Events written live since the last confirmation."""

    def __call__(self, event: Event | None = None) -> str:
        """The lane."""
        if self._confirms():
            self._urgent.clear()
            self._crowd += 1
            return LIVE
        body = event.body if event is not None else None
        if not isinstance(body, AlarmTransition):
            return REPLAY
        if self._urgent[body.priority] >= URGENT_HELD.get(body.priority, 0):
            return REPLAY
        self._urgent[body.priority] += 1
        return LIVE

    def _confirms(self) -> bool:
        drainer = self.drainer
        if drainer is None or not drainer.link_up:
            return False
        since = drainer.stuck_since(LIVE)
        if since != self._stuck:
            self._stuck, self._crowd = since, 0
        if since is None:
            return True
        stuck = self._clock.mono_ms() - since * 1000
        return stuck < (STALLED_MS if self._crowd < CROWD else CROWDED_MS)


class Uplink:
    """One edge's side of the link."""

    def __init__(
        self, who: Identity, connect: Callable[[], Awaitable[NatsBus]], journal: Journal,
        lanes: Lanes, parts: Answerers, clock: Clock,
    ) -> None:  # fmt: skip
        self._who, self._connect, self._journal = who, connect, journal
        self._lanes, self._p, self._clock = lanes, parts, clock
        self._outbox = JournalOutbox(journal)
        self._status = OutboxStatus()
        self._accepted = asyncio.Event()
        self._read_bucket = {SETTINGS: asyncio.Event(), DRY_RUN: asyncio.Event()}
        self._heard: int | None = None
        self.drivers: Callable[[], dict[str, str]] = dict
        self.site: Callable[[], tuple[str, str]] = lambda: ("", "")
        """The version of the site that runs, and the one that is wanted."""
        self._lapse: asyncio.TimerHandle | None = None
        journal.on_commit = self._wake

    def _wake(self) -> None:
        if self._lanes.drainer is not None:
            self._lanes.drainer.wake()

    async def run(self) -> None:
        """Connect, serve until the connection ends for good, and again."""
        while True:
            try:
                await self._serve(await self._connected())
            except* RetryableTransportError as errors:
                log.warning("uplink_ended", error=str(errors.exceptions[0]))
            await asyncio.sleep(CONNECT_FIRST_S)

    async def _serve(self, bus: NatsBus) -> None:
        drainer = Drainer(self._who.node, self._outbox, bus)
        self._accepted.clear()
        self._look_for_directives()
        try:
            await self._subscribe(bus)
            self._lanes.drainer = drainer
            async with asyncio.TaskGroup() as group:
                group.create_task(self._greet(bus, drainer))
                group.create_task(self._drain(drainer))
                group.create_task(self._beat(bus))
                group.create_task(self._directives(bus, SETTINGS, self._p.directives.take))
                # By itself: a long look back keeps no rollback waiting.
                group.create_task(self._directives(bus, DRY_RUN, self._p.directives.rehearse))
        finally:
            self._lanes.drainer = None
            await bus.close()

    async def _connected(self) -> NatsBus:
        delay, told = CONNECT_FIRST_S, ""
        while True:
            try:
                return await self._connect()
            except ConfigError as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("uplink_unreachable", error=error.message, mend=error.mend)
                await asyncio.sleep(delay)
                delay = min(delay * 2, CONNECT_MAX_S)

    async def _subscribe(self, bus: NatsBus) -> None:
        node = self._who.node
        await bus.subscribe(node.lease, self._on_lease)
        await bus.subscribe(node.command, self._on_command, workers=COMMANDS_AT_ONCE)
        await bus.subscribe(node.fact, self._on_facts)
        await bus.subscribe(node.sampling, self._on_sampling)
        await bus.subscribe(node.directive, self._on_directive)

    # registration

    async def _greet(self, bus: NatsBus, drainer: Drainer) -> None:
        """Register the epoch, and go on doing so: the answer also tells watermarks and the time."""
        while True:
            try:
                welcome = await self._hello(bus, drainer)
            except (RetryableTransportError, ContractError) as error:
                log.debug("hello_unanswered", error=str(error))
                await asyncio.sleep(HELLO_RETRY_S)
                continue
            if not welcome.accepted:
                log.warning("epoch_refused", code=welcome.code, epoch=self._who.epoch)
                await asyncio.sleep(REFUSED_S)
                continue
            if not self._accepted.is_set():
                log.info("epoch_registered", epoch=self._who.epoch)
                self._accepted.set()
            if not drainer.link_up:
                drainer.link_up = True
                drainer.wake()
                self._look_for_directives()  # what was said while we were away
            await asyncio.sleep(HELLO_EVERY_S)

    async def _hello(self, bus: NatsBus, drainer: Drainer) -> Welcome:
        pending = await self._outbox.pending()
        held: dict[str, list[str]] = {}
        for epoch, lane, _, _ in pending:
            if epoch != self._who.epoch:
                held.setdefault(epoch, []).append(lane)
        asked, began = self._clock.now_ms(), self._clock.mono_ms()
        hello = Hello(
            source=self._who.node.source, epoch=self._who.epoch, boot=self._who.boot,
            at=asked, held=held,
        )  # fmt: skip
        answer = await bus.request(self._who.node.hello, encode(hello), HELLO_TIMEOUT_S)
        welcome = decode(answer, Welcome)
        self._heard = self._clock.mono_ms()
        if welcome.at:
            half = (self._heard - began) / 2
            self._p.engine.clock_offset = (round(welcome.at - asked - half, 1), half)
        if welcome.accepted:
            known = {f"{epoch}/{lane}" for epoch, lane, _, _ in pending}
            for key, through in welcome.watermarks.items():
                if key in known:
                    epoch, _, lane = key.partition("/")
                    await drainer.committed(epoch, lane, through)
        return welcome

    async def _drain(self, drainer: Drainer) -> None:
        await self._accepted.wait()
        await drainer.run()

    # health

    async def vitals(self) -> None:
        """Once a second, linked or not: counters for the page and for the heartbeat."""
        while True:
            try:
                self._status = await self._outbox.status()
            except RetryableTransportError as error:
                log.debug("counters_unreadable", error=str(error))
            around = self._p.board.around
            reachable = self._reachable()
            if reachable != around.brain_reachable or around.brain_lost_since is None:
                around.brain_lost_since = None if reachable else self._clock.now_ms()
            around.brain_reachable, around.lanes = reachable, self._status.lanes
            if (offset := self._p.engine.clock_offset) is not None:
                around.clock = ClockStatus(offset_ms=offset[0], uncertainty_ms=offset[1])
            around.settings_version = self._p.directives.counter
            await asyncio.sleep(BEAT_S)

    def _reachable(self) -> bool:
        drainer = self._lanes.drainer
        if self._heard is None or drainer is None or not drainer.link_up:
            return False
        return self._clock.mono_ms() - self._heard < LOST_MS

    async def _beat(self, bus: NatsBus) -> None:
        while True:
            if bus.closed:
                raise RetryableTransportError("the connection to NATS has ended for good")
            if bus.connected:
                await bus.publish(self._who.node.health, encode(self.health()))
            await asyncio.sleep(BEAT_S)

    def health(self) -> Health:
        """The heartbeat."""
        now, oldest = self._clock.now_ms(), self._status.oldest_at
        offset = self._p.engine.clock_offset
        counter = self._p.directives.counter
        return Health(
            source=self._who.node.source, epoch=self._who.epoch, boot=self._who.boot,
            mono=self._clock.mono_ms(), at=now, lanes=self._status.lanes,
            oldest_buffered_ms=max(0, now - oldest) if oldest is not None else None,
            drivers=self.drivers(), settings_version=counter, directive_counter=counter,
            annunciating=self._p.board.annunciating, journal_degraded=self._journal.degraded,
            clock_offset_ms=offset[0] if offset else None,
            fragments=self._p.playbooks.version, site_version=self.site()[0],
            site_desired=self.site()[1], filters=[each for each in FILTERS if each != "raw"],
        )  # fmt: skip

    # what comes down

    async def _on_lease(self, _: str, data: bytes) -> bytes | None:
        try:
            lease = decode(data, LeaseGrant)
        except ContractError as error:
            log.error("lease_unreadable", error=str(error))
            return None
        now = self._clock.mono_ms()
        answer = self._p.annunciation.grant(lease, now)
        self._p.engine.dirty()
        self._sound_after(self._p.annunciation.until - now)
        return encode(answer)

    def _sound_after(self, left_ms: int) -> None:
        """The horn is this edge's from the moment the lease ends, not from its next second."""
        if self._lapse is not None:
            self._lapse.cancel()
        if left_ms > 0:
            loop = asyncio.get_running_loop()
            self._lapse = loop.call_later((left_ms + 1) / 1000, self._p.engine.dirty)

    async def _on_command(self, _: str, data: bytes) -> bytes | None:
        try:
            request = decode(data, CommandRequest)
        except ContractError as error:
            log.error("command_unreadable", error=str(error))
            return encode(CommandResult(id="", outcome="refused", reason="unreadable"))
        if request.health:
            return encode(self.health())
        if request.fragments is not None:
            held = await self._p.playbooks.install(request.fragments)
            answer = CommandResult(
                id=request.fragments.version, outcome=held.outcome, reason=held.reason
            )
            return encode(answer)
        return encode(await self._p.commands.handle(request))

    async def _on_facts(self, _: str, data: bytes) -> bytes | None:
        if self._journal.degraded:  # not answered: the factory keeps them and asks again
            log.warning("facts_put_off", reason="journal_degraded")
            return None
        try:
            frame = decode(data, Frame)
        except ContractError as error:
            log.error("facts_unreadable", error=str(error))
            return None
        rows, answer = self._p.alarms.take_frame(frame)
        return encode(answer) if await self._p.engine.facts(rows) else None

    async def _on_sampling(self, _: str, data: bytes) -> bytes | None:
        try:
            request = decode(data, SampleRequest)
        except ContractError as error:
            log.error("sampling_unreadable", error=str(error))
            return None
        return encode(self._p.engine.ask(request))

    def _look_for_directives(self) -> None:
        for event in self._read_bucket.values():
            event.set()

    async def _on_directive(self, _: str, data: bytes) -> bytes | None:
        self._look_for_directives()
        return None

    async def _directives(
        self, bus: NatsBus, key: str, take: Callable[[bytes], Awaitable[None]]
    ) -> None:
        node, look = self._who.node, self._read_bucket[key]
        while True:
            try:
                async with asyncio.timeout(DIRECTIVE_S):
                    await look.wait()
            except TimeoutError:
                log.debug("directive_poll")
            look.clear()
            try:
                data = await bus.bucket_get(node.directive_bucket, key, node.upstream_domain)
            except RetryableTransportError as error:
                log.debug("bucket_unreadable", error=str(error))
                await asyncio.sleep(BUCKET_RETRY_S)
                if self._lanes.drainer is not None and self._lanes.drainer.link_up:
                    look.set()
                continue
            if data is not None:
                await take(data)
                self._p.engine.store([])
