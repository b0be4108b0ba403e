"""Rows of real databases and recorded files: nothing twice, nothing missed, over restarts."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine

from edge_node.adapters.sources.sql import SqlOptions
from shared.clock import SystemClock
from shared.errors import ConfigError
from tests.support.driver_here import here
from tests.support.edge_children import driver
from tests.support.edge_plants import tag

pytestmark = pytest.mark.timeout(60)
WIDE = "select id, at, temp, mode from readings where id > :last order by id limit :limit"


class Plant:
    """A SQLite file that somebody else writes into."""

    def __init__(self, folder: Path) -> None:
        self.path, self.folder = folder / "plant.db", folder
        self.settings = {"state_dir": str(folder / "state")}

    async def run(self, *statements: str) -> None:
        async with aiosqlite.connect(self.path) as database:
            for statement in statements:
                await database.execute(statement)
            await database.commit()

    async def table(self) -> None:
        await self.run("create table readings (id integer primary key, at, temp, mode)")

    async def add(self, *ids: int) -> None:
        await self.run(*(
            f"insert into readings values ({n}, {1_767_323_045_000 + n}, {n}.5, 'M{n}')"
            for n in ids
        ))  # fmt: skip

    def kept(self) -> Any:
        """The place in the table that would outlive the process now."""
        path = self.folder / "state" / "checkpoint.json"
        return json.loads(path.read_text())["last"] if path.exists() else None

    def source(self, **options: Any) -> dict[str, Any]:
        given = {"query": WIDE, "time": "at", **options}
        return {"driver": "sql", "url": f"sqlite:///{self.path}", "interval": 20, "options": given}


TAGS = [tag("T", "temp"), tag("M", "mode", "string")]


async def test_rows_come_once_in_order_over_restarts(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    await plant.table()
    await plant.add(1, 2, 3)
    got: list[float] = []
    # The first run begins with what is new; `start: beginning` is the other way.
    async with here(plant.source(limit=2), TAGS, plant.settings) as sql:
        await sql.until(lambda: sql.states)
        await plant.add(4, 5, 6, 7, 8)
        await sql.until(lambda: sql.last(0) == (8.5, 0) and plant.kept() == 8)
        assert sql.of(0)[0] == (1_767_323_045_004, 4.5, 0)
        assert [row[2] for row in sql.texts] == ["M4", "M5", "M6", "M7", "M8"]
        got += [value for _, value, _ in sql.of(0)]
        assert "read only" in (await sql.write("temp", 1)).detail
    await plant.add(9, 10)
    for new in (11, 12):
        async with here(plant.source(limit=2), TAGS, plant.settings) as sql:
            await plant.add(new)
            await sql.until(lambda new=new: plant.kept() == new)
            got += [value for _, value, _ in sql.of(0)]
    assert got == [n + 0.5 for n in range(4, 13)]
    # Another query is another place in the table.
    async with here(plant.source(start="beginning", query=WIDE + " "), TAGS, {}) as sql:
        await sql.until(lambda: sql.last(0) == (12.5, 0))
        assert len(sql.of(0)) == 12


async def test_a_kill_in_the_middle_leaves_no_row_out(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    await plant.table()
    await plant.add(*range(1, 121))
    source = {**plant.source(limit=10, start="beginning"), "id": "s"}
    got: list[float] = []
    for wanted in (30, 120):
        async with driver(source, TAGS, plant.settings) as child:
            await child.until(lambda child=child, n=wanted: child.samples
                              and child.samples[-1][2] >= n - 0.5)  # fmt: skip
            if wanted < 120:
                os.kill(child.process.pid, signal.SIGKILL)
                await child.process.wait()
        got += [value for _, value, _ in child.of(0)]
    assert set(got) == {n + 0.5 for n in range(1, 121)}
    assert len(got) <= 120 + 10, "a kill may bring its last batch again, no more"


async def test_long_tables_late_rows_and_qualities(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    await plant.run("create table log (n integer, tag text, v, q integer)")
    options = {
        "query": "select n, tag, v, q from log where n > :last order by n limit :limit",
        "index": "n", "time": "", "name": "tag", "value": "v", "quality": "q", "overlap": 10,
    }  # fmt: skip
    source = plant.source(**options)
    tags = [tag("A", "a"), tag("B", "b", "boolean")]
    kept = tmp_path / "state" / "checkpoint.json"
    await plant.run("insert into log values (5, 'a', 1, 0)")
    async with here(source, tags, plant.settings) as sql:
        await sql.until(lambda: sql.states)
        await plant.run(
            "insert into log values (7, 'a', 2.5, 0), (8, 'b', 'true', 1), (9, 'a', null, 0), "
            "(10, 'c', 3, 0)"
        )
        await sql.until(lambda: len(sql.of(0)) == 2)
        assert sql.of(0)[0][1:] == (2.5, 0)
        assert sql.last(0)[1] == 2  # type: ignore[index]
        assert sql.last(1) == (1.0, 1)
        # A transaction that took number 6 and is committed only now.
        await plant.run("insert into log values (6, 'a', 66, 0)")
        await sql.until(lambda: sql.last(0) == (66.0, 0))
        await sql.until(lambda: 6 in json.loads(kept.read_text())["seen"])
    async with here(source, tags, plant.settings) as sql:
        await plant.run("insert into log values (11, 'a', 7, 0)")
        await sql.until(lambda: sql.last(0) == (7.0, 0))
        assert len(sql.of(0)) == 1, "nothing of the overlap came again"


@pytest.mark.parametrize(
    ("options", "tags", "words"),
    [
        ({"query": WIDE.replace("mode", "modee")}, TAGS, "modee"),
        ({"time": "moment"}, TAGS, "no column 'moment'"), ({}, [tag("X", "speed")], "'speed'"),
    ],
)  # fmt: skip
async def test_wrong_columns_are_named(
    tmp_path: Path, options: dict[str, Any], tags: list[dict[str, Any]], words: str
) -> None:
    plant = Plant(tmp_path)
    await plant.table()
    await plant.add(1)
    with pytest.raises(Exception, match=words) as raised:
        async with here(plant.source(start="beginning", **options), tags, plant.settings) as sql:
            await sql.until(lambda: False, 3)
    assert "mend:" in str(raised.value)


@pytest.mark.parametrize(
    "query", ["delete from t", "select 1; drop table t", "select id from t order by id",
              "select id from t where id > :last"],
)  # fmt: skip
def test_other_queries_are_refused(query: str) -> None:
    with pytest.raises(ValueError, match="query must"):
        SqlOptions(query=query)


async def test_a_password_in_the_url_is_refused_and_not_shown(tmp_path: Path) -> None:
    source = Plant(tmp_path).source() | {"url": "postgresql://u:hunter2@127.0.0.1/x"}
    with pytest.raises(ConfigError, match="password in it") as raised:
        async with here(source, TAGS, {}):
            pass
    assert "hunter2" not in str(raised.value)


async def test_postgresql_with_times_as_index(database_url: str, tmp_path: Path) -> None:
    url = database_url.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url)

    async def run(statement: str) -> None:
        async with engine.begin() as connection:
            await connection.execute(text(statement))

    try:
        kept = tmp_path / "state" / "checkpoint.json"
        await run("create table readings (at timestamptz, temp numeric, n bigserial)")
        secret = tmp_path / "secret"
        secret.write_text(engine.url.password or "")
        settings = {"state_dir": str(tmp_path / "state"), "user": engine.url.username or ""}
        if engine.url.password:
            settings["password_file"] = str(secret)
        given = engine.url
        bare = URL.create("postgresql", None, None, given.host, given.port, given.database,
                          given.query)  # fmt: skip
        query = "select at, temp from readings where at > :last order by at limit :limit"
        options = {
            "query": query, "index": "at", "index_type": "time", "first": "1970-01-01",
            "time": "at",
        }  # fmt: skip
        source = {"driver": "sql", "url": str(bare), "interval": 20, "options": options}
        await run("insert into readings values ('2026-01-02T03:04:05Z', 1.25)")
        async with here(source, TAGS[:1], settings) as sql:
            await sql.until(lambda: sql.states)
            assert not sql.samples
            await run("insert into readings values ('2026-01-02T03:04:06.5Z', 2.25)")
            await sql.until(lambda: sql.of(0) == [(1_767_323_046_500, 2.25, 0)])
            await sql.until(lambda: "03:04:06.5" in kept.read_text())
        await run("insert into readings values ('2026-01-02T03:04:07Z', 3.25)")
        async with here(source, TAGS[:1], settings) as sql:
            await sql.until(lambda: sql.of(0) == [(1_767_323_047_000, 3.25, 0)])
            await run("alter table readings rename to gone")
            with pytest.raises(Exception, match='relation "readings" does not exist'):
                await sql.until(lambda: False, 5)
    finally:
        await engine.dispose()


CSV = "time,temp,run\n1000,1.5,true\n1100,2.5,\n1200,,false\n1300,x,false\n"
LONG = "at;tag;v;q\n2026-01-02T03:04:05Z;temp;1.5;0\n2026-01-02T03:04:05.1Z;temp;2.5;1\n"
JSONL = "".join(
    json.dumps({"ts": 1_767_323_045_000 + n, "values": {"temp": n, "run": n > 1}}) + "\n\n"
    for n in range(3)
)
LONG_OPTIONS = {"delimiter": ";", "time": "at", "name": "tag", "value": "v", "quality": "q"}
PLAYED = [tag("T", "temp"), tag("R", "run", "boolean")]


def recording(folder: Path, file: str, body: str, **options: Any) -> dict[str, Any]:
    path = folder / file
    path.write_text(body, encoding="utf-8")
    return {"driver": "replay", "url": path.as_uri(), "options": options}


@pytest.mark.parametrize(
    ("name", "body", "options", "values", "count"),
    [
        ("w.csv", CSV, {"time_unit": "ms"}, [(1.5, 0), (2.5, 0)], 3),
        ("l.csv", LONG, LONG_OPTIONS, [(1.5, 0), (2.5, 1)], 2),
        ("j.jsonl", JSONL, {"time": "ts"}, [(0.0, 0), (1.0, 0), (2.0, 0)], 3),
        ("p.csv", "temp\n7\n8\n", {"time": "", "period": "50ms"}, [(7.0, 0), (8.0, 0)], 2),
    ],
)  # fmt: skip
async def test_recordings_of_every_form(
    tmp_path: Path, name: str, body: str, options: dict[str, Any],
    values: list[tuple[float, int]], count: int,
) -> None:  # fmt: skip
    source = recording(tmp_path, name, body, speed=100, clock="original", **options)
    async with here(source, PLAYED) as play:
        await play.until(lambda: "has ended" in play.detail)
        assert [(v, q) for _, v, q in play.of(0)][: len(values)] == values
        assert len(play.of(0)) == count
        assert "not a live plant" in play.states[0][1]
        if name == "w.csv":
            assert [t for t, *_ in play.of(0)] == [1000, 1100, 1300]
            assert play.of(0)[-1][2] == 2, "x is no number"
            assert [v for _, v, _ in play.of(1)] == [1.0, 0.0, 0.0]
        assert (await play.write("temp", 1)).outcome == "failed"


async def test_the_speed_the_loop_and_the_shifted_clock(tmp_path: Path) -> None:
    rows = "time,temp\n" + "".join(f"{1000 + n * 100},{n}\n" for n in range(11))
    began = SystemClock().now_ms()
    source = recording(tmp_path, "s.csv", rows, time_unit="ms", speed=5, loop=True)
    async with here(source, PLAYED[:1]) as play:
        await play.until(lambda: len(play.of(0)) >= 22)
        times = [t for t, *_ in play.of(0)]
        assert 190 <= times[10] - times[0] <= 215, "one second at five times the speed"
        assert began <= times[0] <= times[21] <= SystemClock().now_ms() + 50
        assert [v for _, v, _ in play.of(0)][:12] == [float(n) for n in range(11)] + [0.0]
        assert times == sorted(times)


@pytest.mark.parametrize(
    ("name", "body", "options", "words"),
    [
        ("a.csv", CSV.replace("1100", "noon"), {"time_unit": "ms"}, r"a\.csv:3.*'noon' is no time"),
        ("b.csv", CSV, {"time": "at"}, r"b\.csv:1.*no column 'at'"),
        ("c.jsonl", '{"time": 1}\n{', {}, r"c\.jsonl:2.*no JSON"),
    ],
)
async def test_a_broken_recording_is_named_with_its_line(
    tmp_path: Path, name: str, body: str, options: dict[str, Any], words: str
) -> None:
    source = recording(tmp_path, name, body, **options)
    with pytest.raises(ConfigError, match=words):
        async with here(source, PLAYED) as play:
            await play.until(lambda: False, 3)


def not_there(folder: Path) -> str:
    return (folder / "none.csv").as_uri()


@pytest.mark.parametrize(
    ("url", "words"),
    [(not_there, "there is no file"), (lambda _: "file://host/x.csv", "is no file")],
)
async def test_a_recording_that_is_not_there(
    tmp_path: Path, url: Callable[[Path], str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        async with here({"driver": "replay", "url": url(tmp_path)}, PLAYED):
            pass
