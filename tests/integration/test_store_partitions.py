"""Partitions, roll-ups and retention on a real PostgreSQL: nothing late is lost or doubled.

Also: what stood before the partitions is still there after the migration, and back.
"""

from __future__ import annotations

import asyncio
import math
import random
from array import array
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import msgspec
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

import factory_brain
from factory_brain.adapters.postgres import tables_store
from factory_brain.adapters.postgres.alarm_history import AlarmHistory
from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.copy_rows import sample_rows
from factory_brain.adapters.postgres.partitions import DAY_MS, EVENTS, SAMPLES, Partitions
from factory_brain.adapters.postgres.rollups import HOUR_MS, MINUTE_MS, Retention, Rollups
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.domain.samples import Columns, Row
from shared.clock import ManualClock, SystemClock
from shared.messages.bodies import StateChange
from shared.messages.envelope import Event
from shared.outbox.receiving import Batch, Received
from shared.postgres.migrate import async_url, migrate, without_partitions
from shared.postgres.pool import connect_pool

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"
NOW = 1_790_000_000_000


@pytest.fixture
async def pg(brain_url: str) -> AsyncIterator[asyncpg.Pool]:
    await migrate(brain_url, MIGRATIONS)
    made = await connect_pool(brain_url)
    yield made
    await made.close()


async def put(pg: asyncpg.Pool, store: SampleStore, rows: list[Row]) -> None:
    async with pg.acquire() as tx, tx.transaction():
        await store.insert(tx, [Columns.of(rows)])  # type: ignore[arg-type]


async def children(pg: asyncpg.Pool, table: str) -> list[str]:
    rows = await pg.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits "
        "WHERE inhparent = to_regclass($1) ORDER BY 1", table,
    )  # fmt: skip
    return [row["name"] for row in rows]


async def test_late_samples_make_their_day_and_old_days_go_whole(pg: asyncpg.Pool) -> None:
    clock = ManualClock(NOW)
    store = SampleStore(pg, clock)
    await store.partitions.make_ahead(NOW)
    late = NOW - 5 * DAY_MS
    await put(pg, store, [("a", late, 1.0, 0), ("a", NOW, 2.0, 0), ("b", NOW, None, 3)])
    await put(pg, store, [("a", NOW + 3 * DAY_MS, 9.0, 0), ("a", NOW + 5, 3.0, 0)])
    assert store.refused == 1  # of a day to come: a clock is wrong
    found = [tuple(row) for row in await store.read("a", 0, NOW + 9 * DAY_MS, 10)]
    assert found == [(late, 1.0, 0), (NOW, 2.0, 0), (NOW + 5, 3.0, 0)]
    assert await store.newest(["a", "b", "c"]) == {"a": (NOW + 5, 3.0, 0), "b": (NOW, None, 3)}
    await put(pg, store, [("a", NOW, 7.0, 0), ("a", NOW + 6, 4.0, 0), ("a", NOW + 6, 5.0, 0)])
    assert [row["value"] for row in await store.read("a", late, NOW + 9, 10)] == [2.0, 3.0, 4.0]
    view = "SELECT count(*) FROM sample WHERE tag = 'a'"
    assert await pg.fetchval(view) == 4
    name = SAMPLES.name(SAMPLES.start(late))
    assert name in await children(pg, "sample_raw")
    other = SampleStore(pg, clock)  # another brain, that remembers the day which goes now
    await put(pg, other, [("a", late + 1, 1.0, 0)])
    dropped = await store.partitions.drop_before(SAMPLES, NOW - 3 * DAY_MS)
    assert dropped == [name]
    assert await pg.fetchval(view) == 3
    await put(pg, other, [("a", late + 2, 1.5, 0)])  # comes still later
    assert await pg.fetchval(view) == 4


async def test_a_day_that_a_kill_left_detached_is_dropped_and_one_of_the_users_is_not(
    pg: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    partitions, old, kept = Partitions(pg), NOW - 9 * DAY_MS, NOW - 8 * DAY_MS
    await partitions.ensure(EVENTS, [old, kept, NOW])
    own = EVENTS.name(EVENTS.start(kept))
    await pg.execute(f"ALTER TABLE event DETACH PARTITION {own}")  # somebody's archive
    execute, name = asyncpg.Connection.execute, EVENTS.name(EVENTS.start(old))

    async def dies(self: asyncpg.Connection, query: str, *args: object, **more: object) -> str:
        if query.startswith("DROP"):
            raise ConnectionResetError
        return await execute(self, query, *args, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.Connection, "execute", dies)
        with pytest.raises(ConnectionResetError):
            await partitions.drop_before(EVENTS, NOW - 5 * DAY_MS)
    assert name not in await children(pg, "event")
    assert await pg.fetchval("SELECT to_regclass($1) IS NOT NULL", name)
    after = Partitions(pg)  # the next start
    assert await after.drop_before(EVENTS, NOW - 5 * DAY_MS) == [name]
    assert await pg.fetchval("SELECT to_regclass($1) IS NOT NULL", own)
    await after.ensure(EVENTS, [old])  # something that late has a day again
    assert name in await children(pg, "event")


async def test_makers_side_by_side_make_one_partition(pg: asyncpg.Pool) -> None:
    makers = [Partitions(pg) for _ in range(4)]
    days = [NOW - n * DAY_MS for n in range(30, 36)]
    assert await asyncio.gather(*(m.ensure(EVENTS, days) for m in makers)) == [set()] * 4
    assert {EVENTS.name(EVENTS.start(d)) for d in days} <= set(await children(pg, "event"))


@pytest.mark.parametrize("seed", range(2))
async def test_rollups_equal_the_raw_samples_whatever_comes_late(
    pg: asyncpg.Pool, seed: int
) -> None:
    chance = random.Random(seed)
    store = SampleStore(pg, ManualClock(NOW))
    rollups = Rollups(pg, store.partitions, Retention())
    rows: dict[tuple[str, int], Row] = {}
    for _ in range(8):
        part: list[Row] = []
        for _ in range(60):
            tag, at = chance.choice("abc"), NOW - chance.randrange(0, 4 * HOUR_MS)
            value = chance.choice((None, chance.uniform(-5, 5)))
            part.append((tag, at, value, chance.choice((0, 0, 0, 2))))
        await put(pg, store, part)
        for row in part:
            rows.setdefault(row[:2], row)
        if chance.random() < 0.6:
            await rollups.samples()
    await rollups.samples()
    assert await pg.fetchval("SELECT count(*) FROM rollup_dirty") == 0
    for table, step in (("sample_minute", MINUTE_MS), ("sample_hour", HOUR_MS)):
        found = {
            (r["tag"], r["at"]): r
            for r in await pg.fetch(f"SELECT s.*, tag FROM {table} s JOIN tag_name ON no = tag_no")
        }
        spans: dict[tuple[str, int], list[Row]] = {}
        for (tag, at), row in sorted(rows.items(), key=lambda item: item[0][1]):
            spans.setdefault((tag, at // step * step), []).append(row)
        assert found.keys() == spans.keys()
        for key, members in spans.items():
            good = [v for _, _, v, q in members if q == 0 and v is not None]
            got = found[key]
            assert (got["count"], got["good"]) == (len(members), len(good))
            assert (got["min"], got["max"]) == (min(good, default=None), max(good, default=None))
            assert math.isclose(got["sum"] or 0.0, sum(good), abs_tol=1e-9)
            assert (got["last"], got["last_at"]) == (members[-1][2], members[-1][1])
    resolution, shown = await store.trend("a", NOW - 4 * HOUR_MS, NOW + 1, 20)
    assert resolution == "hour"
    assert len(shown) in (4, 5)
    before = await pg.fetch("SELECT * FROM sample_minute ORDER BY 1, 2")
    await store.partitions.drop_before(SAMPLES, NOW + 9 * DAY_MS)  # raw rows age out
    await put(pg, store, [("a", NOW - HOUR_MS, 0.0, 0)])
    await rollups.samples()
    after = await pg.fetch("SELECT * FROM sample_minute ORDER BY 1, 2")
    assert len(after) - len(before) in (0, 1)  # no fuller minute was made from fewer rows
    assert all(b["count"] <= a["count"] for b, a in zip(before, after, strict=False)) or (
        len(after) > len(before)
    )


def journal(number: int, alarm: str, kind: str, time: int) -> Received:
    body = StateChange(chart="c", asset="X", before="a", after="b")
    return Received(number, Event(id=f"e{number}", type="alarm", time=time, body=body))


async def test_alarms_by_day_count_late_ones_on_their_own_day(pg: asyncpg.Pool) -> None:
    partitions = Partitions(pg)
    rollups, history = Rollups(pg, partitions, Retention(events=5)), AlarmHistory(pg)
    day = NOW // DAY_MS
    # (received on day, event of day): the third came two days late, the last is of today.
    arrivals = [(-3, -3), (-3, -3), (-1, -3), (-1, -1), (0, 0)]
    await partitions.ensure(EVENTS, [NOW + received * DAY_MS for received, _ in arrivals])
    for number, (received, of) in enumerate(arrivals):
        await pg.execute(
            "INSERT INTO event (source, epoch, lane, received_at, seq, id, type, time, late, "
            "alarm, occurrence, body) VALUES ('s', 'e', 'live', $1, $2, 'i', 'alarm', $3, false, "
            "'A', 'o', $4)",
            NOW + received * DAY_MS, number, NOW + of * DAY_MS,
            {"t": "alarm", "kind": "raised", "annunciate": number != 1},
        )  # fmt: skip

    async def counts() -> list[tuple[int, int, int]]:
        found = await history.days(["A"], NOW - 9 * DAY_MS, NOW + DAY_MS)
        return [(each.day - day, each.raised, each.annunciated) for each in found]

    wanted = [(-3, 3, 2), (-1, 1, 1), (0, 1, 1)]
    assert await counts() == wanted  # nothing counted yet: from the journal
    assert await rollups.alarm_days(NOW) > 0
    assert await rollups.alarm_days(NOW) == 0
    assert await counts() == wanted
    assert await pg.fetchval("SELECT sum(raised) FROM alarm_day") == 4
    await rollups.forget(NOW + 3 * DAY_MS)  # the journal's first day goes, its counts stay
    assert await pg.fetchval("SELECT count(*) FROM event") == 3
    assert await counts() == wanted


async def test_a_clock_that_leaps_ahead_drops_nothing(pg: asyncpg.Pool) -> None:
    partitions = Partitions(pg)
    keep = Retention(events=20, samples=20, minutes=20, hours=20)
    rollups = Rollups(pg, partitions, keep)
    await partitions.ensure(EVENTS, [NOW - n * DAY_MS for n in range(4)])
    stood = await children(pg, "event")
    assert await rollups.leapt(NOW) == 0
    ahead = NOW + 500 * DAY_MS
    assert await rollups.leapt(ahead) > 300
    await partitions.make_ahead(ahead)  # events come in by this clock from now on
    assert await rollups.forget(ahead) == []
    assert set(stood) <= set(await children(pg, "event"))
    assert await rollups.leapt(ahead) > 300


async def test_a_repeated_row_is_stored_once_even_past_the_watermark(pg: asyncpg.Pool) -> None:
    store = AlarmStore(pg)
    now = SystemClock().now_ms()
    items = [journal(n, "A", "raised", now) for n in range(1, 6)]
    for _ in range(2):
        async with store.transaction() as tx:
            await store.insert_events(tx, Batch("s", "e", "live", now), items, 30_000)
    assert await pg.fetchval("SELECT count(*) FROM event") == 5


async def test_a_text_with_nul_is_refused_before_the_database(pg: asyncpg.Pool) -> None:
    store = AlarmStore(pg)
    now = SystemClock().now_ms()
    for bad, fine in (("x\x00", False), ("a\\u0000", True)):
        body = StateChange(chart="c", asset=bad, before="a", after="b")
        item = Received(1, Event(id="i", type="state", time=now, body=body))
        async with store.transaction() as tx:
            insert = store.insert_events(tx, Batch("s", bad[0], "live", now), [item], 1)
            if fine:
                await insert
            else:
                with pytest.raises(ValueError, match="NUL"):
                    await insert
    assert await pg.fetchval("SELECT body->>'asset' FROM event") == "a\\u0000"


def test_rows_with_gaps_have_the_same_form() -> None:
    times, tags = array("q", [1, 2]), array("i", [7, 8])
    whole = sample_rows(times, array("d", [1.5, 2.5]), tags, b"\x00\x02")
    first = sample_rows(times[:1], array("d", [1.5]), tags[:1], b"\x00")
    mixed = sample_rows(times, array("d", [1.5, math.nan]), tags, b"\x00\x02")
    assert whole.startswith(first[:-2])
    assert mixed.startswith(first[:-2])
    assert len(mixed) == len(whole) - 8


async def test_what_stood_before_is_there_after_the_migration_and_back(database_url: str) -> None:
    engine = create_async_engine(async_url(database_url), poolclass=pool.NullPool)

    def go(connection: Connection, revision: str) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        down = (
            revision == "0003"
            and connection.execute(text("SELECT to_regclass('sample_raw') IS NOT NULL")).scalar()
        )
        (command.downgrade if down else command.upgrade)(config, revision)

    async def to(revision: str) -> None:
        async with engine.begin() as connection:
            await connection.run_sync(go, revision)

    await to("0003")
    pg = await connect_pool(database_url)
    for number, received in enumerate((NOW, NOW + 3 * DAY_MS)):
        await pg.execute(
            "INSERT INTO event (source, epoch, lane, seq, id, type, time, received_at, late, body) "
            "VALUES ('s', 'e', 'live', $1, $2, 'x', 5, $3, true, $4)",
            number, f"i{number}", received, {"n": number},
        )  # fmt: skip
        await pg.execute("INSERT INTO sample VALUES ('t', $1, 1.5, 2)", received)
    await pg.close()
    read = (
        "SELECT source, epoch, lane, seq, id, type, time, received_at, late, body::jsonb "
        "FROM event ORDER BY seq",
        "SELECT tag, at, value, quality FROM sample ORDER BY at",
    )
    seen: list[list[list[tuple[object, ...]]]] = []
    for revision in ("0003", "0004", "0003", "0004"):
        await to(revision)
        pg = await connect_pool(database_url)
        seen.append([[tuple(row) for row in await pg.fetch(query)] for query in read])
        await pg.close()
    await engine.dispose()
    assert len(seen[0][0]) == len(seen[0][1]) == 2
    assert seen == [seen[0]] * 4


async def test_alembic_sees_no_partition_and_no_difference(brain_url: str) -> None:
    await migrate(brain_url, MIGRATIONS)
    engine = create_async_engine(async_url(brain_url), poolclass=pool.NullPool)
    mine = {
        model.__tablename__
        for model in vars(tables_store).values()
        if isinstance(model, type) and issubclass(model, SQLModel) and hasattr(model, "__table__")
    }

    def compare(connection: Connection) -> list[str]:
        context = MigrationContext.configure(
            connection,
            opts={"include_name": without_partitions(connection), "compare_type": False},
        )
        return [repr(change) for change in compare_metadata(context, SQLModel.metadata)]

    async with engine.connect() as connection:
        changes = await connection.run_sync(compare)
    await engine.dispose()
    assert len(mine) == 10
    assert [c for c in changes if "_p20" in c or any(f"'{name}'" in c for name in mine)] == []


def test_the_wire_is_what_a_batch_is_made_of() -> None:
    rows: list[Row] = [("a", 5, 1.5, 0), ("b", 6, None, 2), ("a", 7, 2.5, 0)]
    made = Columns.of(rows)
    assert made.names == ["a", "b"]
    assert list(made.tags) == [0, 1, 0]
    assert msgspec.json.encode(list(made.times)) == b"[5,6,7]"


async def test_one_sample_of_a_clock_never_set_costs_two_days_not_half_a_century(
    pg: asyncpg.Pool,
) -> None:
    store = SampleStore(pg, ManualClock(NOW))
    await store.partitions.make_ahead(NOW)
    before = len(await children(pg, "sample_minute"))
    await put(pg, store, [("T", 1000, 1.0, 0), ("T", NOW, 2.0, 0)])
    await Rollups(pg, store.partitions, Retention()).samples()
    assert len(await children(pg, "sample_minute")) == before + 1
    rows = await pg.fetch("SELECT at, sum FROM sample_minute ORDER BY at")
    assert [tuple(row) for row in rows] == [(0, 1.0), (NOW // MINUTE_MS * MINUTE_MS, 2.0)]
