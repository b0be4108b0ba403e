"""Disks that come back older, empty or full, clocks that jump, frames that come twice or late."""

from __future__ import annotations

import asyncio
import random
import resource
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_node.application import journal as journal_module
from shared.clock import ManualClock
from shared.messages.bodies import SystemEvent
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import LIVE
from shared.outbox import drainer as drainer_module
from shared.outbox.port import Caps
from tests.chaos.conftest import SEED, WHOLE
from tests.chaos.test_link import connecting, held
from tests.support.chaos_edge import EDGE, Road, conserved
from tests.support.chaos_report import ChaosReport
from tests.support.chaos_world import Factory, faults_of

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600 if WHOLE else 120)]


async def written(road: Road, run: int, numbers: range) -> None:
    """Write changes and wait until each is on the disk."""
    done = [road.write(number, run) for number in numbers]
    await asyncio.wait(done, timeout=20)


def copy_of(edge: Path, to: Path) -> None:
    """The edge's disk as an image: the database with its log."""
    to.mkdir(exist_ok=True)
    for part in edge.glob("edge.db*"):
        shutil.copyfile(part, to / part.name)


async def test_an_older_image_of_the_edges_disk_is_put_back(
    upper: Factory, tmp_path: Path, chaos_report: ChaosReport
) -> None:
    began, rounds = time.monotonic(), 12 if WHOLE else 2
    edge, total = tmp_path / "edge", 0
    edge.mkdir()
    for run in range(1, rounds + 1):
        road = Road(edge, connecting(upper))
        await road.open()
        await written(road, run, range(20))
        copy_of(edge, tmp_path / "image")  # some of these are on their way, some confirmed
        await written(road, run, range(20, 40))
        await road.drained()
        await road.close()
        shutil.rmtree(edge)
        shutil.copytree(tmp_path / "image", edge)
        again = Road(edge, connecting(upper))
        await again.open()
        # New events, at positions that the image has not used yet but its past has.
        await written(again, 100 + run, range(30))
        await held(again, upper, 100 + run, 30)
        every = set(range(40))
        assert faults_of(await upper.arrived(run), every, every) == []
        await again.close()
        shutil.rmtree(edge)
        edge.mkdir()
        total += 70
    assert len(await upper.arrived()) == total
    chaos_report.add("an older image of the edge's disk", began, times=rounds, arrived=total)


async def test_the_same_position_with_other_content_is_never_merged(
    upper: Factory, tmp_path: Path, chaos_report: ChaosReport
) -> None:
    began = time.monotonic()
    road = Road(tmp_path, connecting(upper))
    await road.open()
    await written(road, 1, range(5))
    await road.drained()
    assert road.bus is not None
    body = SystemEvent(code="other", active=True)
    raw = msgspec.Raw(encode(Event(id="1:77", type="alarm.other", time=1, body=body)))
    frame = await upper.pool.fetchrow("SELECT lane, first, last FROM frame_digest LIMIT 1")
    count = frame["last"] - frame["first"] + 1
    forged = Frame(
        source=EDGE.source, epoch=road.epoch, lane=frame["lane"], first=frame["first"],
        events=[raw] * count,
    )  # fmt: skip
    await road.bus.publish_durable(EDGE.lane(frame["lane"]), encode(forged), "restored")
    async with asyncio.timeout(10):
        while await upper.count("quarantined") < count:
            await asyncio.sleep(0.02)
    every = set(range(5))
    assert faults_of(await upper.arrived(1), every, every) == []
    await written(road, 2, range(5))
    await road.drained()
    assert faults_of(await upper.arrived(2), every, every) == []
    await road.close()
    chaos_report.add("other content at a known position", began, quarantined=count, merged=0)


async def test_the_edges_disk_is_wiped(
    upper: Factory, tmp_path: Path, chaos_report: ChaosReport
) -> None:
    began, rounds = time.monotonic(), 10 if WHOLE else 2
    for run in range(1, rounds + 1):
        edge = tmp_path / f"edge-{run}"  # an empty disk, the same edge
        edge.mkdir()
        road = Road(edge, connecting(upper))
        await road.open()
        await written(road, run, range(25))
        await held(road, upper, run, 25)
        await road.close()
    chaos_report.add("the edge's disk is wiped", began, times=rounds, arrived=25 * rounds)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow: a write ends as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_delays_and_loses_nothing(
    upper: Factory, tmp_path: Path, chaos_report: ChaosReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, rounds = time.monotonic(), 8 if WHOLE else 2
    monkeypatch.setattr(journal_module, "RETRY_S", 0.1)
    road = Road(tmp_path, connecting(upper))
    await road.open()
    await written(road, 1, range(10))
    number = 10
    for _ in range(rounds):
        with full_disk():
            refused = road.write(number, 1)
            async with asyncio.timeout(20):
                while not road.journal.degraded:
                    await asyncio.sleep(0.01)
            assert not await road.journal.durable(refused, 0.05)
            for more in range(number + 1, number + 30):
                road.write(more, 1)
            await asyncio.sleep(0.1)
        number += 30
        async with asyncio.timeout(20):
            while road.journal.degraded or road.journal.waiting:
                await asyncio.sleep(0.01)
        assert conserved(tmp_path / "edge.db")[0]
    await held(road, upper, 1, number)
    await road.close()
    chaos_report.add("a full disk at the edge", began, times=rounds, arrived=number, lost=0)


async def test_caps_of_count_leave_a_gap_record_and_true_counters(
    upper: Factory, tmp_path: Path, chaos_report: ChaosReport
) -> None:
    began, count = time.monotonic(), 9000 if WHOLE else 7000

    async def nowhere() -> Any:
        await asyncio.Event().wait()

    road = Road(tmp_path, nowhere, caps=Caps(max_events=1500))
    await road.open()
    for number in range(count):
        road.write(number, 1)
        if number % 500 == 499:
            await asyncio.sleep(0.02)
    async with asyncio.timeout(30):
        while road.journal.waiting:
            await asyncio.sleep(0.01)
    holds, before = conserved(tmp_path / "edge.db")
    assert holds
    await road.close()
    again = Road(tmp_path, connecting(upper))
    await again.open()
    await again.drained()
    await again.close()
    arrived = {int(name[2:]) for _, _, _, name in await upper.arrived(1)}
    dropped = sum(c.dropped for c in before.values())
    rows = await upper.pool.fetch("SELECT first, last, reason FROM gap")
    told = sum(row["last"] - row["first"] + 1 for row in rows)
    assert dropped > 0
    assert {row["reason"] for row in rows} == {"count"}
    assert told == count - len(arrived)  # each position that is missing is told, and no other
    assert arrived == set(range(count - len(arrived), count))  # the oldest went
    chaos_report.add("the outbox's cap", began, written=count, dropped=told, told=told)


async def test_clocks_that_jump_for_hours(
    upper: Factory, tmp_path: Path, chaos_report: ChaosReport
) -> None:
    began, chance = time.monotonic(), random.Random(SEED + 3)
    clock = ManualClock(1_700_000_000_000)
    road, jumps, number = Road(tmp_path, connecting(upper), clock=clock), 30 if WHOLE else 6, 0
    await road.open()
    for _ in range(jumps):
        for _ in range(20):
            road.write(number, 1)
            number += 1
        clock.jump(chance.choice((-1, 1)) * chance.randrange(1, 12) * 3_600_000)
        await asyncio.sleep(0.01)
    await held(road, upper, 1, number)
    await road.close()
    later = Road(tmp_path, connecting(upper), clock=ManualClock(1_600_000_000_000))
    await later.open()  # a start years before the last one
    await written(later, 2, range(20))
    await held(later, upper, 2, 20)
    await later.close()
    chaos_report.add("clock jumps of hours", began, jumps=jumps + 1, arrived=number + 20)


class Unruly:
    """A bus that publishes durable frames twice, late, and in another order."""

    def __init__(self, bus: Any, seed: int) -> None:
        self._bus, self._chance = bus, random.Random(seed)
        self.twice = self.swapped = 0
        self._kept: list[tuple[str, bytes, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def publish_durable(self, subject: str, data: bytes, message_id: str) -> None:
        """Publish, perhaps with an old frame again beside it or behind the next one."""
        if self._chance.random() < 0.3:
            self._kept.append((subject, data, f"{message_id}-again-{len(self._kept)}"))
            self.twice += 1
        if self._kept and self._chance.random() < 0.4:
            old = self._kept.pop(self._chance.randrange(len(self._kept)))
            await self._bus.publish_durable(*old)
        if self._chance.random() < 0.15:
            # Confirmed to the sender now, in the stream only after what comes next.
            asyncio.get_running_loop().call_later(0.05, self._late, (subject, data, message_id))
            self.swapped += 1
            return
        await self._bus.publish_durable(subject, data, message_id)

    def _late(self, frame: tuple[str, bytes, str]) -> None:
        self._task = asyncio.ensure_future(self._bus.publish_durable(*frame))


async def test_frames_twice_and_out_of_order_on_the_real_broker(
    upper: Factory, tmp_path: Path, chaos_report: ChaosReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, count = time.monotonic(), 6000 if WHOLE else 400
    monkeypatch.setattr(drainer_module, "RESEND_AFTER_S", 0.5)
    made: list[Unruly] = []

    async def connect() -> Unruly:
        made.append(Unruly(await connecting(upper)(), SEED))
        return made[0]

    road = Road(tmp_path, connect)
    await road.open()
    for number in range(count):
        road.write(number, 1, LIVE)
        if number % 10 == 9:
            await asyncio.sleep(0.008)
    await held(road, upper, 1, count)
    await road.close()
    assert made[0].twice
    assert made[0].swapped
    chaos_report.add(
        "frames twice and out of order", began, frames_twice=made[0].twice,
        frames_late=made[0].swapped, arrived=count,
    )  # fmt: skip


async def test_the_judge_of_this_suite_sees_every_fault() -> None:
    every = {0, 1, 2}
    good = [("e", "live", n + 1, f"1:{n}") for n in range(3)]
    assert faults_of(good, every, every) == []
    assert faults_of(good[:2], every, every) == ["lost [2]"]
    assert "doubled [1]" in faults_of([*good, ("e", "replay", 1, "1:1")], every, every)
    assert faults_of(good, {0, 1}, {0}) == ["invented [2]"]
    assert faults_of([good[1], good[0], good[2]], every, every) == ["0 after 1 in e/live"]


def test_the_look_at_the_counters_sees_a_lost_row(tmp_path: Path) -> None:
    road = Road(tmp_path, lambda: None)
    road.store.commit([[]], 1)
    with road.store._db:
        road.store.outbox.append(LIVE, 1, b"x")
    assert conserved(tmp_path / "edge.db")[0]
    with sqlite3.connect(tmp_path / "edge.db") as db:
        db.execute("DELETE FROM outbox")
    db.close()
    assert not conserved(tmp_path / "edge.db")[0]
    road.store.close()
