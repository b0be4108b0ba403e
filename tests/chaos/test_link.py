"""Links that fall silent and brokers that lose their disk: everything arrives once, in order."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.bus import nats_bus
from shared.bus.nats_bus import NatsBus
from shared.outbox import drainer as drainer_module
from tests.chaos.conftest import SEED, WHOLE
from tests.support.chaos_edge import EDGE, Road, conserved
from tests.support.chaos_proxy import SilentLink
from tests.support.chaos_report import ChaosReport
from tests.support.chaos_world import Factory, faults_of

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600 if WHOLE else 120)]


@pytest.fixture
async def link(upper: Factory) -> AsyncIterator[SilentLink]:
    made = SilentLink(upper.nats.port)
    await made.start()
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample waits less long for confirmations that never come."""
    if not WHOLE:
        monkeypatch.setattr(nats_bus, "PUBLISH_TIMEOUT_S", 1.0)


def connecting(upper: Factory, port: int | None = None) -> Any:
    """How an edge connects, directly or over a link that can be cut."""

    async def connect() -> NatsBus:
        return await NatsBus.connect(
            f"nats://127.0.0.1:{port or upper.nats.port}", user="app",
            password=upper.nats.password, name="edge", inbox=EDGE.inbox,
        )  # fmt: skip

    return connect


async def held(road: Road, upper: Factory, run: int, count: int) -> None:
    """Everything of a run is home, once and in order, and the counters agree."""
    await road.drained(40)
    every = set(range(count))
    assert faults_of(await upper.arrived(run), every, every) == []
    counts = (await road.outbox.status()).lanes.values()
    assert all(c.produced == c.delivered + c.dropped + c.quarantined for c in counts)
    assert await upper.count("gap") == await upper.count("quarantined") == 0


async def test_twelve_messages_over_a_silent_cut_after_two(
    upper: Factory, link: SilentLink, tmp_path: Path, chaos_report: ChaosReport
) -> None:
    began = time.monotonic()
    road = Road(tmp_path, connecting(upper, link.port))
    await road.open()
    for number in range(2):
        await road.write(number, 1)
    await road.drained()
    link.cut()
    for number in range(2, 12):
        await road.write(number, 1)
        await asyncio.sleep(0.05)
    assert len(await upper.arrived(1)) == 2
    await link.mend(reset=True)
    await held(road, upper, 1, 12)
    await road.close()
    chaos_report.add("12 messages, silent cut after 2", began, sent=12, arrived=12)


async def test_ten_messages_are_resumed_unprompted(
    upper: Factory, link: SilentLink, tmp_path: Path, chaos_report: ChaosReport
) -> None:
    began = time.monotonic()

    async def nowhere() -> NatsBus:  # no way up while this edge lives
        await asyncio.Event().wait()
        raise AssertionError

    road = Road(tmp_path, nowhere)
    await road.open()
    for number in range(10):
        await road.write(number, 1)
    await road.close()
    again = Road(tmp_path, connecting(upper, link.port))
    await again.open()  # and nothing more is written: what waits goes by itself
    await held(again, upper, 1, 10)
    await again.close()
    chaos_report.add("10 messages resumed unprompted", began, sent=10, arrived=10)


async def test_five_thousand_in_order(
    upper: Factory, link: SilentLink, tmp_path: Path, chaos_report: ChaosReport
) -> None:
    began, chance = time.monotonic(), random.Random(SEED)
    road = Road(tmp_path, connecting(upper, link.port))
    await road.open()
    for number in range(5000):
        road.write(number, 1)
        if number % 1250 == 600:
            link.cut()
        if number % 1250 == 1100:
            await asyncio.sleep(0.2)
            await link.mend(reset=chance.random() < 0.5)
        if number % 50 == 0:
            await asyncio.sleep(0.005)
    await held(road, upper, 1, 5000)
    await road.close()
    chaos_report.add("5,000 in order over 4 cuts", began, sent=5000, arrived=5000)


async def test_silent_cuts_at_random(
    upper: Factory, link: SilentLink, tmp_path: Path, chaos_report: ChaosReport
) -> None:
    began, chance = time.monotonic(), random.Random(SEED + 1)
    cuts = 12 if WHOLE else 2
    road = Road(tmp_path, connecting(upper, link.port))
    await road.open()
    number = 0
    for _ in range(cuts):
        for _ in range(chance.randrange(20, 120)):
            road.write(number, 1)
            number += 1
            if chance.random() < 0.1:
                await asyncio.sleep(0.003)
        link.cut()
        for _ in range(chance.randrange(1, 60)):
            road.write(number, 1)
            number += 1
        await asyncio.sleep(chance.random() * (6 if WHOLE else 0.3))
        await link.mend(reset=chance.random() < 0.6)
    await held(road, upper, 1, number)
    await road.close()
    chaos_report.add("silent link cuts", began, cuts=cuts, sent=number, arrived=number)


async def test_the_broker_loses_its_disk_with_frames_not_yet_committed(
    upper: Factory, tmp_path: Path, chaos_report: ChaosReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    monkeypatch.setattr(drainer_module, "RESEND_AFTER_S", 1.0)
    monkeypatch.setattr(drainer_module, "RESEND_UNHEARD_S", 3.0)
    rounds, per = (5 if WHOLE else 1), 300
    road = Road(tmp_path, connecting(upper))
    await road.open()
    await road.write(0, 1)
    await road.drained()
    number, acked = 1, 0
    for _ in range(rounds):
        upper.paused.clear()  # the brain stands in the middle of its transaction
        sent = road.drainer.frames_sent if road.drainer else 0
        for _ in range(per):
            road.write(number, 1)
            number += 1
            if number % 20 == 0:
                await asyncio.sleep(0.002)
        async with asyncio.timeout(10):
            while road.drainer is None or road.drainer.frames_sent < sent + 2:
                await asyncio.sleep(0.01)
        acked += road.drainer.frames_sent - sent
        await upper.lose_the_brokers_disk()
        upper.paused.set()
        await road.drained(60)
    await held(road, upper, 1, number)
    await road.close()
    chaos_report.add(
        "the factory's broker loses its disk", began, times=rounds, frames_acked_then_lost=acked,
        sent=number, arrived=number,
    )  # fmt: skip


async def test_a_brain_that_dies_between_commit_and_confirmation(
    upper: Factory, tmp_path: Path, chaos_report: ChaosReport
) -> None:
    began, chance = time.monotonic(), random.Random(SEED + 2)
    road = Road(tmp_path, connecting(upper))
    await road.open()
    deaths, number = (40 if WHOLE else 5), 0
    for _ in range(deaths):
        for _ in range(60):
            road.write(number, 1)
            number += 1
            if number % 10 == 0:
                await asyncio.sleep(0.002)
        await asyncio.sleep(chance.random() * 0.05)
        await upper.stop()
        await upper.start()
    await held(road, upper, 1, number)
    assert conserved(tmp_path / "edge.db")[0]
    await road.close()
    chaos_report.add("the brain dies while it commits", began, deaths=deaths, arrived=number)
