"""The audit log on a real PostgreSQL: append-only, and any tampering is found and named."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import pool as sqlalchemy_pool
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner

from factory_brain.bootstrap import MIGRATIONS
from group_cloud.bootstrap import MIGRATIONS as CLOUD_MIGRATIONS
from shared.cli.audit import app as audit_cli
from shared.clock import ManualClock
from shared.identity.where import Where, stand
from shared.postgres.audit import COLUMNS, audit, audit_change, entry_hash
from shared.postgres.audit_anchors import AuditAnchors
from shared.postgres.audit_log import AuditLog
from shared.postgres.audit_verify import Report, verify_chain
from shared.postgres.migrate import async_url, migrate
from shared.postgres.pool import connect_pool
from shared.security import generate_key, load_private, load_public
from tests.support.summary import say

ROWS = 40
ODD: list[Any] = [
    {}, {"a": 1e22, "b": -0.0, "c": 0.1}, {"深": "炉\u2028温", "n": None}, {"list": [1, "x", {}]},
    {"why": "because", "before": {"x": 1}, "after": {"x": 2}}, {"comment": 'quo"te\\'},
]  # fmt: skip


@pytest.fixture
async def pool(brain_url: str) -> AsyncIterator[asyncpg.Pool]:
    await migrate(brain_url, MIGRATIONS)
    made = await connect_pool(brain_url)
    yield made
    await made.close()


async def write(pool: asyncpg.Pool, count: int, start: int = 0) -> None:
    async with pool.acquire() as connection:
        for n in range(start, start + count):
            stand(Where("factory", "f1", f"10.0.0.{n % 5}", "Asia/Shanghai"))
            async with connection.transaction():
                await audit(
                    connection, 1_700_000_000_000 + n, f"user{n % 3}", "acknowledge", f"o{n}",
                    ODD[n % len(ODD)],
                )  # fmt: skip


async def look(pool: asyncpg.Pool, **how: Any) -> Report:
    async with pool.acquire() as connection:
        return await verify_chain(connection, **how)


async def unguarded(pool: asyncpg.Pool, *statements: str) -> None:
    """As whoever owns the database could: past the trigger."""
    async with pool.acquire() as connection, connection.transaction():
        for table in ("audit", "audit_anchor"):
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            await connection.execute(statement)
        for table in ("audit", "audit_anchor"):
            await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


async def test_an_entry_says_who_when_where_before_after_and_why(pool: asyncpg.Pool) -> None:
    stand(Where("factory", "f1", "10.1.2.3", "Asia/Shanghai"))
    async with pool.acquire() as connection, connection.transaction():
        await audit_change(
            connection, 1_700_000_000_000, "li", "limit", "FUR.TEMP.HI",
            before={"limit": 1230}, after={"limit": 1240}, why="new lining",
        )  # fmt: skip
    [entry] = await AuditLog(pool).entries(limit=10)
    assert {k: entry[k] for k in ("actor", "at", "zone", "tier", "site", "address", "why")} == {
        "actor": "li", "at": 1_700_000_000_000, "zone": "Asia/Shanghai", "tier": "factory",
        "site": "f1", "address": "10.1.2.3", "why": "new lining",
    }  # fmt: skip
    assert (entry["before"], entry["after"]) == ({"limit": 1230}, {"limit": 1240})


async def test_the_database_itself_refuses_changes(pool: asyncpg.Pool) -> None:
    await write(pool, 3)
    for statement in (
        "UPDATE audit SET actor = 'nobody' WHERE id = 2", "DELETE FROM audit WHERE id = 3",
        "TRUNCATE audit", "TRUNCATE audit_anchor",
    ):  # fmt: skip
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await pool.execute(statement)
    assert (await look(pool)).entries == 3


def _other(generator: random.Random, kind: str, value: Any) -> str:
    """SQL for a value of this column that is not the one that stands there."""
    if kind in ("bigint", "smallint"):
        return str(int(value) + generator.choice([-1, 1, 7]))
    if kind == "jsonb":
        return generator.choice(["""'{"forged": 1}'::jsonb""", "'[]'::jsonb", "'0.5'::jsonb"])
    return "'" + generator.choice([str(value) + "x", str(value)[:-1] + "#", "forged"]) + "'"


async def test_any_change_of_any_column_of_any_entry_is_found(pool: asyncpg.Pool) -> None:
    await write(pool, ROWS)
    assert (await look(pool)).holds
    await pool.execute("CREATE TABLE kept AS SELECT * FROM audit")
    columns = await pool.fetch(
        "SELECT column_name AS name, data_type AS kind FROM information_schema.columns "
        "WHERE table_name = 'audit' ORDER BY ordinal_position"
    )
    assert {c["name"] for c in columns} == {*COLUMNS, "hash"}
    generator, found = random.Random(20_260_101), 0
    tries = [(column, generator.randint(1, ROWS)) for column in columns for _ in range(6)]
    for column, entry in tries:
        value = await pool.fetchval(f"SELECT {column['name']} FROM audit WHERE id = $1", entry)
        new = _other(generator, column["kind"], value)
        if column["name"] == "id":
            new = str(1_000 + entry)
        await unguarded(pool, f"UPDATE audit SET {column['name']} = {new} WHERE id = {entry}")
        report = await look(pool)
        assert not report.holds, (column["name"], entry, value, new)
        near = {f.first for f in report.faults} | {f.last for f in report.faults}
        assert near & {entry, entry + 1, 1_000 + entry}, (column["name"], entry, report.faults)
        found += 1
        await unguarded(pool, "TRUNCATE audit", "INSERT INTO audit SELECT * FROM kept")
    assert (await look(pool)).holds
    say("audit-tampering", f"{found} of {len(tries)} changes of single columns found")


async def test_removed_inserted_and_exchanged_entries_are_found(pool: asyncpg.Pool) -> None:
    await write(pool, ROWS)
    await pool.execute("CREATE TABLE kept AS SELECT * FROM audit")

    async def after(*statements: str) -> list[tuple[str, int, int]]:
        await unguarded(pool, *statements)
        report = await look(pool)
        await unguarded(pool, "TRUNCATE audit", "INSERT INTO audit SELECT * FROM kept")
        return [(f.kind, f.first, f.last) for f in report.faults]

    assert await after("DELETE FROM audit WHERE id BETWEEN 5 AND 7") == [("removed", 5, 7)]
    assert await after("DELETE FROM audit WHERE id < 3") == [("removed", 1, 2)]
    # Put in: everything after it moved on by one, so that the numbers fit.
    moved = (
        "UPDATE audit SET id = id + 1000 WHERE id >= 10",
        "UPDATE audit SET id = id - 999 WHERE id >= 1010",
        "INSERT INTO audit SELECT * FROM kept WHERE id = 10",
    )
    faults = await after(*moved)
    assert faults[0][1] == 11
    # Taken out with the numbers closed up.
    closed = ("DELETE FROM audit WHERE id = 20", "UPDATE audit SET id = id - 1 WHERE id > 20")
    faults = await after(*closed)
    assert faults[0][1] == 20
    exchanged = (
        "UPDATE audit SET id = 900 WHERE id = 30", "UPDATE audit SET id = 30 WHERE id = 31",
        "UPDATE audit SET id = 31 WHERE id = 900",
    )  # fmt: skip
    faults = await after(*exchanged)
    assert {f[1] for f in faults} >= {30, 31}


async def test_a_chain_written_anew_is_found_by_its_anchors(
    pool: asyncpg.Pool, tmp_path: Path, brain_url: str
) -> None:
    private, public = generate_key()
    (tmp_path / "key").write_bytes(private)
    (tmp_path / "pub").write_bytes(public)
    key, seen = load_public(tmp_path / "pub"), []
    anchors = AuditAnchors(
        pool, ManualClock(), load_private(tmp_path / "key"), tier="factory", site="f1"
    )

    async def on_report(report: Report) -> None:
        seen.append(report.holds)

    anchors.on_report.append(on_report)
    assert await anchors.once() is None  # nothing to sign yet
    await write(pool, 20)
    first = await anchors.once()
    await write(pool, 10, 20)
    second = await anchors.once()
    assert (first and first.id, second and second.id) == (20, 30)
    kept = await AuditLog(pool).anchors()
    report = await look(pool, anchors=kept, key=key)
    assert (report.holds, report.anchors, report.anchored) == (True, 2, 30)
    _cli_agrees(brain_url, tmp_path, kept)

    await unguarded(pool, "DELETE FROM audit WHERE id > 25")  # the end cut off
    report = await look(pool, anchors=kept, key=key)
    assert [(f.kind, f.first) for f in report.faults] == [("anchor_gone", 30)]
    await anchors.once()
    assert seen[-1] is False

    await _rewrite(pool)  # every hash made anew: the chain by itself holds
    assert (await look(pool)).holds
    report = await look(pool, anchors=kept, key=key)
    assert ("anchor_differs", 20) in [(f.kind, f.first) for f in report.faults]

    stranger, _ = generate_key()
    (tmp_path / "other").write_bytes(stranger)
    await unguarded(pool, "TRUNCATE audit_anchor")
    forger = AuditAnchors(
        pool, ManualClock(), load_private(tmp_path / "other"), tier="factory", site="f1"
    )
    assert await forger.once() is not None
    forged = await AuditLog(pool).anchors()
    report = await look(pool, anchors=forged, key=key)
    assert [f.kind for f in report.faults] == ["anchor_forged"]


def _cli_agrees(url: str, folder: Path, kept: list[Any]) -> None:
    """The verb says the same; in a loop of its own, as it has in life."""
    import threading

    results: list[Any] = []
    arguments = ["verify", "--database-url", url, "--key", str(folder / "pub"), "--json"]

    def run() -> None:
        results.append(CliRunner().invoke(audit_cli, arguments))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert results[0].exit_code == 0, results[0].output
    told = json.loads(results[0].output)
    assert (told["holds"], told["entries"], told["anchored"]) == (True, 30, kept[-1].id)


async def _rewrite(pool: asyncpg.Pool) -> None:
    """What an owner of the database could do who knows the code: a whole new history."""
    read = ", ".join(f"{c}::text" if c in ("before", "after", "data") else c for c in COLUMNS)
    rows = await pool.fetch(f"SELECT {read} FROM audit ORDER BY id")
    previous, statements = "", []
    for row in rows:
        values = dict(zip(COLUMNS, row.values(), strict=True))
        values["previous"], values["actor"] = previous, "somebody else"
        digest = entry_hash([values[c] for c in COLUMNS])
        statements.append(
            f"UPDATE audit SET actor = 'somebody else', previous = '{previous}', "
            f"hash = '{digest}' WHERE id = {values['id']}"
        )
        previous = digest
    await unguarded(pool, *statements)


async def _upgrade(url: str, folder: Path, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(folder))
    engine = create_async_engine(async_url(url), poolclass=sqlalchemy_pool.NullPool)

    def run(connection: Any) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


async def test_a_log_from_before_goes_on_and_old_accounts_keep_their_roles(
    database_url: str,
) -> None:
    await _upgrade(database_url, CLOUD_MIGRATIONS, "0001")
    pool, previous = await connect_pool(database_url), ""
    for n in range(1, 6):
        content = [previous, n, "li", "label", f"o{n}", {"n": n, "b": "x"}]
        digest = hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()
        await pool.execute(
            "INSERT INTO audit (id, at, actor, action, target, data, previous, hash) "
            "VALUES ($1, $1, 'li', 'label', $2, $3, $4, $5)",
            n, f"o{n}", {"n": n, "b": "x"}, previous, digest,
        )  # fmt: skip
        previous = digest
    await pool.execute(
        "INSERT INTO account (username, password_hash, roles, disabled, created_at) "
        "VALUES ('li', 'h', $1, false, 1)", ["operator", "viewer"],
    )  # fmt: skip
    await pool.close()
    await migrate(database_url, CLOUD_MIGRATIONS)
    pool = await connect_pool(database_url)
    assert await pool.fetchval("SELECT grants FROM account") == [["operator", ""], ["viewer", ""]]
    await write(pool, 3)
    report = await look(pool)
    assert (report.holds, report.entries) == (True, 8)
    await unguarded(pool, "UPDATE audit SET why = 'put in later' WHERE id = 2")
    assert [f.first for f in (await look(pool)).faults] == [2]
    await pool.close()
