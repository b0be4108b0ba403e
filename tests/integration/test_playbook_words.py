"""What runs say and hear: incidents that come later, peaks, tags that wake, outages, people."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.application.playbooks.plant_tags import PlantTags
from factory_brain.domain.samples import Columns
from shared.clock import SystemClock
from tests.support.playbook_crash import CrashWorld, crash_world
from tests.support.playbook_hand import Hand, asking, book, command, engine, until
from tests.support.servers import NatsForTests

INCIDENT = (
    "INSERT INTO incident (id, status, first_at, last_at, first_out, asset, priority, alarms, "
    "standing, unacked, settled, flood, owner, opened_at, acknowledged_by, contained_by, "
    "closed_by, cause, outcome, reopened, changed) VALUES ($1, 'open', 1, 1, '[]', 'T', 1, 1, 1, "
    "1, false, false, '', 1, '', '', '', '', '', 0, 1)"
)
MEMBER = (
    "INSERT INTO incident_member (occurrence, alarm, asset, edge, at, clock_offset, grp, group_at, "
    "group_first, incident, first_out, hidden_behind, hidden_rule, marks, labelled, to_label, "
    "changed) VALUES ($1, 'a', 'T', 'e1', 1, 0, $2, 1, $1, $2, '', '', '', '[]', '', false, 1)"
)


@pytest.fixture
async def world(
    brain_url: str, nats_server: NatsForTests, tmp_path: Path
) -> AsyncIterator[CrashWorld]:
    async with crash_world(brain_url, nats_server, tmp_path) as made:
        made.answering = False
        yield made


async def sample(world: CrashWorld, hand: Hand, value: float) -> None:
    """A new value of every device's tag, told as the brain's ingest tells it."""
    rows = Columns.of([("TT-101", SystemClock().now_ms(), value, 0)])
    async with world.pool.acquire() as tx, tx.transaction():
        await SampleStore(world.pool).insert(tx, [rows])  # type: ignore[arg-type]
    assert isinstance(hand.engine.means.tags, PlantTags)
    hand.engine.means.tags.forget(["TT-101"])
    hand.engine.on_samples(["TT-101"])


async def at_rest(hand: Hand, run: str) -> None:
    async def rests() -> bool:
        query = "SELECT status = 'waiting' AND owner IS NULL FROM run WHERE id = $1"
        return bool(await hand.world.pool.fetchval(query, run))

    await until(rests)


async def test_what_is_said_of_an_incident_before_it_is_there_is_said_when_it_is(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    said = {"id": "say", "set_incident": {"outcome": "contained", "note": "held", "pct": 35}}
    async with engine(world, nats_server) as hand:
        await hand.begin()
        run, lost = await world.start(book([said])), await world.start(book([said]))
        for each in (run, lost):
            assert await hand.ended(each) == "success"
        assert await world.pool.fetchval("SELECT count(*) FROM incident_word") == 2
        await world.pool.execute(INCIDENT, "inc-1")
        await world.pool.execute(MEMBER, f"occ-{run}", "inc-1")
        # The other's alarm has been in no incident for longer than one is waited for.
        await world.pool.execute("UPDATE incident_word SET at = at - 400000 WHERE run = $1", lost)

        async def over() -> bool:
            return not await world.pool.fetchval("SELECT count(*) FROM incident_word")

        await until(over)
    assert await world.pool.fetchval("SELECT outcome FROM incident") == "contained"
    (entry,) = await world.pool.fetch("SELECT params, actor FROM incident_entry")
    assert (entry["params"]["pct"], entry["actor"]) == (35, "playbook:checked")
    (told,) = await world.pool.fetch(
        "SELECT target, data FROM audit WHERE action = 'incident_missing'"
    )
    assert (told["target"], told["data"]["path"]) == (lost, "/steps/say")


async def test_a_changed_tag_wakes_its_run_at_once_and_its_peak_is_known(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    until_cool = {"condition": 'tag("d0.ready").good && tag("d0.ready").value < 1000',
                  "within": "5m"}  # fmt: skip
    peak = {"event": "over", "data": {"peak": "${run.peaks['d0.ready']}"}}
    plan = book([{"id": "cool", "wait_until": until_cool}, {"id": "out", "emit": peak}])
    async with engine(world, nats_server) as hand:
        await hand.begin()
        run = await world.start(plan)
        await at_rest(hand, run)
        await sample(world, hand, 1333.0)
        await asyncio.sleep(0.3)  # it looks, and waits on
        await at_rest(hand, run)
        began = time.monotonic()
        await sample(world, hand, 900.0)
        assert await hand.ended(run) == "success"
        assert time.monotonic() - began < 4.0  # before the newest values are compared
    assert await world.pool.fetchval("SELECT data->'peak' FROM emitted") == 1333.0


async def test_a_run_that_is_not_to_outlive_an_outage_is_given_up_in_good_order(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    closing = {"finally": [{"id": "closing", "log": "closed"}]}
    run = await world.start(book([command("move")], on_restart="abandon", **closing))
    await world.pool.execute(
        "UPDATE run SET started_at = started_at - 60000, wake_at = wake_at - 60000 WHERE id = $1",
        run,
    )
    async with engine(world, nats_server) as hand:
        await hand.begin()
        assert await hand.ended(run) == "cancelled"
    did = await world.did(run)
    assert (did.writes, "/finally/closing" in did.ends) == ({}, True)


async def test_check_14_waiting_runs_are_no_burden_for_one_that_is_urgent(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    waiting = book([{"id": "w", "wait": "5m"}, asking()], playbook="waits")
    async with engine(world, nats_server) as hand:
        await hand.begin()
        runs = [await world.start(waiting) for _ in range(150)]
        for run in runs:
            await at_rest(hand, run)
        await hand.kill()
    async with engine(world, nats_server) as hand:
        urgent = await world.start(book([command("move")], playbook="urgent"))
        began = time.monotonic()
        await hand.begin()

        async def moved() -> Any:
            return world.edge.plant.writes

        await until(moved)
        assert time.monotonic() - began <= 4.0  # 2 s where the machine is its own
        assert await hand.ended(urgent) == "success"
        # Nobody has taken up what is not due.
        assert await world.pool.fetchval("SELECT max(fence) FROM run WHERE playbook = 'waits'") == 1
