"""Loads of `andon bench playbooks`: actions, furnaces, alarms at a pace, timers.

Each raises alarms as an edge does and reads what came of them from the database and the edge.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from factory_brain.adapters.postgres.trigger_store import PgTriggerStore
from factory_brain.application.playbooks.ports import NewRun
from factory_brain.bench.playbook_site import CLOCKED, FIRST, alarm, asset, books
from factory_brain.bench.playbook_world import Figures, PlaybookWorld
from factory_brain.bench.servers import until
from shared.ids import uuid7

ACTING = frozenset({"notify", "webhook", "http", "command", "emit", "ask", "set_incident"})
"""Verbs that do something outside or ask somebody: what is counted as an action."""
PER_FRAME = 25
_DONE = (
    "SELECT j.path, count(*) AS n FROM journal j JOIN run r ON r.id = j.run "
    "WHERE r.playbook = $1 AND r.started_at >= $2 AND j.phase IN ('done', 'reconciled') GROUP BY 1"
)
_SPAN = (
    "SELECT min(started_at) AS began, max(ended_at) AS ended, count(*) AS runs, "
    "count(*) FILTER (WHERE status = 'success') AS succeeded FROM run "
    "WHERE playbook = $1 AND started_at >= $2"
)
_ROWS = (
    "SELECT count(*) AS n, count(DISTINCT j.xmin::text) AS commits FROM journal j "
    "JOIN run r ON r.id = j.run WHERE r.playbook = $1 AND r.started_at >= $2"
)
_FLUSHES = "SELECT coalesce(sum(fsyncs), 0)::bigint FROM pg_stat_io WHERE object = 'wal'"


def percentiles(values: Sequence[float]) -> Figures:
    """Half of them, 99 of 100, all of them are below."""
    if not values:
        return {"p50_ms": None, "p99_ms": None, "max_ms": None}
    ordered = sorted(values)
    last = len(ordered) - 1
    return {
        name: round(ordered[min(int(len(ordered) * share), last)])
        for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0))
    }


async def at_once(world: PlaybookWorld, book: str, runs: int) -> Figures:
    """So many furnaces have an alarm at the same moment: how fast all is done about them."""
    since, flushed = world.clock.now_ms(), await world.pool.fetchval(_FLUSHES)
    own, theirs = world.cpu_s()
    for first in range(0, runs, PER_FRAME):
        numbers = list(range(first, min(first + PER_FRAME, runs)))
        await world.send(world.horn.frame(book, numbers))
    await world.ended(book, since, runs)
    own_after, theirs_after = world.cpu_s()
    span = await world.pool.fetchrow(_SPAN, book, since)
    rows = await world.pool.fetchrow(_ROWS, book, since)
    verbs = {step.id: step.verb for step in books()[book].playbook.all_steps()}
    actions = sum(
        row["n"]
        for row in await world.pool.fetch(_DONE, book, since)
        if verbs.get(row["path"].rpartition("/")[2]) in ACTING
    )
    seconds = (span["ended"] - span["began"]) / 1000
    flushed = await world.pool.fetchval(_FLUSHES) - flushed
    return {
        "runs": runs, "succeeded": span["succeeded"], "seconds": round(seconds, 2),
        "runs_per_s": round(runs / seconds, 1), "actions": actions,
        "actions_per_s": round(actions / seconds),
        "engine_ms_per_action": round((own_after - own) / actions * 1e3, 2),
        "postgres_ms_per_action": round((theirs_after - theirs) / actions * 1e3, 2),
        "journal_rows": rows["n"], "journal_commits": rows["commits"],
        "fsyncs_per_s": round(flushed / seconds),
    }  # fmt: skip


async def paced(world: PlaybookWorld, rate: float, seconds: float) -> Figures:
    """Alarms at a pace: from the transaction that commits one to its command's arrival."""
    since, runs = world.clock.now_ms(), int(rate * seconds)
    own, theirs = world.cpu_s()
    began = time.monotonic()
    for number in range(runs):
        await asyncio.sleep(max(began + number / rate - time.monotonic(), 0))
        await world.send(world.horn.frame(FIRST, [number % world.furnaces]))
    took = time.monotonic() - began
    await world.ended(FIRST, since, runs)
    own_after, theirs_after = world.cpu_s()
    rows = await world.pool.fetch(
        "SELECT r.id, e.received_at FROM run r JOIN event e ON e.occurrence = r.occurrence "
        "AND e.received_at >= $2 WHERE r.playbook = $1 AND r.started_at >= $2",
        FIRST, since,
    )  # fmt: skip
    arrived = world.arrivals()
    late = [arrived[row["id"]] - row["received_at"] for row in rows]
    return {
        "alarms": runs, "alarms_per_s": round(runs / took, 1), "answered": len(late),
        **percentiles(late), "engine_cores": round((own_after - own) / took, 2),
        "postgres_cores": round((theirs_after - theirs) / took, 2),
    }  # fmt: skip


async def create(world: PlaybookWorld, runs: Sequence[tuple[str, int, dict[str, Any]]]) -> int:
    """Runs of documents that no alarm starts: (document, furnace, inputs), in one transaction."""
    now, store = world.clock.now_ms(), PgTriggerStore(world.pool)
    async with store.transaction() as tx:
        for place, (name, number, inputs) in enumerate(runs):
            loaded = books()[name]
            about = {"id": alarm(name, number), "asset": asset(number), "value": 1291.5}
            context = {
                "alarm": about, "inputs": inputs, "site": {"id": "f1"}, "started_by": "bench",
                "calls": {},
            }  # fmt: skip
            new = NewRun(
                uuid7(world.clock), loaded.digest, name, 1, f"{number}/{place}", about["id"], None,
                context, now, now + loaded.playbook.deadline,
            )  # fmt: skip
            await store.create(tx, new, "running")
    return now


async def timers(world: PlaybookWorld, count: int, lead_s: float) -> Figures:
    """So many pauses that end within one second: from when they should to their commit."""
    stamps = world.folder / "stamps"
    told = stamps.stat().st_size
    due_s = [lead_s + place / count for place in range(count)]
    since = await create(
        world, [(CLOCKED, n % world.furnaces, {"pause_s": at}) for n, at in enumerate(due_s)]
    )
    await world.ended(CLOCKED, since, count, lead_s + 120)
    rows = await world.pool.fetch(
        "SELECT j.run, (j.data->>'until')::bigint AS due, j.at FROM journal j "
        "JOIN run r ON r.id = j.run WHERE r.playbook = $1 AND r.started_at >= $2 "
        "AND j.path = '/steps/pause' AND j.phase = 'intent'",
        CLOCKED, since,
    )  # fmt: skip
    due = {row["run"]: row["due"] for row in rows}

    async def all_told() -> bool:
        return len(stamps.read_bytes()[told:].splitlines()) >= count

    await until("the last pause's commit", all_told, 10)
    lines = [line.split() for line in stamps.read_text()[told:].splitlines()]
    late = [int(at) - due[run] for run, at in lines if run in due]
    spread = max(due.values()) - min(due.values())
    return {
        "timers": len(late), "due_within_ms": spread, **percentiles(late),
        "pinned_before_due": all(row["at"] < row["due"] for row in rows),
    }  # fmt: skip
