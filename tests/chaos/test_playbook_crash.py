"""SIGKILL of a brain around every write of its playbooks: 0 lost, 0 doubled effects.

The nursery forks a brain per life; several lanes are at work at a time. What a run did whose
brains were killed is compared with what the same document did undisturbed.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from shared.playbook.model import Playbook
from tests.chaos.conftest import SEED, WHOLE
from tests.support.chaos_report import ChaosReport
from tests.support.playbook_crash import Did, differences
from tests.support.playbook_nursery import Lane, Life, lanes, work
from tests.support.playbook_scenes import SCENES, Scene
from tests.support.playbook_trees import Tree
from tests.support.servers import PostgresForTests

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module")]
LANES = 5 if WHOLE else 2
TREES = 70 if WHOLE else 2
KILLS_OF_A_TREE = 8 if WHOLE else 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_lanes(
    postgres: PostgresForTests, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Lane]]:
    async with lanes(LANES, postgres, tmp_path_factory.mktemp("lanes")) as made:
        yield made


@pytest.fixture
def tracks(all_lanes: list[Lane]) -> list[Lane]:
    """The lanes, as if nothing had been played in them."""
    for lane in all_lanes:
        for life in list(lane.nursery.living.values()):  # a test before this one has failed
            life.kill()
        lane.world.choose, lane.world.edge.plant.stuck = None, False
        lane.world.edge.plant.values["ESD-01"] = False
    return all_lanes


def tree(seed: int) -> Playbook:
    """A random tree; every second one also races and undoes."""
    return Tree(seed, deep=bool(seed % 2)).book()


async def undisturbed(lane: Lane, book: Playbook) -> tuple[Did, int]:
    """What a document does when nobody is killed, and how many points its brain passes."""
    while True:
        run = await lane.world.start(book)
        points = await lane.life()
        assert points is not None
        did = await lane.world.did(run)
        # On a machine that is busy elsewhere the edge may not be heard for a moment.
        if not any(why.startswith("edge_unreachable") for why in did.why.values()):
            return did, points


@pytest.mark.timeout(1800 if WHOLE else 120)
async def test_check_09_a_kill_at_every_point_of_the_furnace_playbook(
    tracks: list[Lane], chaos_report: ChaosReport
) -> None:
    began, chance, kills = time.monotonic(), random.Random(SEED), Counter[str]()
    wholes: dict[str, Did] = {}
    points: dict[str, int] = {}
    scenes = SCENES if WHOLE else SCENES[:2]

    async def first(lane: Lane, scene: Scene) -> None:
        run = await scene.start(lane.world)
        passed = await lane.life()
        assert passed is not None
        points[scene.name], wholes[scene.name] = passed, await lane.world.did(run)
        assert (wholes[scene.name].status, len(wholes[scene.name].writes)) == scene.expected, (
            f"{scene.name}: {wholes[scene.name]}"
        )

    async def killed(lane: Lane, scene: Scene, at: int, then: int) -> None:
        run = await scene.start(lane.world)
        ended = await lane.life(kill_at=at)
        if ended is None:
            kills[scene.name] += 1
            if then:  # and once more while it takes up what the first one left
                ended = await lane.life(kill_at=then)
                kills[scene.name] += ended is None
            if ended is None:
                assert await lane.life() is not None
        found = differences(await lane.world.did(run), wholes[scene.name])
        assert found == [], f"{scene.name}, killed at point {at}, then {then}"

    await work(tracks, [lambda lane, scene=scene: first(lane, scene) for scene in scenes])
    at = [
        (scene, at, chance.choice((0, chance.randint(2, 14))))
        for scene in scenes
        for at in range(1, points[scene.name] + 1, 1 if WHOLE else max(2, points[scene.name] // 2))
    ]
    await work(tracks, [lambda lane, a=a: killed(lane, *a) for a in at])
    chaos_report.add(
        "playbook: kills at every point of the furnace, every branch", began,
        kills=kills.total(), points=sum(points.values()),
        **{f"kills_{name}": number for name, number in kills.items()}, lost=0, doubled=0,
    )  # fmt: skip
    assert kills.total() >= (300 if WHOLE else 2)


@pytest.mark.timeout(3600 if WHOLE else 120)
async def test_check_10_random_trees_killed_at_random_points(
    tracks: list[Lane], chaos_report: ChaosReport
) -> None:
    began, facts = time.monotonic(), Counter[str]()

    async def one(lane: Lane, seed: int) -> None:
        chance, book, killed = random.Random(seed), tree(seed), 0
        whole, points = await undisturbed(lane, book)
        while killed < KILLS_OF_A_TREE:
            run, lives = await lane.world.start(book), 0
            while True:
                lives += 1
                # Again and again, until one life is long enough for what is left.
                at = chance.randint(1, points) if lives < 12 else None
                if await lane.life(kill_at=at) is not None:
                    break
                killed += 1
            assert differences(await lane.world.did(run), whole) == [], f"tree {seed}"
            facts["runs"] += 1
            facts["effects"] += len(whole.writes) + len(whole.notices) + len(whole.hooks)
        facts["kills"] += killed

    await work(tracks, [lambda lane, seed=SEED + n: one(lane, seed) for n in range(TREES)])
    chaos_report.add(
        "playbook: random trees", began, trees=TREES, **facts, lost=0, doubled=0,
    )  # fmt: skip
    assert facts["kills"] >= TREES * KILLS_OF_A_TREE


@pytest.mark.timeout(1200 if WHOLE else 120)
async def test_check_11_killed_between_the_edges_write_and_its_answer(
    tracks: list[Lane], chaos_report: ChaosReport
) -> None:
    began, facts = time.monotonic(), Counter[str]()

    async def one(lane: Lane, seed: int) -> None:
        book, plant = tree(seed), lane.world.edge.plant
        whole, _ = await undisturbed(lane, book)
        total = sum(whole.writes.values())
        for at in range(1, total + 1, 2 if WHOLE else max(1, total)):
            run = await lane.world.start(book)
            life = await lane.begin()
            left = at

            def written(life: Life = life) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    life.kill()  # the plant has moved; nobody was answered yet

            plant.written = written
            try:
                ended = await life.end()
            finally:
                plant.written = None
            facts["kills"] += ended is None
            if ended is None:
                assert await lane.life() is not None
            assert differences(await lane.world.did(run), whole) == [], f"tree {seed}, write {at}"
            facts["reconciled"] += await lane.world.pool.fetchval(
                "SELECT count(*) FROM journal WHERE run = $1 AND phase = 'reconciled'", run
            )

    trees = 16 if WHOLE else 1
    await work(tracks, [lambda lane, seed=SEED + 300 + n: one(lane, seed) for n in range(trees)])
    chaos_report.add(
        "playbook: killed between the device's write and its answer", began, **facts, lost=0,
        doubled=0,
    )  # fmt: skip
    assert facts["kills"] >= (60 if WHOLE else 1)
    assert facts["reconciled"] >= facts["kills"] // 2


@pytest.mark.timeout(1200 if WHOLE else 120)
async def test_check_13_a_frozen_brain_that_goes_on_is_refused(
    tracks: list[Lane], chaos_report: ChaosReport
) -> None:
    began, frozen = time.monotonic(), 0

    async def one(lane: Lane, seed: int) -> None:
        nonlocal frozen
        chance, world = random.Random(seed), lane.world
        books = [tree(seed + number) for number in range(2 if WHOLE else 1)]
        wholes = [(await undisturbed(lane, book))[0] for book in books]
        for round_ in range(5 if WHOLE else 1):
            runs = [await world.start(book) for book in books]  # they compete for the devices
            life = await lane.begin(hung_s=140)
            await asyncio.sleep(0.2 + chance.random() * 0.6)
            if life.over.done():
                assert await life.end() is not None
                continue
            os.kill(life.pid, signal.SIGSTOP)
            if psutil.Process(life.pid).status() == psutil.STATUS_ZOMBIE:
                # It had just ended by itself: nothing there that could go on.
                assert await life.end() is not None
                continue
            frozen += 1
            try:
                assert await lane.life() is not None
                # Longer than every lease; once also longer than every patience.
                longest = WHOLE and round_ == 0 and seed == SEED + 400
                await asyncio.sleep(60 if longest else 0.5)
            finally:
                os.kill(life.pid, signal.SIGCONT)
            assert await life.end() is not None
            for run, whole in zip(runs, wholes, strict=True):
                assert differences(await world.did(run), whole) == [], f"round {round_}"

    seeds = [SEED + 400 + 10 * number for number in range(len(tracks) if WHOLE else 1)]
    await work(tracks, [lambda lane, seed=seed: one(lane, seed) for seed in seeds])
    chaos_report.add(
        "playbook: two brains, one frozen and thawed", began, frozen=frozen, longest_s=60,
        lost=0, doubled=0,
    )  # fmt: skip


@pytest.mark.timeout(1200 if WHOLE else 120)
async def test_two_brains_and_competing_runs_under_kills(
    tracks: list[Lane], chaos_report: ChaosReport
) -> None:
    began, kills = time.monotonic(), 0

    async def one(lane: Lane, seed: int) -> None:
        nonlocal kills
        chance, world = random.Random(seed), lane.world
        books = [tree(seed + number) for number in range(3 if WHOLE else 2)]
        wholes = [(await undisturbed(lane, book))[0] for book in books]
        mine = 0
        while mine < (20 if WHOLE else 1):
            runs = [await world.start(book) for book in books]
            while True:
                ends = await asyncio.gather(
                    lane.life(kill_at=chance.randint(1, 90)),
                    lane.life(kill_at=chance.randint(1, 90)),
                )
                mine += sum(end is None for end in ends)
                if any(end is not None for end in ends):
                    break
            for run, whole in zip(runs, wholes, strict=True):
                assert differences(await world.did(run), whole) == []
        kills += mine

    seeds = [SEED + 500 + 10 * number for number in range(len(tracks) if WHOLE else 1)]
    await work(tracks, [lambda lane, seed=seed: one(lane, seed) for seed in seeds])
    chaos_report.add(
        "playbook: two brains, three runs for the same devices", began, kills=kills, lost=0,
        doubled=0,
    )  # fmt: skip


@pytest.mark.timeout(1200 if WHOLE else 120)
async def test_a_database_from_an_older_backup_doubles_nothing(
    tracks: list[Lane], postgres: PostgresForTests, tmp_path: Path, chaos_report: ChaosReport
) -> None:
    began, facts = time.monotonic(), Counter[str]()

    async def one(lane: Lane, seed: int) -> None:
        chance, world, book = random.Random(seed), lane.world, tree(seed)
        whole, points = await undisturbed(lane, book)
        for number in range(5 if WHOLE else 1):
            run = await world.start(book)
            killed = await lane.life(kill_at=chance.randint(3, points // 2 + 3))
            facts["kills"] += killed is None
            world.answering = False
            await world.reconnect(world.url)  # a copy is made while nobody is connected
            here, name = world.url, f"b_{seed}_{number}_{os.getpid()}"
            copy = await postgres.copy(here, name)
            world.answering = True
            if killed is None:
                assert await lane.life() is not None
            assert differences(await world.did(run), whole) == []
            await world.reconnect(copy)  # what the device has done meanwhile is not in there
            try:
                assert await lane.life() is not None
                found = differences(await world.did(run), whole)
            finally:
                await world.reconnect(here)
            await postgres.drop(name, owner=False)
            assert found == [], f"tree {seed}"
            facts["restored"] += 1

    seeds = [SEED + 600 + number for number in range(len(tracks) if WHOLE else 1)]
    await work(tracks, [lambda lane, seed=seed: one(lane, seed) for seed in seeds])
    chaos_report.add(
        "playbook: database from an older backup", began, **facts, lost=0, doubled=0,
    )  # fmt: skip
