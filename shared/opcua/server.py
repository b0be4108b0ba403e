"""A tier's alarms as an OPC UA server with alarm conditions (Part 9) for other systems.

Run as a task of the tier's wiring where `opcua_url` is set. Fed with committed changes without ever
holding up who feeds it; brings itself to what the tier shows every few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

from asyncua import ua
from asyncua.common.events import Event
from cryptography import x509

from shared.clock import Clock
from shared.opcua.alarms import AlarmBook, Place, Shown, Tier
from shared.opcua.calls import Calls
from shared.opcua.events import Events
from shared.opcua.listening import Where
from shared.opcua.nodes import SERVER, AddressSpace, Value, event_of, fields_of, unshelve_ms
from shared.opcua.sessions import AccountServer, Door, Session
from shared.opcua.waiting import REST_S, Pace, Waiting
from shared.telemetry import logger

log = logger("opcua")
_STANDARD = "asyncua.server.standard_address_space.standard_address_space"
NAMESPACE = "urn:andon:alarms"
SYNC_S, LOOK_EVERY_S = 2.0, 20.0
MAX_BESIDE = 2_000
"""Alarms of no definition (linked systems) that are shown at most."""
_POLICIES = [
    ua.SecurityPolicyType.NoSecurity,
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]


class OpcuaServer:
    """The alarm server of one tier."""

    def __init__(
        self, where: Where, clock: Clock, door: Door, tier: Tier, rest_s: float = REST_S
    ) -> None:
        self._where, self._clock, self._door, self._tier = where, clock, door, tier
        self._book = AlarmBook(tier)
        self.pace, self._rest_s = Pace(rest_s), rest_s
        self._server: AccountServer | None = None
        self._space: AddressSpace
        self._events: Events
        self._stood: set[str] = set()
        """Alarms that the tier showed at the last look."""
        self._of_site = 0
        self._missed = self._look = False
        self.waiting = Waiting(tier.older)
        self.listening = asyncio.Event()

    def changed(self, alarm: str, report: Any) -> None:
        """A committed change; never waits."""
        if not self.waiting.put(alarm, report):
            self._missed = True

    def look(self) -> None:
        """Something is shown no more, or the site has changed: look now."""
        self._look = True
        self.waiting.wake()

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
            await self.waiting.news(SYNC_S)
            self.pace.begin()
            await self._drain()
            if self._missed or self._look or loop.time() - synced >= SYNC_S:
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
        where = self._where
        calls = Calls(self._tier, self._book, lambda: self._space, self._refresh)
        server = AccountServer(self._door, calls)
        # A second of work to load, which the library would do on the loop.
        await asyncio.to_thread(import_module, _STANDARD)
        await server.init()
        server.set_endpoint(where.url)
        server.set_server_name(f"Andon {where.name}")
        uri = f"urn:andon:{where.name}:alarms"
        if where.certificate is not None and where.key is not None:
            await server.load_certificate(where.certificate)
            await server.load_private_key(where.key)
            uri = _uri_in(server.iserver.certificate) or uri
            server.set_security_policy(_POLICIES, server.reading)
        else:
            log.warning("opcua_unencrypted", url=where.url)
            server.set_security_policy(_POLICIES[:1], server.reading)
        await server.set_application_uri(uri)
        index = await server.register_namespace(NAMESPACE)
        await server.get_node(SERVER).set_event_notifier([ua.EventNotifier.SubscribeToEvents])
        self._space = AddressSpace(
            server, index, self._tier.path,
            lambda alarm: unshelve_ms(self._book.of(alarm), self._clock.now_ms()),
        )  # fmt: skip
        self._events = Events(server.iserver, self._clock, self._rest_s)
        return server

    async def _sync(self) -> None:
        """Bring nodes to the site's files and states to what the tier shows."""
        missed, self._missed, self._look = self._missed, False, False
        changed = await self._follow_site()
        shown = self._tier.shown()
        for alarm, report in shown.items():
            if self._book.held(alarm) is not report:
                await self._take(alarm, report)
            await self.pace.breathe()
        gone = self._stood.difference(shown)
        gone.update(s.place.alarm for s in self._book.retained() if s.place.alarm not in shown)
        self._stood = set(shown)
        for alarm in gone:
            newest = await self._tier.newest(alarm)
            if newest is not None:
                await self._take(alarm, newest)
            await self.pace.breathe()
        if missed:
            log.warning("opcua_overflow", missed=self.waiting.overflowed)
        if missed or changed:
            await self._events.refresh_required(self.pace)

    async def _follow_site(self) -> bool:
        wanted, have = self._book.places(), self._space.alarms
        self._of_site = len(self._tier.places())
        if wanted == have:
            return False
        for alarm in [each for each, place in have.items() if wanted.get(each) != place]:
            await self._space.remove_alarm(alarm)
            if alarm not in wanted:
                self._book.forget(alarm)
            await self.pace.breathe()
        for alarm in [each for each in wanted if each not in have]:
            await self._add(self._book.of(alarm), wanted[alarm])
            await self.pace.breathe()
        used = {each for place in have.values() for each in self._tier.path(place.asset)}
        for asset in [each for each in reversed(self._space.assets) if each not in used]:
            await self._space.remove_asset(asset)
        return True

    async def _add(self, shown: Shown, place: Place) -> None:
        for each in self._tier.path(place.asset):
            if each not in self._space.assets:
                await self._space.add_asset(each, self._tier.asset_name(each))
        await self._space.add_alarm(replace(shown, place=place), self._fields(shown))

    # states and events

    async def _drain(self) -> None:
        """What waits now; what comes meanwhile has its turn after the next look."""
        for _ in range(len(self.waiting)):
            await self._take(*self.waiting.take())
            await self.pace.breathe()

    async def _take(self, alarm: str, report: Any) -> None:
        space = self._space
        known = alarm in space.alarms or alarm in self._tier.places()
        if not known and len(space.alarms) - self._of_site >= MAX_BESIDE:
            self.waiting.overflowed += 1
            return
        shown = self._book.take(alarm, report)
        if shown is None:
            return
        if alarm not in space.alarms:
            await self._add(shown, shown.place)
        fields = self._fields(shown)
        await space.show(shown, fields)
        event = event_of(fields, space.alarm(alarm))
        await self._events.tell(event, space.notifiers(shown.place.asset), self.pace)

    def _fields(self, shown: Shown) -> dict[str, Value]:
        return fields_of(shown, self._space.source(shown.place.asset), self._clock.now_ms())

    def _standing(self) -> Iterator[tuple[Event, list[ua.NodeId]]]:
        for shown in self._book.retained():
            event = event_of(self._fields(shown), self._space.alarm(shown.place.alarm))
            yield event, self._space.notifiers(shown.place.asset)

    async def _refresh(self, number: Any, item: Any, session: ua.NodeId) -> int:
        return await self._events.refresh(number, item, session, self._standing())

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
