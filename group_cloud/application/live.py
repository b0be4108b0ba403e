"""Tells the open pages what has changed, at most once a second each, every viewer its own part.

Woken by ingest, the trainer and the desks; computes nothing for a scope that nobody looks at. A
frame is encoded once for all viewers of one scope, and never reaches another's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from group_cloud.application.fleet import FactoryView
from group_cloud.application.proposals import ProposalDesk
from group_cloud.domain.scope import Scope
from shared.telemetry import logger
from shared.web.sse import Broadcaster, encode_event

log = logger("live")

EVERY_S = 1.0
ROOMS = 64
"""Scopes that are remembered while nobody looks."""
Section = Callable[[Scope], Awaitable[bytes]]


@dataclass(eq=False)
class _Room:
    """The viewers of one scope, and what they have not been told yet."""

    broadcaster: Broadcaster
    changed: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    """Sections that could not be told when last asked: logged once, asked again each round."""


class GroupLive:
    """Pushes the overview, the proposals and whatever else is shown to all viewers."""

    def __init__(
        self, factories: FactoryView, desk: ProposalDesk, now_ms: Callable[[], int]
    ) -> None:
        self._factories, self._now = factories, now_ms
        self._sections: dict[str, Section] = {}
        self._rooms: dict[Scope, _Room] = {}
        self._past = [0, 0]
        self._online: frozenset[str] = frozenset()

        async def shown_factories(scope: Scope) -> bytes:
            return (await factories.as_dto(scope)).model_dump_json().encode()

        async def shown_proposals(scope: Scope) -> bytes:
            return (await desk.listed(scope)).model_dump_json().encode()

        self.show("factories", shown_factories)
        self.show("proposals", shown_proposals)

    def show(self, name: str, section: Section) -> None:
        """One more event of the stream: asked for anew whenever it was touched."""
        self._sections[name] = section

    def drop(self, name: str) -> None:
        """A tier without it does not show it."""
        del self._sections[name]

    def touch(self, name: str) -> None:
        """What a section shows has changed."""
        for room in self._rooms.values():
            room.changed.add(name)

    def touch_factories(self) -> None:
        """A factory's figures changed."""
        self.touch("factories")

    def touch_proposals(self) -> None:
        """A proposal or its rollout changed."""
        self.touch("proposals")

    @property
    def viewers(self) -> int:
        """How many are connected."""
        return sum(room.broadcaster.viewers for room in self._rooms.values())

    @property
    def frames(self) -> int:
        """Frames made since the start."""
        return self._past[0] + sum(room.broadcaster.frames for room in self._rooms.values())

    @property
    def overflows(self) -> int:
        """Viewers that could not keep up since the start."""
        return self._past[1] + sum(room.broadcaster.overflows for room in self._rooms.values())

    async def stream(self, scope: Scope, last_event_id: str | None) -> AsyncIterator[bytes]:
        """One viewer's frames; the group shows, it never sounds: nobody here attends."""
        room = self._room(scope)
        first = b""
        for name in list(self._sections):
            data = await self._told(name, scope, room.failing)
            if data is None:
                room.changed.add(name)  # this viewer is told with the next round
            elif data:
                first += encode_event(name, data)
        return room.broadcaster.stream(last_event_id=last_event_id, attends=False, first=first)

    async def _told(self, name: str, scope: Scope, failing: set[str]) -> bytes | None:
        """What a section shows; None: it failed, which keeps no other section from anybody."""
        section = self._sections.get(name)
        if section is None:
            return b""
        try:
            data = await section(scope)
        except Exception:  # of one section, whatever it is: the others go on
            if name not in failing:
                failing.add(name)
                log.exception("live_section_failed", section=name)
            return None
        if name in failing:
            failing.discard(name)
            log.info("live_section_back", section=name)
        return data

    def _room(self, scope: Scope) -> _Room:
        if scope not in self._rooms:
            empty = [s for s, room in self._rooms.items() if not room.broadcaster.viewers]
            for old in empty[: max(0, len(self._rooms) - ROOMS + 1)]:
                gone = self._rooms.pop(old).broadcaster
                self._past = [self._past[0] + gone.frames, self._past[1] + gone.overflows]
            self._rooms[scope] = _Room(Broadcaster(self._now))
        return self._rooms[scope]

    async def broadcast_for_ever(self) -> None:
        """Send what has changed."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.broadcast()

    async def broadcast(self) -> None:
        """One round."""
        online = self._factories.online_sites()
        if online != self._online:
            self._online = online
            self.touch_factories()
        for scope, room in list(self._rooms.items()):
            if not room.broadcaster.viewers:
                continue
            for name in sorted(room.changed):
                room.changed.discard(name)  # before it is asked: a change meanwhile counts
                data = await self._told(name, scope, room.failing)
                if data is None:
                    room.changed.add(name)
                elif data:
                    room.broadcaster.send(name, data)
