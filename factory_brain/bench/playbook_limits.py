"""What bounds playbooks from below: how often this PostgreSQL commits and this disk writes.

Measured in the same run, with as many rows a commit and as many connections as the engine had.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from factory_brain.bench.playbook_world import Figures, PlaybookWorld
from shared.postgres.pool import connect_pool

CONNECTIONS = 5
"""Those of the engine's pool."""
_INSERT = (
    "INSERT INTO bench_limit (run, path, attempt, phase, data, at, n) "
    "SELECT $1 || n, '/steps/step', 1, 'done', '{\"device\": \"burner\"}'::jsonb, 1, n "
    "FROM generate_series(1, $2::int) AS s(n)"
)


async def commits(world: PlaybookWorld, rows: int, seconds: float) -> Figures:
    """Bare commits of journal rows."""
    await world.pool.execute("CREATE TABLE bench_limit (LIKE journal INCLUDING ALL)")
    pool = await connect_pool(world.url, size=CONNECTIONS, name="bench-limit")
    end, began = time.monotonic() + seconds, time.monotonic()

    async def loop(name: int) -> int:
        done = 0
        async with pool.acquire() as connection:
            while time.monotonic() < end:
                await connection.execute(_INSERT, f"{name}/{done}/", rows)
                done += 1
        return done

    try:
        done = sum(await asyncio.gather(*(loop(name) for name in range(CONNECTIONS))))
        took = time.monotonic() - began
    finally:
        await pool.close()
        await world.pool.execute("DROP TABLE bench_limit")
    return {
        "connections": CONNECTIONS, "rows_per_commit": rows, "commits_per_s": round(done / took),
        "rows_per_s": round(done * rows / took),
    }  # fmt: skip


def fsyncs(folder: Path, seconds: float) -> int:
    """How often a second one writer gets 8 kB onto this disk for sure."""
    place = os.open(folder / "fsync", os.O_CREAT | os.O_WRONLY, 0o600)
    began, done = time.monotonic(), 0
    try:
        while time.monotonic() - began < seconds:
            os.pwrite(place, bytes(8192), 0)
            os.fdatasync(place)
            done += 1
    finally:
        os.close(place)
    return round(done / (time.monotonic() - began))
