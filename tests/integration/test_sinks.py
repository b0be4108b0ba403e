"""Northbound sinks against a real MariaDB, InfluxDB, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from factory_brain.adapters.postgres import sink_store
from factory_brain.bootstrap import Brain
from factory_brain.domain.samples import Columns
from factory_brain.settings import BrainSettings
from shared.embedded.ports import Ports
from shared.paths import demo_sites
from shared.postgres.pool import connect_pool
from shared.security import generate_key
from tests.support.brain_world import EDGE, FakeEdge, log_in, transition, until
from tests.support.servers import NatsForTests
from tests.support.sink_servers import InfluxDb, MariaDb, TargetServer
from tests.support.sink_world import HIHI, SinkWorld

pytest_plugins = ["tests.support.incident_fixtures"]
COUNT = 5000


@pytest.fixture
async def sinks(migrated_url: str, tmp_path: Path) -> AsyncIterator[SinkWorld]:
    pool = await connect_pool(migrated_url)
    await pool.execute(
        "TRUNCATE occurrence, event, watermark, feed_position, feed_consumer, source_epoch, "
        "sink_position, sink_sample, sink_refused, sample_raw"
    )
    made = SinkWorld(pool, tmp_path)
    yield made
    await made.kill()
    await pool.close()


@pytest.fixture
def mariadb() -> Iterator[MariaDb]:
    server = MariaDb()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def influxdb() -> Iterator[InfluxDb]:
    server = InfluxDb()
    server.start()
    yield server
    server.remove()


async def _level(plant: SinkWorld, name: str, seconds: float = 60) -> None:
    """Until the sink has everything that was committed."""

    async def level() -> bool:
        assert plant.forwarding is not None
        found = {each.id: each for each in await plant.forwarding.listed()}[name]
        return found.events_behind == 0 and found.samples_behind == 0 and found.status == "ok"

    await until(level, seconds)


async def _through_cuts(plant: SinkWorld, target: TargetServer, name: str, count: Any) -> None:
    """Everything is sent while the sinks are killed in between and the target is restarted."""
    await plant.start()
    await plant.send_events(COUNT // 2)
    await plant.send_many_samples(COUNT)
    await until(lambda: _some(count, 400), 60)
    await plant.kill()
    # Confirmed, and not yet noted: what was the last batch is sent again.
    await plant.pool.execute("UPDATE feed_position SET seq = greatest(seq - 300, 0) "
                             "WHERE consumer = $1", f"sink-{name}")  # fmt: skip
    await plant.start()
    await until(lambda: _some(count, 800), 60)
    await asyncio.to_thread(target.kill)
    await plant.send_events(COUNT - COUNT // 2, "e2")  # ingest goes on beside a dead target
    await asyncio.to_thread(target.start)
    await _level(plant, name)
    # A sample of yesterday and an event of an hour ago: after everything, and in all the same.
    await plant.send_samples([("TT-101", plant.clock.now_ms() - 86_400_000, 7.5, 0)])
    await plant.send_events(1, ago_ms=3_600_000)
    await _level(plant, name)


async def _some(count: Any, least: int) -> bool:
    return await asyncio.to_thread(count) >= least


async def test_mariadb_holds_exactly_what_was_committed(sinks: SinkWorld, mariadb: MariaDb) -> None:
    sinks.sink("maria", "sql", mariadb.prepare(), mariadb.secret)

    def count() -> int:
        if not mariadb.rows("SHOW TABLES LIKE 'sample'"):
            return 0
        found = mariadb.rows(
            "SELECT (SELECT count(*) FROM alarm_event)+(SELECT count(*) FROM sample)"
        )
        return int(found[0][0])

    await _through_cuts(sinks, mariadb, "maria", count)
    ids = [row[0] for row in mariadb.rows("SELECT id FROM alarm_event")]
    assert len(ids) == COUNT + 1
    assert set(ids) == sinks.events
    samples = mariadb.rows("SELECT tag, time, value, quality FROM sample")
    assert len(samples) == COUNT + 1
    assert set(samples) == sinks.samples
    row = mariadb.rows("SELECT alarm, actor, unit, active, body FROM alarm_event LIMIT 1")[0]
    assert row[:4] == (HIHI, 'quote " back\\slash, 换行\nzweite', "°C", 1)
    assert json.loads(row[4])["alarm"] == HIHI
    counts = (await sinks.store.counts())["maria"]
    assert (counts.samples, counts.refused, counts.lost) == (COUNT + 1, 0, 0)


async def test_influxdb_holds_exactly_what_was_committed(
    sinks: SinkWorld, influxdb: InfluxDb
) -> None:
    sinks.sink("flux", "influx", influxdb.prepare())

    def count() -> int:
        found = influxdb.rows("SELECT count(quality) AS n FROM sample") + influxdb.rows(
            "SELECT count(id) AS n FROM alarm_event"
        )
        return sum(each["n"] for each in found)

    await _through_cuts(sinks, influxdb, "flux", count)
    events = influxdb.rows("SELECT * FROM alarm_event")
    assert Counter(each["id"] for each in events) == Counter(sinks.events)
    assert events[0]["actor"] == 'quote " back\\slash, 换行\nzweite'
    assert (events[0]["alarm"], events[0]["active"], events[0]["value"]) == (HIHI, True, 1291.5)
    samples = influxdb.rows("SELECT * FROM sample")
    got = [(e["tag"], e["time"] // 1_000_000, e["value"], e["quality"]) for e in samples]
    assert len(got) == COUNT + 1
    assert set(got) == sinks.samples


async def test_a_slow_commit_is_not_stepped_over(sinks: SinkWorld) -> None:
    """A transaction that began first and commits last: its samples come all the same."""
    path = sinks.folder / "t.db"
    sinks.sink("lite", "sql", f"sqlite:///{path}", events="")
    await sinks.start()
    async with sinks.pool.acquire() as slow, slow.transaction():
        await sinks.store.on_samples(slow, [Columns.of([("TT-102", 1000, 2.0, 0)])])
        await sinks.send_samples([("TT-101", sinks.clock.now_ms(), 1.0, 0)])
        position = await sinks.pool.fetchrow("SELECT xid, no FROM sink_position")
        rounds = sinks.rounds
        await until(lambda: _true(sinks.rounds >= rounds + 3))
        assert await sinks.pool.fetchrow("SELECT xid, no FROM sink_position") == position
    await until(lambda: _true(_lite(path, "SELECT tag FROM sample") == {"TT-101", "TT-102"}))
    await _level(sinks, "lite")


async def _true(value: bool) -> bool:
    return value


def _lite(path: Path, query: str) -> set[Any]:
    if not path.exists():
        return set()
    connection = sqlite3.connect(path)
    try:
        return {row[0] for row in connection.execute(query)}
    except sqlite3.OperationalError:
        return set()
    finally:
        connection.close()


async def test_a_dead_sink_delays_no_other_and_what_is_refused_is_kept(
    sinks: SinkWorld, influxdb: InfluxDb
) -> None:
    path, old = sinks.folder / "t.db", sinks.clock.now_ms() - 30 * 86_400_000
    dead = f"http://127.0.0.1:{Ports().take(0)}/write?db=x"
    sinks.sink("dead", "influx", dead, behind="1s")
    sinks.sink("lite", "sql", f"sqlite:///{path}")
    url = influxdb.prepare()
    sinks.sink("flux", "influx", url, events="event.id != 'e1-7'")
    # Somebody wrote a text where a number belongs: InfluxDB refuses numbers of that week.
    text = f'sample,tag=X value="text" {old * 1_000_000}'
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.post(url, content=text)).raise_for_status()
    running = await sinks.start()
    await sinks.send_events(200)
    good = [("TT-101", sinks.clock.now_ms() + n, float(n), 0) for n in range(50)]
    await sinks.send_samples([*good[:25], ("TT-101", old, 5.0, 0), *good[25:]])
    async with sinks.pool.acquire() as tx, tx.transaction():  # beyond what ns can say: year 2264
        await sinks.store.on_samples(tx, [Columns.of([("TT-101", 9_300_000_000_000, 1.0, 0)])])
    await _level(sinks, "lite")
    await _level(sinks, "flux")
    assert len(_lite(path, "SELECT id FROM alarm_event")) == 200
    assert len(_lite(path, "SELECT time FROM sample")) == 52
    assert len(influxdb.rows("SELECT id FROM alarm_event")) == 199
    kept = {each["time"] // 1_000_000 for each in influxdb.rows("SELECT * FROM sample")}
    assert kept == {each[1] for each in good}
    refused = await sinks.pool.fetch("SELECT sink, item, reason FROM sink_refused ORDER BY no")
    assert [(r["sink"], r["item"]["time"]) for r in refused] == [
        ("flux", old), ("flux", 9_300_000_000_000)
    ]  # fmt: skip
    assert "conflict" in refused[0]["reason"]
    await until(lambda: _true(("dead", True) in sinks.conditions))
    found = {each.id: each for each in await running.listed()}
    assert (found["dead"].status, found["dead"].events_behind) == ("failing", 200)
    assert found["flux"].refused == 2
    assert "Connect" in found["dead"].error
    sinks.site.sinks["dead"] = sinks.sink("dead", "sql", f"sqlite:///{path}2", behind="1s")
    await until(lambda: _true(("dead", False) in sinks.conditions), 20)  # mended in the file
    assert len(_lite(Path(f"{path}2"), "SELECT id FROM alarm_event")) == 200


async def test_a_fault_of_the_upkeep_ends_no_sink(
    sinks: SinkWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = 0

    async def fails(*_: Any) -> None:
        nonlocal failed
        failed += 1
        raise TimeoutError

    monkeypatch.setattr(sinks.store, "prune", fails)
    path = sinks.folder / "t.db"
    sinks.sink("lite", "sql", f"sqlite:///{path}")
    running = await sinks.start()
    await until(lambda: _true("lite" in running._running))
    task = running._running["lite"][2]
    await until(lambda: _true(failed >= 3))
    monkeypatch.setattr(sinks.store, "register", fails)  # nor one of what follows the file
    sinks.sink("other", "sql", f"sqlite:///{path}2")
    before = failed
    await until(lambda: _true(failed >= before + 3))
    await sinks.send_events(50)
    await until(lambda: _true(len(_lite(path, "SELECT id FROM alarm_event")) == 50))
    assert running._running["lite"][2] is task


async def test_what_waits_too_long_or_is_too_much_is_counted_as_lost(
    sinks: SinkWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_store, "PAGE", 3)
    for name in ("dead", "slow"):
        sinks.sink(name, "sql", "sqlite://", events="", keep="1h")
        await sinks.store.register(name)
    now, store = sinks.clock.now_ms(), sinks.store
    for n in range(20):
        await sinks.send_samples([("TT-101", now + n, 1.0, 0), ("TT-102", now + n, 1.0, 0)])
    first = await sinks.pool.fetchval("SELECT min(no) FROM sink_sample")
    await sinks.pool.execute(
        "UPDATE sink_sample SET at = $1::bigint - CASE WHEN no < $2 THEN 7200000 ELSE 0 END",
        now,
        first + 8,
    )

    async def lost() -> dict[str, int]:
        return {name: each.lost for name, each in (await store.counts()).items()}

    waiting = await store.samples("slow", 4)
    assert waiting is not None
    async with store.transaction() as tx:
        await store.moved(tx, "slow", waiting)
    keep = {"dead": 3_600_000, "slow": 3_600_000}
    await store.prune(keep, now)
    assert await lost() == {"dead": 16, "slow": 12}
    assert await sinks.pool.fetchval("SELECT count(*) FROM sink_sample") == 12
    monkeypatch.setattr(sink_store, "MOST", 10)
    await store.prune(keep, now)
    assert await lost() == {"dead": 30, "slow": 26}
    assert await sinks.pool.fetchval("SELECT count(*) FROM sink_sample") == 5
    found = await store.samples("dead", 100)
    assert found is not None
    assert {each.time for each in found.samples} == {now + n for n in range(15, 20)}


async def test_postgresql_by_its_asynchronous_driver(sinks: SinkWorld, database_url: str) -> None:
    url = httpx.URL(database_url)
    target = f"postgresql+asyncpg://{url.username}@{url.host}:{url.port}{url.path}"
    sinks.sink("pg", "sql", target, url.password)
    await sinks.start()
    await sinks.send_events(300)
    await sinks.send_many_samples(500)
    await _level(sinks, "pg")
    connection = await asyncpg.connect(database_url)
    try:
        assert {
            r["id"] for r in await connection.fetch("SELECT id FROM alarm_event")
        } == sinks.events
        assert await connection.fetchval("SELECT count(*) FROM sample") == 500
    finally:
        await connection.close()


async def test_a_brain_forwards_and_tells_how_far(
    tmp_path: Path, nats_server: NatsForTests, database_url: str
) -> None:
    site = tmp_path / "site"
    shutil.copytree(demo_sites() / "f1", site)
    path = tmp_path / "mes.db"
    (site / "sinks.yaml").write_text(
        f"sinks:\n- {{id: mes, kind: sql, url: 'sqlite:///{path}', events: 'true'}}\n"
    )
    private, public = generate_key()
    for name, data in {
        "app": nats_server.password.encode(), "admin": b"correct horse", "site.key": private,
        "group.pub": public,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(data)
    settings = BrainSettings(
        site="f1", site_dir=site, playbook_dir=tmp_path, secrets_dir=tmp_path,
        state_dir=tmp_path, nats_url=nats_server.url, nats_password_file=tmp_path / "app",
        database_url=database_url, http_port=Ports().take(0),
        admin_password_file=tmp_path / "admin",
        approval_key_file=tmp_path / "site.key", release_key_file=tmp_path / "group.pub",
    )  # fmt: skip
    brain = await Brain.start(settings)
    bus = await nats_server.connect(inbox=EDGE.inbox)
    try:
        edge = FakeEdge(bus)
        await edge.start()
        await edge.send(transition(1, active=True, acked=False, kind="raised"))
        await until(lambda: _true(_lite(path, "SELECT id FROM alarm_event") == {"ev-1"}), 20)
        url = f"http://127.0.0.1:{settings.http_port}"
        async with httpx.AsyncClient(base_url=url, timeout=10) as client:
            await log_in(client)

            async def told() -> Any:
                found = (await client.get("/api/sinks")).json()["items"][0]
                return found["events"] == 1 and found

            found = await until(told)
            assert (found["id"], found["status"], found["events_behind"]) == ("mes", "ok", 0)
            assert (
                'andon_brain_sink_failing{site="f1",sink="mes"} 0'
                in (await client.get("/metrics")).text
            )
    finally:
        await bus.close()
        await brain.service.shutdown()
