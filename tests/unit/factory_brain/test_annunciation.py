"""The brain's side of the horn's lease: given back at once when its database hangs."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from factory_brain.application import annunciation as module
from factory_brain.application.annunciation import Annunciation
from factory_brain.application.fleet import FleetView
from factory_brain.application.live_view import LiveView
from shared.bus.port import Bus
from shared.clock import SystemClock
from shared.messages.codec import decode, encode
from shared.messages.control import Health, LeaseAck, LeaseGrant, Token
from shared.messages.subjects import Node
from shared.site.model import EdgeSpec

EDGE = Node("f1", "e1")
TTL_MS = 900


class Edge:
    """Accepts every lease."""

    def __init__(self) -> None:
        self.grants: list[LeaseGrant] = []
        self.changed = asyncio.Event()

    async def request_down(self, node: Node, subject: str, data: bytes, timeout_s: float) -> bytes:
        grant = decode(data, LeaseGrant)
        self.grants.append(grant)
        self.changed.set()
        return encode(LeaseAck(id=grant.id, accepted=True))


class Live:
    """Which edges sound here."""

    def __init__(self) -> None:
        self.horn_edges: set[str] = set()

    def touch(self) -> None:
        return None


async def test_a_database_that_hangs_gives_the_horn_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE_S", 0.02)
    clock, edge, live = SystemClock(), Edge(), Live()
    spec = EdgeSpec.model_validate({"id": "e1", "name": {"zh": "一", "en": "one"}})
    fleet = FleetView("f1", [spec], clock)
    health = Health(source=EDGE.source, epoch="ep", boot="bt", mono=77, at=1)
    await fleet.on_health(EDGE.health, encode(health))
    hangs = False

    async def writable() -> bool:
        if hangs:
            await asyncio.sleep(3600)
        return True

    port, view = cast(Bus, edge), cast(LiveView, live)
    brain = Annunciation(
        "f1", "brain", TTL_MS, port, clock, fleet, view, lambda: True, writable
    )  # fmt: skip
    running = asyncio.create_task(brain.run())
    try:
        async with asyncio.timeout(5):
            while not edge.grants:
                await edge.changed.wait()
            assert edge.grants[0].token == Token(boot="bt", mono=77)
            assert live.horn_edges == {"e1"}
            hangs = True
            while not edge.grants[-1].released:
                edge.changed.clear()
                await edge.changed.wait()
            while live.horn_edges:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert fleet.annunciator == {"e1": "edge"}
