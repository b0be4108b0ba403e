"""What units and the trace cost: a long stay no more than what is new, a question no operator."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import httpx
import pytest

from factory_brain.adapters.postgres import trace_reads
from factory_brain.adapters.postgres.trace_reads import PgTraceReads
from factory_brain.application.units.turns import QuestionTooLongError, Turns
from factory_brain.bootstrap import Brain
from factory_brain.domain.samples import Columns
from shared.clock import SystemClock
from shared.postgres.pool import connect_pool
from shared.site.fields import Names
from shared.site.process import StationSpec, UnitTags
from tests.support.brain_world import log_in

pytest_plugins = ("tests.support.brain_fixtures",)
DAY = 86_400_000
NAME = Names(zh="压机", en="Press")


async def test_a_question_has_connections_of_its_own_and_ends_in_time(
    brain: Brain, web: httpx.AsyncClient
) -> None:
    await log_in(web)
    slow = await connect_pool(brain.settings.database_url, size=1, statement_ms=100)
    cut = Turns((asyncpg.QueryCanceledError,))

    async def asked() -> None:
        async with cut.one():
            await slow.fetch("SELECT pg_sleep(20)")

    with pytest.raises(QuestionTooLongError):
        await asyncio.wait_for(asked(), 10)
    await slow.close()
    async with AsyncExitStack() as all_of_them:
        for _ in range(brain.pool.get_max_size()):  # whoever holds them, questions are answered
            await all_of_them.enter_async_context(brain.pool.acquire(timeout=10))
        reads = brain.unit_parts.reads
        assert await asyncio.wait_for(reads.of_unit("none", 1), 10) == []
        assert await asyncio.wait_for(brain.unit_parts.story.trace("alarm", "none"), 10) is None
        names = await brain.pools.vital.fetch(
            "SELECT DISTINCT application_name AS name FROM pg_stat_activity "
            "WHERE datname = current_database()"
        )
        assert "f1-questions" in {row["name"] for row in names}


async def test_what_was_told_about_an_occurrence_is_found_by_index(brain: Brain) -> None:
    body = {"at": 5, "id": "d", "outbound": "o", "type": "t", "status": "due"}
    async with brain.pool.acquire() as tx:
        for name, said in (("d1", b'{"data":{"occurrence":"occ-1"}}'), ("d2", b'{"x":"\\u0000"}'),
                           ("d3", b"no JSON")):  # fmt: skip
            await tx.execute(
                "INSERT INTO link_delivery (id, outbound, type, body, at, attempt, due, status) "
                "VALUES ($1, $2, $3, $4, $5, 0, 0, $6)",
                name, body["outbound"], body["type"], said, body["at"], body["status"],
            )  # fmt: skip
        found = await PgTraceReads(brain.pool, brain.clock).delivered(["occ-1"], 0, 10)
        assert [row["occurrence"] for row in found] == ["occ-1"]
        async with tx.transaction():
            await tx.execute("SET LOCAL enable_seqscan = off")
            for query, args, index in (
                (trace_reads._DELIVERED, "'{a}', 0, 10", "link_delivery_occurrence"),
                (trace_reads._NOTICED, "'{a}', 0", "device_notice_occurrence"),
                (trace_reads._RUNS, "'{a}'", "run_occurrence"),
            ):
                await tx.execute(f"PREPARE asked AS {query}")
                plan = await tx.fetch(f"EXPLAIN EXECUTE asked ({args})")
                await tx.execute("DEALLOCATE asked")
                assert index in "\n".join(row[0] for row in plan)


async def test_a_unit_that_stays_for_hours_costs_no_more_than_what_is_new(brain: Brain) -> None:
    brain.site.stations["PRESS"] = StationSpec(
        id="PRESS", asset="FUR-01", name=NAME, unit=UnitTags(tag="FT-101", inside="FAN-01.RUN")
    )
    start = (SystemClock().now_ms() // DAY - 2) * DAY + DAY // 4
    hours = 2 * 3_600_000

    def ten_hertz(since: int, until: int) -> list[tuple[str, int, float, int]]:
        return [("FT-101", start + at, 7.0, 0) for at in range(since, until, 100)]

    inside = [("FAN-01.RUN", start, 1.0, 0), ("FAN-01.RUN", start + hours, 1.0, 0)]
    await _stored(brain, [*inside[:1], *ten_hertz(0, 1000)])
    # An outage in the middle, of which the samples come late.
    await _stored(brain, [*ten_hertz(1000, hours // 2), *ten_hertz(hours // 2 + 10_000, hours)])
    await _stored(brain, inside[1:])
    batch = ten_hertz(hours, hours + 1000)
    assert await _stored(brain, batch) < 20 * len(batch)
    late = ten_hertz(hours // 2, hours // 2 + 10_000)
    assert await _stored(brain, late) < 20 * len(late)
    there = [("7", start, None)]
    assert await _passages(brain, "PRESS") == there
    gap = ("FT-101", start + hours // 2 + 55, 0.0, 0)
    assert await _stored(brain, [gap]) < 200
    there = [("7", start, start + hours // 2 + 55), ("7", start + hours // 2 + 100, None)]
    assert await _passages(brain, "PRESS") == there
    assert await _stored(brain, [("FT-101", start + hours + 1000, 8.0, 0)]) < 200
    there = [there[0], ("7", there[1][1], start + hours + 1000), ("8", start + hours + 1000, None)]
    assert await _passages(brain, "PRESS") == there


async def _stored(brain: Brain, rows: list[tuple[str, int, float, int]]) -> int:
    """Stores samples as the receiver does; how many rows of them were read for it."""
    columns = [Columns.of(rows)]
    async with brain.alarms.transaction() as tx:
        await brain.samples.insert(tx, columns)
        before: int = await tx.fetchval(_ROWS_READ) or 0
        for told in brain.ingest.on_samples:
            await told(tx, columns)
        return (await tx.fetchval(_ROWS_READ) or 0) - before


_ROWS_READ = (
    "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint "
    "FROM pg_stat_xact_user_tables WHERE relname LIKE 'sample_raw%'"
)


async def _passages(brain: Brain, station: str) -> list[tuple[Any, ...]]:
    found = await brain.pool.fetch(
        "SELECT unit, entered_at, left_at FROM unit_passage WHERE station = $1 "
        "ORDER BY entered_at", station,
    )  # fmt: skip
    return [tuple(row) for row in found]
