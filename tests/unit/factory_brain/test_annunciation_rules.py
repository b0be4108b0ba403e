"""One tier sounds: when the brain takes a horn, keeps it and gives it back; never a gap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from edge_node.domain.annunciation import Annunciation as AtEdge
from factory_brain.application import annunciation as module
from factory_brain.application.annunciation import Annunciation
from factory_brain.application.fleet import FleetView
from factory_brain.application.live_view import LiveView
from factory_brain.domain.lateness import Lateness, Unheard
from shared.bus.port import Bus
from shared.clock import SystemClock
from shared.errors import RetryableTransportError
from shared.messages.codec import decode, encode
from shared.messages.control import Counts, Health, LeaseAck, LeaseGrant
from shared.messages.subjects import Node
from shared.site.model import EdgeSpec

TTL_MS = 900


class Edges:
    """Two edges with the real lease of an edge; e2 may fall silent."""

    def __init__(self) -> None:
        self.leases = {"e1": AtEdge(boot="bt"), "e2": AtEdge(boot="bt")}
        self.clock = SystemClock()
        self.dumb: set[str] = set()

    async def request_down(self, node: Node, subject: str, data: bytes, timeout_s: float) -> bytes:
        if node.name in self.dumb:
            await asyncio.sleep(timeout_s)
            raise RetryableTransportError("no answer")
        grant = decode(data, LeaseGrant)
        lease = self.leases[node.name]
        return encode(lease.grant(grant, self.clock.mono_ms()))

    def silent(self, edge: str) -> bool:
        return not self.leases[edge].annunciating(self.clock.mono_ms())


class Live:
    def __init__(self) -> None:
        self.horn_edges: set[str] = set()

    def touch(self) -> None:
        return None


class World:
    def __init__(self) -> None:
        self.edges, self.live, clock = Edges(), Live(), SystemClock()
        specs = [
            EdgeSpec.model_validate({"id": name, "name": {"zh": name, "en": name}})
            for name in ("e1", "e2")
        ]
        self.fleet = FleetView("f1", specs, clock)
        self.watched, self.fault = True, False
        self.backlog = 0
        self.stands = False
        """Nothing of what e1 raises is confirmed any more; it raises one in each heartbeat."""
        self.brain = Annunciation(
            "f1", "brain", TTL_MS, cast(Bus, self.edges), clock, self.fleet,
            cast(LiveView, self.live), lambda: self.watched, self.writable,
        )  # fmt: skip
        self.sounding: list[set[str]] = []

    async def writable(self) -> bool:
        if self.fault:
            raise RuntimeError("a fault that nobody thought of")
        return True

    async def beat(self) -> None:
        lanes = {"history": Counts(buffered=90_000)}
        produced = waits = 3
        while True:
            produced += 1
            waits = waits + 1 if self.stands else 3
            for name in ("e1", "e2"):
                behind = waits if name == "e1" else 3
                lanes["live"] = Counts(produced=produced, buffered=behind)
                lanes["replay"] = Counts(buffered=self.backlog)
                mono = self.edges.clock.mono_ms()
                health = Health(
                    source=f"f1.{name}", epoch="ep", boot="bt", mono=mono, at=1, lanes=dict(lanes)
                )
                await self.fleet.on_health(Node("f1", name).health, encode(health))
            await asyncio.sleep(0.02)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait, and hold at every look that somebody sounds for each edge."""
        async with asyncio.timeout(10):
            while not condition():
                for edge in ("e1", "e2"):
                    assert not self.edges.silent(edge) or edge in self.live.horn_edges, edge
                await asyncio.sleep(0.005)


async def run(world: World, story: Callable[[World], object]) -> None:
    tasks = [asyncio.create_task(world.beat()), asyncio.create_task(world.brain.run())]
    try:
        await story(world)  # type: ignore[misc]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_a_horn_is_taken_only_when_the_backlog_is_here() -> None:
    world = World()
    world.backlog = 12

    async def story(w: World) -> None:
        await asyncio.sleep(TTL_MS / 1000)
        assert w.live.horn_edges == set()
        w.backlog = 0
        await w.until(lambda: w.live.horn_edges == {"e1", "e2"})
        w.backlog = 7  # of a horn that is held already a backlog changes nothing
        await asyncio.sleep(TTL_MS / 1000)
        assert w.live.horn_edges == {"e1", "e2"}

    await run(world, story)


async def test_a_live_lane_that_stands_hands_its_own_horn_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LATE_MS", 400)
    monkeypatch.setattr(module, "IN_TIME_MS", 300)

    async def story(w: World) -> None:
        await w.until(lambda: w.live.horn_edges == {"e1", "e2"})
        w.stands = True
        await w.until(lambda: w.live.horn_edges == {"e2"})
        assert not w.edges.silent("e1")
        await asyncio.sleep(TTL_MS / 1000)
        assert not w.edges.silent("e1"), "not taken again while it stands"
        w.stands = False
        await w.until(lambda: w.live.horn_edges == {"e1", "e2"})

    await run(World(), story)


def test_what_waits_is_late_and_what_is_confirmed_in_time_is_not() -> None:
    lane = Lateness()
    for second in range(60):  # many a second, all confirmed within one
        lane.beat("b", 1000 * (second + 1), 400, 1000 * second)
        assert lane.ms <= 1000
    for second in range(60, 64):
        lane.beat("b", 61_000, 1200, 1000 * second)
    assert lane.ms == 4000
    lane.beat("b", 62_000, 900, 64_000)  # it goes on: what waits now has come since
    assert lane.ms == 0
    for second in range(65, 75):  # it goes on too slowly: ever older ones wait
        lane.beat("b", 62_000 + (second - 64) * 100, 900 + (second - 64) * 90, 1000 * second)
    assert lane.ms == 10_000
    lane.beat("c", 5, 2, 75_000)  # another life of the edge
    assert lane.ms == 0


async def test_a_probe_that_fails_in_any_way_hands_the_horn_down() -> None:
    async def story(w: World) -> None:
        await w.until(lambda: w.live.horn_edges == {"e1", "e2"})
        w.fault = True
        await w.until(lambda: w.live.horn_edges == set())
        assert not w.edges.silent("e1")
        w.fault = False
        await w.until(lambda: w.live.horn_edges == {"e1", "e2"})

    await run(World(), story)


async def test_an_edge_that_does_not_answer_costs_the_other_nothing() -> None:
    async def story(w: World) -> None:
        await w.until(lambda: w.live.horn_edges == {"e1", "e2"})
        w.edges.dumb.add("e2")
        deadline = w.edges.clock.mono_ms() + 3 * TTL_MS
        while w.edges.clock.mono_ms() < deadline:
            assert w.edges.silent("e1"), "renewed in time all along"
            assert "e1" in w.live.horn_edges
            await asyncio.sleep(0.01)
        assert not w.edges.silent("e2"), "its lease has lapsed: it sounds"

    await run(World(), story)


async def test_a_confirmed_channel_hears_as_a_console_does() -> None:
    world = World()
    world.watched = False
    heard = True
    world.brain.attendance.append(lambda: heard)

    async def story(w: World) -> None:
        nonlocal heard
        await w.until(lambda: w.live.horn_edges == {"e1", "e2"})
        heard = False
        await w.until(lambda: w.live.horn_edges == set())
        assert not w.edges.silent("e1")

    await run(world, story)


def test_a_grant_from_before_the_release_silences_nobody() -> None:
    lease = AtEdge(boot="b")
    assert lease.grant(LeaseGrant(id="01", holder="a", ttl_ms=5000), 0).accepted
    assert lease.grant(LeaseGrant(id="03", holder="a", ttl_ms=1, released=True), 10).accepted
    late = lease.grant(LeaseGrant(id="02", holder="a", ttl_ms=5000), 20)
    assert (late.accepted, late.code) == (False, "superseded")
    assert lease.annunciating(20)
    assert lease.grant(LeaseGrant(id="04", holder="a", ttl_ms=5000), 30).accepted
    assert lease.grant(LeaseGrant(id="00", holder="b", ttl_ms=5000), 9000).accepted
    assert isinstance(lease.grant(LeaseGrant(id="05", holder="b", ttl_ms=5000), 9001), LeaseAck)


def test_a_clock_up_there_that_was_set_back_costs_the_horn_one_lease() -> None:
    lease = AtEdge(boot="b")
    assert lease.grant(LeaseGrant(id="09", holder="a", ttl_ms=5000), 0).accepted
    assert lease.grant(LeaseGrant(id="10", holder="a", ttl_ms=1, released=True), 10).accepted
    assert not lease.grant(LeaseGrant(id="02", holder="a", ttl_ms=5000), 5_000).accepted
    assert lease.grant(LeaseGrant(id="03", holder="a", ttl_ms=5000), 5_020).accepted
    assert not lease.annunciating(5_030)


def test_what_was_recorded_while_nobody_heard_it_is_not_on_its_way() -> None:
    """An acknowledgement at the edge during a cut: two live events, as few as ever."""
    heard = Unheard()
    heard.beat("b", 1_000, 10, 0, 50_000)
    heard.beat("b", 2_000, 13, 3, 51_000)
    assert heard.here  # three that are on their way
    heard.beat("b", 9_000, 15, 2, 58_000)
    assert not heard.here  # two of a time in which nobody listened
    heard.beat("b", 10_000, 18, 5, 59_000)
    assert not heard.here
    heard.beat("b", 11_000, 19, 4, 60_000)
    assert heard.here
    # A link that was silent gives all its heartbeats at once, the oldest first.
    for mono, produced, buffered in ((12_000, 19, 0), (13_000, 19, 0), (19_000, 21, 2)):
        heard.beat("b", mono, produced, buffered, 68_000)
    assert not heard.here
    heard.beat("b", 20_000, 21, 0, 69_000)
    assert heard.here
    heard.beat("c", 5, 30, 1, 70_000)  # another life of the edge
    assert not heard.here
