"""Exactly one tier sounds, with real processes and real time: kills, stops, cuts, restarts.

An edge, two brains, the NATS servers of both tiers, PostgreSQL and two consoles; listened to all
the time. A sample in `make test`, minutes of it in `make soak`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.conftest import SEED, WHOLE
from tests.support.chaos_report import ChaosReport
from tests.support.horn_ear import Ear
from tests.support.horn_processes import LEASE_S, HornPlant, horn_plant, kill_postgres
from tests.support.servers import PostgresForTests, start_postgres

MARGIN_S = 0.8
"""The edge's page and the stream tell within a quarter of a second each, the looks take their time,
and the machine is busy."""
CAMPAIGN_S = 240.0
HAND_BACKS = 3 if WHOLE else 1
KINDS = (
    "link cut", "brain SIGKILL", "brain SIGSTOP", "PostgreSQL SIGKILL",
    "factory's NATS restarted", "edge's NATS restarted", "edge SIGKILL", "consoles left",
)  # fmt: skip


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[PostgresForTests]:
    """A server that this test may kill."""
    server = start_postgres(tmp_path)
    yield server
    server.stop()


@asynccontextmanager
async def listening(plant: HornPlant) -> AsyncIterator[Ear]:
    """Both consoles are opened, an alarm comes up, and somebody listens."""
    ear = Ear(plant)
    tasks = [asyncio.create_task(body()) for body in (ear.ask, ear.listen, plant.tend)]
    try:
        yield ear
        for task in tasks:
            assert not task.done(), task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def raised(plant: HornPlant, ear: Ear) -> None:
    """An alarm comes up while consoles are watched: the factory sounds, and it alone."""
    for console in plant.consoles:
        console.watched.set()
    await plant.feed(130)
    await ear.settled("factory", 120)
    ear.stands = True


async def handed_back(plant: HornPlant, ear: Ear) -> None:
    """Acknowledged at the edge while the link is cut: nothing sounds a second time when it heals.

    Before that the horn went down to the edge, which must be heard in time.
    """
    ear.phase = "hand-back"
    plant.link.cut()
    await ear.settled("edge", 4 * LEASE_S + 20)
    ear.stands = False
    await plant.acknowledge_at_edge()
    loop = asyncio.get_running_loop()
    until = loop.time() + 5
    while ear.edge:
        assert loop.time() < until, "the edge sounds on after its acknowledgement"
        await asyncio.sleep(0.02)
    sounded = ear.moments["edge"] + ear.moments["factory"] + ear.moments["both"]
    await plant.link.mend(reset=True)
    until = loop.time() + 120
    while {console.said for console in plant.consoles} != {"brain"}:
        assert loop.time() < until, "the factory did not take the horn back"
        await asyncio.sleep(0.02)
    await asyncio.sleep(1.5)
    again = ear.moments["edge"] + ear.moments["factory"] + ear.moments["both"] - sounded
    assert again == 0, (f"what was acknowledged sounds, for {again} looks", *await plant.rows())
    await plant.feed(80)


async def fault(kind: str, plant: HornPlant, ear: Ear, chance: random.Random, pg: object) -> None:
    """One fault, from its beginning to the end of its cause."""
    short, long = chance.uniform(0.2, 1.5), chance.uniform(0.5, 2 * LEASE_S)
    match kind:
        case "link cut":
            await plant.cut_link(long, reset=chance.random() < 0.5)
        case "brain SIGKILL":
            await plant.kill_brain(await plant.leader(), short)
        case "brain SIGSTOP":
            await plant.stop_brain(await plant.leader(), long)
        case "PostgreSQL SIGKILL":
            assert isinstance(pg, PostgresForTests)
            kill_postgres(pg)
        case "factory's NATS restarted":
            await plant.restart_nats("f9", short)
        case "edge's NATS restarted":
            await plant.restart_nats("f9-e9", short)
        case "edge SIGKILL":
            await plant.restart_edge(short)
        case _:
            for console in plant.consoles:
                console.leave()
            await ear.settled("edge", 120)
            for console in plant.consoles:
                console.watched.set()


async def campaign(plant: HornPlant, ear: Ear, pg: PostgresForTests) -> Counter[str]:
    """Hand-backs, then faults in a seeded order, each healed before the next."""
    chance, done = random.Random(SEED), Counter[str]()
    for _ in range(HAND_BACKS):
        await raised(plant, ear)
        await handed_back(plant, ear)
        done["hand-back"] += 1
    if not WHOLE:
        return done
    await raised(plant, ear)
    until = time.monotonic() + CAMPAIGN_S
    while time.monotonic() < until:
        for kind in chance.sample(KINDS, len(KINDS)):
            if time.monotonic() > until and done.total() > HAND_BACKS + len(KINDS):
                break
            ear.phase = kind
            await fault(kind, plant, ear, chance, pg)
            await ear.settled("factory", 180)
            done[kind] += 1
    return done


@pytest.mark.chaos
@pytest.mark.timeout(1200 if WHOLE else 400)
async def test_one_tier_sounds_whatever_process_fails(
    tmp_path: Path, own_postgres: PostgresForTests, chaos_report: ChaosReport
) -> None:
    began = time.monotonic()
    url = await own_postgres.create("horn")
    brains = ("x", "y") if WHOLE else ("x",)
    async with horn_plant(tmp_path, url, brains) as plant, listening(plant) as ear:
        print(f"ready after {time.monotonic() - began:.1f} s")
        done = await campaign(plant, ear, own_postgres)
        for kind, worst in sorted(ear.worst.items()):
            print(
                f"{kind:26} {done[kind]:3} silence {worst.silence:.2f} overlap {worst.overlap:.2f}"
                f" edge down {worst.edge_down:.2f}"
            )
        print(f"{ear.looks} looks, {dict(ear.moments)}, longest gap {ear.longest_gap:.2f} s")
    margin = MARGIN_S + ear.longest_gap
    assert ear.silence <= LEASE_S + margin, ear.worst
    assert ear.overlap <= LEASE_S + margin, ear.worst
    # A round of the leader is a third of a lease, and it waits as long for an edge that is away.
    assert ear.worst["hand-back"].overlap <= 2 * LEASE_S / 3 + margin, ear.worst["hand-back"]
    assert ear.moments["edge"] > 0, "the edge was never heard: nothing was tested"
    assert ear.moments["factory"] > 0, "the factory was never heard: nothing was tested"
    chaos_report.add(
        "who sounds, real processes", began, faults=done.total(), kinds=len(done),
        lease_s=LEASE_S, longest_silence_s=round(ear.silence, 2),
        longest_overlap_s=round(ear.overlap, 2), looks=ear.looks,
        overlap_on_hand_back_s=round(ear.worst["hand-back"].overlap, 2),
        silence_of_a_dead_edge_s=round(ear.edge_down, 2),
    )  # fmt: skip
