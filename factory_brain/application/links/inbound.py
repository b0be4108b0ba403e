"""Webhooks that come in: verified, taken once, mapped, and brought into the journal like an edge's.

A message, its answer, the alarm's change and its event are one transaction; the event then goes
through the same receiver as an edge's frames. Never trusts a message it has not verified.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from factory_brain.application.links.ports import Hooks
from factory_brain.application.links.verify import Request, Verified, verify_request
from factory_brain.application.ports import Audit
from factory_brain.domain import link_mapping
from factory_brain.domain.link_alarms import Done, LinkAlarm, expire, report
from factory_brain.domain.link_mapping import Incoming
from shared.clock import Clock
from shared.config import read_secret
from shared.errors import ConfigError, Rejected
from shared.ids import uuid7
from shared.messages.bodies import LinkedEvent
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import LIVE, Node
from shared.outbox.receiving import Receipt
from shared.site.links import InboundSpec
from shared.site.site import Site
from shared.telemetry import logger

log = logger("links")
AT_ONCE = 8
"""Messages of one link that are worked on at a time; more are told to come back."""
MOST_ALARMS = 5_000
FRAME_EVENTS = 100
SHOWN_WITHIN_S = 2.0
"""How long an answer waits for the event to be in the operators' list."""
IDLE_S = 5.0
WINDOW_MS = 60_000
Receive = Callable[[Frame], Awaitable[Receipt]]


def node_of(site: str, link: str) -> Node:
    """A linked system as a source of events."""
    return Node(site, f"link-{link}")


@dataclass(slots=True)
class _Open:
    """One inbound link while it runs."""

    mapping: link_mapping.Mapping
    recent: deque[int]
    working: int = 0


class Inbound:
    """All inbound links of a site."""

    def __init__(
        self, site: Site, clock: Clock, hooks: Hooks, receive: Receive, secrets_dir: Path
    ) -> None:
        self._site, self._clock, self._hooks, self._receive = site, clock, hooks, receive
        self._secrets = secrets_dir
        self._open: dict[str, _Open] = {}
        self._wake, self._done = asyncio.Event(), asyncio.Condition()
        self._through: dict[str, int] = {}

    def limit(self, link: str) -> int | None:
        """How long a message may be; None for a link that is not there."""
        spec = self._site.links.inbound.get(link)
        return spec.max_bytes if spec else None

    async def take(
        self, link: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, Any] | Rejected:
        """Take one message: its answer, or why not."""
        spec = self._site.links.inbound.get(link)
        if spec is None:
            return Rejected("unknown_link", {"link": link})
        opened = self._opened(spec)
        if (refusal := self._limited(opened)) is not None:
            return refusal
        opened.working += 1
        try:
            return await self._take(opened, Request(headers, body))
        finally:
            opened.working -= 1

    def _opened(self, spec: InboundSpec) -> _Open:
        opened = self._open.get(spec.id)
        if opened is None or opened.mapping.spec is not spec:
            opened = _Open(link_mapping.Mapping(spec), deque(maxlen=spec.per_minute))
            self._open[spec.id] = opened
        return opened

    def _limited(self, opened: _Open) -> Rejected | None:
        now, recent = self._clock.mono_ms(), opened.recent
        if len(recent) == recent.maxlen and now - recent[0] < WINDOW_MS:
            wait = (WINDOW_MS - (now - recent[0])) // 1000 + 1
            return Rejected("too_many_messages", {"seconds": wait})
        if opened.working >= AT_ONCE:
            return Rejected("link_busy", {"seconds": 1})
        return None

    async def _take(self, opened: _Open, request: Request) -> dict[str, Any] | Rejected:
        spec, now = opened.mapping.spec, self._clock.now_ms()
        try:
            secret = await asyncio.to_thread(
                read_secret, self._secrets / spec.secret, "webhook secret"
            )
            verified = verify_request(spec, secret, request, now // 1000)
        except ConfigError as error:
            log.error("link_secret_missing", link=spec.id, error=str(error))
            return Rejected("link_not_ready", {"link": spec.id})
        if isinstance(verified, Rejected):
            log.warning("hook_refused", link=spec.id, code=verified.code)
            return verified
        # Only what is genuine counts: whoever has no secret uses up nobody's share.
        opened.recent.append(self._clock.mono_ms())
        try:
            document = msgspec.json.decode(request.body)
        except (msgspec.DecodeError, RecursionError) as error:
            return Rejected("hook_not_json", {"why": str(error)[:200]})
        incoming = opened.mapping.read(document, now)
        if isinstance(incoming, Rejected):
            return incoming
        answer, seq = await self._store(spec, verified, incoming, now)
        if seq:
            await self._until_shown(spec.id, seq)
        return answer

    async def _store(
        self, spec: InboundSpec, verified: Verified, incoming: Incoming | None, now: int
    ) -> tuple[dict[str, Any], int]:
        async with self._hooks.transaction(spec.id) as tx:
            # The same words about an alarm are no repetition once it has ended in between: without
            # an id of the sender's, what is new is decided by the alarm's state alone.
            by_state = not verified.named and incoming is not None and bool(incoming.alarm)
            earlier = await self._hooks.answer(tx, spec.id, verified.message)
            if earlier is not None and not by_state:
                return earlier | {"duplicate": True}, 0
            answer: dict[str, Any] = {"id": verified.message, "result": "ignored"}
            seq = 0
            if incoming is not None:
                event, answer = await self._apply(tx, incoming, answer, now)
                if event is not None:
                    seq = await self._hooks.append(tx, spec.id, [encode(event)])
            await self._hooks.remember(tx, spec.id, verified.message, answer, now)
        return answer | {"duplicate": False}, seq

    async def _apply(
        self, tx: Any, incoming: Incoming, answer: dict[str, Any], now: int
    ) -> tuple[Event | None, dict[str, Any]]:
        """The event that a message makes, and its answer."""
        if not incoming.alarm:
            return self._event(incoming), answer | {"result": "recorded"}
        answer |= {"alarm": incoming.alarm}
        before = await self._hooks.alarm(tx, incoming.alarm)
        if before is None:
            if await self._hooks.count_alarms(tx, incoming.link) >= MOST_ALARMS:
                return self._event(incoming, "too_many"), answer | {"result": "too_many_alarms"}
            before = LinkAlarm(incoming.alarm, incoming.link)
        done = report(before, incoming, now, uuid7(self._clock))
        answer |= {"result": done.result, "occurrence": done.alarm.occurrence or None}
        if done.result == "older":
            return self._event(incoming, "older"), answer
        await self._hooks.put_alarm(tx, done.alarm)
        return self._transition(done), answer

    def _event(self, incoming: Incoming, note: str = "") -> Event:
        body = LinkedEvent(
            link=incoming.link, kind=incoming.kind, asset=incoming.asset, names=incoming.names,
            priority=incoming.priority, value=incoming.value, unit=incoming.unit,
            alarm=incoming.alarm, note=note,
        )  # fmt: skip
        return Event(
            id=uuid7(self._clock), type=f"linked.{incoming.kind}", time=incoming.time, body=body
        )

    def _transition(self, done: Done) -> Event | None:
        if done.transition is None:
            return None
        return Event(
            id=uuid7(self._clock), type="alarm", time=done.transition.source_time,
            body=done.transition,
        )  # fmt: skip

    async def _until_shown(self, link: str, seq: int) -> None:
        """Wait a little for the journal: the answer then means `in the list`."""
        self._wake.set()

        def shown() -> bool:
            return self._through.get(link, 0) >= seq

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHOWN_WITHIN_S), self._done:
                await self._done.wait_for(shown)

    def wake(self) -> None:
        """Events wait for the journal."""
        self._wake.set()

    async def drain_for_ever(self) -> None:
        """Bring what waits into the journal, and end shelves whose time is over."""
        while True:
            self._wake.clear()
            for link, alarm in await self._hooks.shelves_over(self._clock.now_ms()):
                await self._end_shelf(link, alarm)
            for link in await self._hooks.waiting():
                await self._drain(link)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    await self._wake.wait()

    async def _drain(self, link: str) -> None:
        node = node_of(self._site.info.site, link)
        while (found := await self._hooks.next(link, FRAME_EVENTS)) is not None:
            epoch, first, events = found
            frame = Frame(
                source=node.source, epoch=epoch, lane=LIVE, first=first, events=events, oldest=first
            )
            receipt = await self._receive(frame)
            if receipt.watermark < frame.last:
                log.error("link_stuck", link=link, first=first, watermark=receipt.watermark)
                return
            await self._hooks.committed(link, frame.last)
            async with self._done:
                self._through[link] = frame.last
                self._done.notify_all()

    async def _end_shelf(self, link: str, alarm: str) -> None:
        async with self._hooks.transaction(link) as tx:
            before = await self._hooks.alarm(tx, alarm)
            done = expire(before, self._clock.now_ms()) if before else None
            if done is None:
                return
            await self._hooks.put_alarm(tx, done.alarm)
            if (event := self._transition(done)) is not None:
                await self._hooks.append(tx, link, [encode(event)])

    async def end(self, alarm: str, actor: str, audit: Audit) -> bool:
        """A person ends an alarm whose system will never say that it is over; False if none is."""
        link = alarm.removeprefix(link_mapping.PREFIX).partition(".")[0]
        if not alarm.isprintable() or link not in await self._hooks.links():
            return False
        async with self._hooks.transaction(link) as tx:
            before = await self._hooks.alarm(tx, alarm)
            if before is None or not before.state.active:
                return False
            now = self._clock.now_ms()
            said = Incoming(
                before.link, "ended", before.asset, alarm, False, before.priority,
                before.names or {}, None, before.unit, max(now, before.reported_at),
            )  # fmt: skip
            done = report(before, said, now, "")
            await self._hooks.put_alarm(tx, done.alarm)
            if done.transition is not None:
                body = msgspec.structs.replace(done.transition, actor=actor)
                event = Event(id=uuid7(self._clock), type="alarm", time=said.time, body=body)
                await self._hooks.append(tx, link, [encode(event)])
            data = {"before": before.state.name, "after": done.alarm.state.name}
            await audit(tx, now, actor, "link_alarm_ended", alarm, data)
        self._wake.set()
        return True

    async def prune_for_ever(self) -> None:
        """Forget old message ids, once an hour."""
        while True:
            now = self._clock.now_ms()
            for link, spec in list(self._site.links.inbound.items()):
                await self._hooks.prune(link, now - spec.keep, now - 7 * 86_400_000)
            await asyncio.sleep(3600)

    async def overview(self) -> dict[str, tuple[int, int | None, int]]:
        """Link -> (events, time of the newest message, alarms)."""
        return await self._hooks.overview()
