"""The brain's alarms as an OPC UA server with alarm conditions (Part 9) for other systems.

Run as a task of the brain where `opcua_url` is set. Fed after commits through a bounded queue, so
that it never holds up the intake; brings itself to what the live view shows every few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.common.events import Event
from cryptography import x509

from factory_brain.adapters.opcua_events import Events
from factory_brain.adapters.opcua_nodes import (
    METHODS,
    SERVER,
    AddressSpace,
    event_of,
    fields_of,
    node_id,
)
from factory_brain.adapters.opcua_sessions import AccountServer, Door, Session
from factory_brain.application.opcua_alarms import GOOD, AlarmBook, Shown, Spoken
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.system_words import is_system
from shared.clock import Clock
from shared.site.site import Site
from shared.telemetry import logger

log = logger("opcua")
NAMESPACE = "urn:andon:alarms"
QUEUE = 5_000
SYNC_S, LOOK_EVERY_S = 2.0, 20.0
MAX_BESIDE = 2_000
"""Alarms of no definition (linked systems) that are shown at most."""
BATCH = 20
_REFRESH = {
    node_id(ua.ObjectIds.ConditionType_ConditionRefresh): 1,
    node_id(ua.ObjectIds.ConditionType_ConditionRefresh2): 2,
}
_POLICIES = [
    ua.SecurityPolicyType.NoSecurity,
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]
Newest = Callable[[str], Awaitable[Occurrence | None]]


@dataclass(frozen=True, slots=True)
class Where:
    """Where it listens, and with which certificate."""

    url: str
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the brain shows now."""

    shown: Callable[[], list[Occurrence]]
    newest: Newest
    """From the store: of what is shown no more."""


class OpcuaServer:
    """The alarm server of one brain."""

    def __init__(
        self, where: Where, site: Site, clock: Clock, door: Door, spoken: Spoken, book: AlarmBook,
        known: Known,
    ) -> None:  # fmt: skip
        self._where, self._site, self._clock, self._door = where, site, clock, door
        self._spoken, self._book, self._known = spoken, book, known
        self._queue: asyncio.Queue[Occurrence] = asyncio.Queue(QUEUE)
        self._server: AccountServer | None = None
        self._space: AddressSpace
        self._events: Events
        self.overflowed = 0
        """Changes that were not taken one by one; what stands was read anew each time."""
        self._missed = False
        self.listening = asyncio.Event()

    async def on_occurrence(self, occurrence: Occurrence, moved: bool) -> None:
        """A committed change; never waits."""
        if is_system(occurrence.alarm):
            return
        try:
            self._queue.put_nowait(occurrence)
        except asyncio.QueueFull:
            self.overflowed += 1
            self._missed = True

    async def run(self) -> None:
        """Serve for ever."""
        await self.close()
        server = await self._build()
        await self._sync()
        await server.start()
        self._server = server
        self.listening.set()
        log.info("opcua_listening", url=self._where.url, alarms=len(self._space.alarms))
        loop = asyncio.get_running_loop()
        synced = looked = loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SYNC_S):
                    await self._take(await self._queue.get())
            await self._drain()
            if self._missed or loop.time() - synced >= SYNC_S:
                await self._sync()
                synced = loop.time()
            if loop.time() - looked >= LOOK_EVERY_S:
                await self._see_off(server)
                looked = loop.time()

    async def close(self) -> None:
        """Stop listening and end all sessions."""
        server, self._server = self._server, None
        self.listening.clear()
        if server is not None:
            await server.stop()

    # the address space

    async def _build(self) -> AccountServer:
        server = AccountServer(self._door, self)
        await server.init()
        server.set_endpoint(self._where.url)
        server.set_server_name(f"Andon {self._site.info.site}")
        uri = f"urn:andon:{self._site.info.site}:alarms"
        if self._where.certificate is not None and self._where.key is not None:
            await server.load_certificate(self._where.certificate)
            await server.load_private_key(self._where.key)
            uri = _uri_in(server.iserver.certificate) or uri
            server.set_security_policy(_POLICIES, server.reading)
        else:
            log.warning("opcua_unencrypted", url=self._where.url)
            server.set_security_policy(_POLICIES[:1], server.reading)
        await server.set_application_uri(uri)
        index = await server.register_namespace(NAMESPACE)
        await server.get_node(SERVER).set_event_notifier([ua.EventNotifier.SubscribeToEvents])
        self._space = AddressSpace(server, index, lambda asset: self._site.assets.path(asset))
        self._events = Events(server.iserver, self._clock)
        return server

    async def _sync(self) -> None:
        """Bring nodes to the site's files and states to the live view."""
        missed, self._missed = self._missed, False
        changed = await self._follow_site()
        shown = {each.alarm: each for each in self._known.shown() if not is_system(each.alarm)}
        for at, occurrence in enumerate(shown.values()):
            if self._book.held(occurrence.alarm) is not occurrence:
                await self._take(occurrence)
            if at % BATCH == 0:
                await asyncio.sleep(0)
        for each in self._book.retained():
            if each.place.alarm not in shown:
                newest = await self._known.newest(each.place.alarm)
                await self._take(newest) if newest is not None else None
        if missed:
            log.warning("opcua_overflow", missed=self.overflowed)
        if missed or changed:
            await self._events.refresh_required()

    async def _follow_site(self) -> bool:
        wanted, have = self._book.places(), self._space.alarms
        if wanted == have:
            return False
        for alarm in [each for each, place in have.items() if wanted.get(each) != place]:
            await self._space.remove_alarm(alarm)
            if alarm not in wanted:
                self._book.forget(alarm)
        for at, alarm in enumerate([each for each in wanted if each not in have]):
            await self._add(self._book.of(alarm))
            if at % BATCH == 0:
                await asyncio.sleep(0)
        used = {each for place in have.values() for each in self._site.assets.path(place.asset)}
        for asset in [each for each in reversed(self._space.assets) if each not in used]:
            await self._space.remove_asset(asset)
        return True

    async def _add(self, shown: Shown) -> None:
        asset = shown.place.asset
        for each in self._site.assets.path(asset):
            if each not in self._space.assets:
                await self._space.add_asset(each, self._site.assets.name(each))
        await self._space.add_alarm(shown)

    # states and events

    async def _drain(self) -> None:
        for at in range(self._queue.qsize()):
            await self._take(self._queue.get_nowait())
            if at % BATCH == 0:
                await asyncio.sleep(0)

    async def _take(self, occurrence: Occurrence) -> None:
        alarm, space = occurrence.alarm, self._space
        known = alarm in self._site.alarms or alarm in space.alarms
        if not known and len(space.alarms) - len(self._site.alarms) >= MAX_BESIDE:
            self.overflowed += 1
            return
        shown = self._book.take(occurrence)
        if shown is None:
            return
        if alarm not in space.alarms:
            await self._add(shown)
        fields = fields_of(shown, space.source(shown.place.asset))
        await space.show(shown, fields)
        event = event_of(fields, space.alarm(alarm))
        await self._events.tell(event, space.notifiers(shown.place.asset))

    def _standing(self) -> Iterator[tuple[Event, list[ua.NodeId]]]:
        for shown in self._book.retained():
            fields = fields_of(shown, self._space.source(shown.place.asset))
            event = event_of(fields, self._space.alarm(shown.place.alarm))
            yield event, self._space.notifiers(shown.place.asset)

    # what clients ask

    async def call(self, session: Session, asked: ua.CallMethodRequest) -> ua.StatusCode | None:
        """The answer to a condition's method; None for every other method."""
        values = [each.Value for each in asked.InputArguments or []]
        if asked.MethodId in _REFRESH:
            return ua.StatusCode(ua.UInt32(await self._refresh(session, asked.MethodId, values)))
        action = METHODS.get(asked.MethodId)
        if action is None:
            return None
        name = await self._say(session, self._space.named(asked.ObjectId), action, values)
        return ua.StatusCode(ua.UInt32(getattr(ua.StatusCodes, name)))

    async def _refresh(self, session: Session, method: ua.NodeId, values: list[Any]) -> int:
        if len(values) != _REFRESH[method]:
            return ua.StatusCodes.BadArgumentsMissing
        item = values[1] if len(values) > 1 else None
        return await self._events.refresh(values[0], item, session.session_id, self._standing())

    async def _say(
        self, session: Session, alarm: str | None, action: str, values: list[Any]
    ) -> str:
        if alarm is None:
            return "BadNodeIdUnknown"
        if len(values) != 2:
            return "BadArgumentsMissing"
        event_id, comment = values
        text = comment.Text if isinstance(comment, ua.LocalizedText) else comment
        if not isinstance(event_id, bytes) or not isinstance(text, str | None):
            return "BadInvalidArgument"
        user = await self._door.user(session.shown)
        answer = await self._spoken.act(user, alarm, event_id, action, text or "")
        if answer == GOOD:
            log.info("opcua_said", alarm=alarm, action=action, actor=user.name if user else "")
        return answer

    async def _see_off(self, server: AccountServer) -> None:
        """End the sessions of accounts that may see no more; the others do not fall idle."""
        for session in list(server.iserver._external_sessions.values()):
            if isinstance(session, Session) and await self._door.gone(session.shown):
                await session.close_session()


def _uri_in(certificate: x509.Certificate) -> str | None:
    """The application's URI as its certificate states it; clients compare the two."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    return next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), None)
