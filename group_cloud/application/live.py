"""Tells the open pages what has changed: factories and proposals, at most once a second each.

Woken by ingest, the trainer and the desk; computes nothing while nobody looks.
"""

from __future__ import annotations

import asyncio

from group_cloud.application.fleet import FactoryView
from group_cloud.application.proposals import ProposalDesk
from shared.web.sse import Broadcaster, encode_event

EVERY_S = 1.0


class GroupLive:
    """Pushes the overview and the proposals to all viewers."""

    def __init__(
        self, factories: FactoryView, desk: ProposalDesk, broadcaster: Broadcaster
    ) -> None:
        self._factories, self._desk, self._broadcaster = factories, desk, broadcaster
        self._factories_changed = self._proposals_changed = True
        self._online: frozenset[str] = frozenset()

    def touch_factories(self) -> None:
        """A factory's figures changed."""
        self._factories_changed = True

    def touch_proposals(self) -> None:
        """A proposal or its rollout changed."""
        self._proposals_changed = True

    async def first(self) -> bytes:
        """What a new viewer gets before anything else."""
        return encode_event("factories", await self._factory_bytes()) + encode_event(
            "proposals", await self._proposal_bytes()
        )

    async def broadcast_for_ever(self) -> None:
        """Send what has changed."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.broadcast()

    async def broadcast(self) -> None:
        """One round."""
        online = self._factories.online_sites()
        if online != self._online:
            self._online, self._factories_changed = online, True
        if not self._broadcaster.viewers:
            return
        if self._factories_changed:
            self._factories_changed = False
            self._broadcaster.send("factories", await self._factory_bytes())
        if self._proposals_changed:
            self._proposals_changed = False
            self._broadcaster.send("proposals", await self._proposal_bytes())

    async def _factory_bytes(self) -> bytes:
        return (await self._factories.as_dto()).model_dump_json().encode()

    async def _proposal_bytes(self) -> bytes:
        return (await self._desk.listed()).model_dump_json().encode()
