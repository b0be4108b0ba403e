"""Runs that are ending, firings that cannot be stored, runs past their retention; on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from factory_brain.adapters.postgres.run_retention import RunRetention
from tests.support.trigger_world import ALARM, TriggerWorld, trigger_world

HOT = f"[{{id: hot, alarm: {ALARM}}}]"


@pytest.fixture
async def world(brain_url: str, tmp_path: Path) -> AsyncIterator[TriggerWorld]:
    async with trigger_world(brain_url, tmp_path) as made:
        yield made


ENDS = (
    'UPDATE run SET control = control || \'{"cancel": {"by": "li"}}\' WHERE id = $1',
    *(
        "INSERT INTO journal (run, path, attempt, phase, data, at, n) "
        f"VALUES ($1, '{path}', 1, 'done', '{{}}', 1, 1)"
        for path in ("/leave", "/cancel", "/error", "/outcome")
    ),
)


@pytest.mark.parametrize("ends", ENDS, ids=["told", "left", "cancelled", "failed", "at-its-end"])
async def test_an_alarm_behind_a_run_that_is_ending_gets_a_run_of_its_own(
    world: TriggerWorld, ends: str
) -> None:
    await world.book(HOT, "{key: alarm.asset, mode: single}")
    await world.send(world.moved("o-1"))
    await world.settle()
    (first,) = await world.runs()
    await world.pool.execute(ends, first)
    await world.send(world.moved("o-2"), world.moved("o-3"))
    await world.settle()
    assert await world.outcomes() == {"started": 1, "queued": 1, "attached": 1}
    second = (await world.runs("queued"))[0]
    assert (await world.store.fired_of("o-3", 5))[0][0].run == second
    await world.end(first, "cancelled")
    await world.settle()
    assert await world.runs("running") == [second]


EMIT = (
    "INSERT INTO emitted (id, run, path, type, data, at) VALUES ($1, 'r', '/steps/e', 'made.hot', "
    "$2, $3)"
)


async def test_what_cannot_be_stored_stops_no_other_firing(world: TriggerWorld) -> None:
    many = "{key: alarm.data.place, mode: parallel, max: 100}"
    await world.book("[{id: e, event: made.hot}]", many, name="b-key")
    by = "{once_within: 1m, by: alarm.data.place}"
    await world.book(f"[{{id: e, event: made.hot, throttle: {by}}}]", many, name="b-by")
    await world.settle()
    long = "".join(f"{n:x}" for n in range(60_000))  # hardly to be compressed
    for n, data in enumerate(
        [{"priority": 2**40, "place": "a"}, {"priority": 2, "place": long}, {"place": "b"}]
    ):
        await world.pool.execute(EMIT, f"x:{n}", data, world.clock.now_ms())
    await world.settle()
    rows = await world.pool.fetch("SELECT key, priority FROM run WHERE playbook = 'b-key'")
    assert sorted(r["priority"] for r in rows) == [2, 3, 4]
    assert {r["key"] for r in rows} >= {"a", "b"}
    assert all(len(r["key"]) < 100 for r in rows)
    assert await world.pool.fetchval("SELECT count(*) FROM run WHERE playbook = 'b-by'") == 3


async def test_a_faulty_firing_is_noted_with_its_reason_and_the_next_goes_on(
    world: TriggerWorld,
) -> None:
    await world.book(HOT, "{key: alarm.occurrence, mode: parallel, max: 9}", name="b")
    await world.book(f"[{{id: hot, alarm: {ALARM}, for: 1m}}]", name="b-held")
    # A place for a fault that nothing above foresees: the store refuses the values themselves.
    for table, column in (("run", "occurrence"), ("trigger_held", "occurrence")):
        await world.pool.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT never CHECK ({column} <> 'o-bad')"
        )
    await world.send(world.moved("o-1"), world.moved("o-bad"), world.moved("o-2"))
    await world.settle()
    assert await world.outcomes() == {"started": 2, "faulty": 2}
    assert await world.pool.fetchval("SELECT count(*) FROM trigger_held") == 2
    (fired, _), _ = await world.store.fired_of("o-bad", 5)
    assert (fired.outcome, fired.run) == ("faulty", None)
    assert "never" in fired.why
    assert (await world.store.counts())["b", "faulty"] == 1
    assert not await world.triggers.round()  # decided once for all


async def test_runs_go_with_their_rows_and_events_behind_the_triggers_place(
    world: TriggerWorld,
) -> None:
    await world.book(HOT, "{key: alarm.occurrence, mode: parallel, max: 9}")
    await world.send(*(world.moved(f"o-{n}") for n in range(6)))
    await world.settle()
    ids, now = await world.runs(), world.clock.now_ms()
    tables = {
        "journal": "(run, path, attempt, phase, data, at, n) VALUES ($1, 'p', 1, 'done', '{}', 1, "
                   "1)",
        "signal": "(run, path, data, at) VALUES ($1, 'p', '{}', 1)",
        "vote": "(run, path, who, answer, comment, at) VALUES ($1, 'p', 'li', 'yes', '', 1)",
        "delivery": "(id, run, path, endpoint, body, schedule, at, attempt, due, status, detach) "
                    "VALUES ($1, $1, 'p', 'e', '{}', '[]', 1, 1, 1, 'dead', false)",
        "notification": "(id, run, at, channel, \"to\", message) VALUES ($1, $1, 1, 'c', '[]', "
                        "'{}')",
    }  # fmt: skip
    for table, values in tables.items():
        for run in ids:
            await world.pool.execute(f"INSERT INTO {table} {values}", run)
    # Ended long ago: all but the last two; of the third the alarm is open, of the fourth
    # something is still to be delivered, the fifth ended just now and the sixth lives.
    await world.pool.execute("UPDATE occurrence SET open = (occurrence = 'o-2')")
    await world.pool.execute("UPDATE run SET ended_at = $2 WHERE id = ANY($1)", ids[:4], now - 10)
    await world.end(ids[4])
    await world.pool.execute("UPDATE delivery SET status = 'due' WHERE run = $1", ids[3])
    await world.pool.execute(EMIT, "x:1", {}, now - 10)
    await world.settle()  # the triggers have looked at this one
    await world.pool.execute(EMIT, "x:2", {}, now)
    await world.settle()
    await world.pool.execute(EMIT, "x:3", {}, now - 10)
    await world.pool.execute(
        'INSERT INTO notification (id, at, channel, "to", message) '
        "VALUES ('n', 1, 'c', '[]', '{}')"
    )
    assert await RunRetention(world.pool).forget(now, most=1) == 2
    assert await world.runs() == ids[2:]
    for table in tables:
        rows = await world.pool.fetch(f"SELECT run FROM {table}")
        assert sorted(row["run"] for row in rows) == sorted(ids[2:]), table
    left = await world.pool.fetch("SELECT id FROM emitted ORDER BY id")
    assert [row["id"] for row in left] == ["x:2", "x:3"]
    assert await RunRetention(world.pool).forget(now) == 0
