"""Runs and their journal in PostgreSQL: leases by SKIP LOCKED, every write under its fence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from factory_brain.adapters.postgres.run_answers import LIVE, RunAnswers
from factory_brain.adapters.postgres.run_deliveries import RunDeliveries
from factory_brain.adapters.postgres.run_fences import RunFences
from factory_brain.adapters.postgres.run_writes import Incidents, Order, RunWrites
from factory_brain.application.playbooks.ports import (
    Known,
    NewRun,
    Rest,
    RunRecord,
)
from shared.clock import Clock
from shared.playbook.fragment import HEARD
from shared.playbook.journal import Effect, Record, noted
from shared.postgres.audit import audit
from shared.redaction import clean

OUTAGE_MS = 10_000
"""A run that is taken up so much later than it was due had nobody to run it."""
_NAMES = tuple(RunRecord.__dataclass_fields__)
_FRAGMENTS = (
    "SELECT r.id AS run, e.body->>'path' AS path, e.body->>'phase' AS phase, 1 AS attempt, "
    "coalesce((e.body->'data')::jsonb, '{}'::jsonb) "
    "|| jsonb_build_object($2::text, e.received_at) AS data, e.time AS at, 0 AS n "
    "FROM event e JOIN run r ON r.occurrence = e.occurrence "
    "WHERE r.id = ANY($1::text[]) AND e.type = 'fragment.step' "
    "AND e.body->>'playbook' = r.playbook ORDER BY e.time, e.id"
)


_LEASED = (
    "SELECT r.id FROM run r JOIN unnest($2::text[], $3::bigint[]) AS w(id, fence) "
    "ON r.id = w.id AND r.fence = w.fence WHERE r.owner = $1 ORDER BY r.id FOR UPDATE OF r"
)


def _run(row: asyncpg.Record) -> RunRecord:
    return RunRecord(**{name: row[name] for name in _NAMES})


class PgRunStore(RunAnswers, RunDeliveries):
    """Implements the engine's `RunStore`."""

    def __init__(
        self, pool: asyncpg.Pool, clock: Clock, incidents: Incidents | None = None
    ) -> None:
        self._pool, self._clock = pool, clock
        self.writes, self._fences = RunWrites(pool, incidents), RunFences(pool)

    async def save_version(
        self, digest: str, playbook: str, version: int, doc: Any, at: int
    ) -> None:
        """Keep a released document."""
        await self._pool.execute(
            "INSERT INTO playbook_version (digest, playbook, version, semantics, document, at) "
            "VALUES ($1, $2, $3, 1, $4, $5) ON CONFLICT DO NOTHING",
            digest, playbook, version, doc, at,
        )  # fmt: skip

    async def document(self, digest: str) -> Any:
        """A released document."""
        return await self._pool.fetchval(
            "SELECT document FROM playbook_version WHERE digest = $1", digest
        )

    async def create(self, run: NewRun) -> bool:
        """Start a run once; False if there is one of this id, occurrence, or key and slot."""
        async with self._pool.acquire() as connection, connection.transaction():
            tag = await connection.execute(
                "INSERT INTO run (id, digest, playbook, version, key, alarm, occurrence, "
                "context, status, started_at, deadline_at, wake_at, lease_until, fence, "
                "priority, slot) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,'running',$9,$10,$11,0,0,$12,$13)"
                " ON CONFLICT DO NOTHING",
                run.id, run.digest, run.playbook, run.version, run.key, run.alarm,
                run.occurrence, clean(dict(run.context)), run.at, run.deadline_at,
                run.at if run.wake_at is None else run.wake_at, run.priority, run.slot,
            )  # fmt: skip
            made = tag.endswith("1")
            if run.occurrence is None and made:  # by hand
                who = str(run.context.get("started_by", ""))
                told = {"playbook": run.playbook, "version": run.version, "alarm": run.alarm}
                await audit(connection, run.at, who, "start_playbook", run.id, told)
        return made

    async def live_run(self, playbook: str, key: str) -> str | None:
        """The live run of a key."""
        return await self._pool.fetchval(
            f"SELECT id FROM run WHERE playbook = $1 AND key = $2 AND {LIVE}", playbook, key
        )

    # leases

    async def claim(self, owner: str, now: int, lease_ms: int, limit: int) -> list[RunRecord]:
        """Take due runs whose lease is free, the most urgent first, each with a higher fence."""
        rows = await self._pool.fetch(
            "WITH due AS (SELECT id AS due_id, owner AS was_owner, wake_at AS was_due, "
            f"lease_until AS was_until FROM run WHERE {LIVE} AND wake_at <= $2 "
            "AND lease_until < $2 ORDER BY priority, wake_at LIMIT $4 FOR UPDATE SKIP LOCKED) "
            "UPDATE run SET owner = $1, lease_until = $3, fence = fence + 1, control = CASE "
            "WHEN was_owner IS NULL AND $2 - greatest(was_due, was_until) < $5 THEN control "
            # In the same commit: an engine that dies right away must not hide the outage.
            "ELSE control || jsonb_build_object('outages', coalesce(control->'outages', '[]') || "
            "jsonb_build_object('n', fence + 1, 'since', greatest(was_due, was_until), 'ms', "
            "$2 - greatest(was_due, was_until), 'broken', was_owner IS NOT NULL)) END "
            "FROM due WHERE run.id = due_id RETURNING run.*, was_due",
            owner, now, now + lease_ms, limit, OUTAGE_MS,
        )  # fmt: skip
        rows.sort(key=lambda row: (row["priority"], row["was_due"]))
        return [_run(row) for row in rows]

    async def renew(self, owner: str, held: Mapping[str, int], until: int) -> None:
        """Prolong an owner's leases of these runs (run -> fence), and of no others."""
        await self._pool.execute(
            f"UPDATE run SET lease_until = $4 WHERE id IN ({_LEASED}) AND owner = $1",
            owner, list(held), list(held.values()), until,
        )  # fmt: skip

    async def give_back(self, owner: str, held: Mapping[str, int], wake_at: int) -> None:
        """Free an owner's leases of these runs (run -> fence) that could not be driven."""
        await self._pool.execute(
            "UPDATE run SET owner = NULL, lease_until = 0, wake_at = $4 "
            f"WHERE id IN ({_LEASED}) AND owner = $1 AND {LIVE}",
            owner, list(held), list(held.values()), wake_at,
        )  # fmt: skip

    async def free(self, owners: Sequence[str], now: int) -> int:
        """End the leases of owners that are no more; how many there were."""
        # The owner stays named: who claims one of these runs knows that it was broken off.
        tag = await self._pool.execute(
            "UPDATE run SET lease_until = $2 WHERE owner = ANY($1::text[]) AND lease_until > $2",
            list(owners), now,
        )  # fmt: skip
        return int(tag.rpartition(" ")[2])

    async def held(self, owner: str) -> dict[str, tuple[int, int]]:
        """run -> (fence, news) of what an owner holds."""
        rows = await self._pool.fetch("SELECT id, fence, news FROM run WHERE owner = $1", owner)
        return {row["id"]: (row["fence"], row["news"]) for row in rows}

    async def next_due(self) -> int | None:
        """When the next run is due and free."""
        return await self._pool.fetchval(
            f"SELECT least((SELECT wake_at FROM run WHERE {LIVE} AND lease_until = 0 "
            "AND wake_at IS NOT NULL ORDER BY wake_at LIMIT 1), "
            "(SELECT min(lease_until) FROM run WHERE owner IS NOT NULL))"
        )

    # the journal

    async def known(self, runs: Sequence[str], alone: Sequence[str] = ()) -> dict[str, Known]:
        """What is stored about these runs; `alone`: those of which an edge may tell too."""
        names = list(runs)
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await connection.fetch(
                "SELECT id, control, news FROM run WHERE id = ANY($1::text[])", names
            )
            told = await connection.fetch(_FRAGMENTS, list(alone), HEARD) if alone else []
            entries = await connection.fetch(
                "SELECT run, path, phase, attempt, data, at, n FROM journal "
                "WHERE run = ANY($1::text[]) ORDER BY n",
                names,
            )
            signals = await connection.fetch(
                "SELECT run, path, data FROM signal WHERE run = ANY($1::text[])", names
            )
        found = {r["id"]: Known({}, 0, {}, r["control"], r["news"]) for r in rows}
        newest = {name: 0 for name in found}
        for row in (*told, *entries):
            if row["run"] in found:
                noted(found[row["run"]].journal, row["path"], _record(row))
                newest[row["run"]] = max(newest[row["run"]], row["n"])
        for row in signals:
            found[row["run"]].answers[row["path"]] = row["data"]
        return {
            name: Known(k.journal, newest[name], k.answers, k.control, k.news)
            for name, k in found.items()
        }

    async def entries(self, run: str) -> list[tuple[str, Record, int]]:
        """Every journal row (path, record, order), oldest first; what an edge did alone first."""
        rows = await self._pool.fetch(_FRAGMENTS, [run], HEARD)
        rows += await self._pool.fetch(
            "SELECT path, phase, attempt, data, at, n FROM journal WHERE run = $1 ORDER BY n", run
        )
        return [(row["path"], _record(row), row["n"]) for row in rows]

    async def journal(self, run: str) -> dict[str, Record]:
        """Newest record of every path."""
        return {path: record for path, record, _ in await self.entries(run)}

    async def write(
        self, run: RunRecord, effects: Sequence[Effect], now: int, n: int = 0,
        news: int | None = None, rest: Rest | None = None,
        asks: Sequence[Mapping[str, Any]] | None = None,
    ) -> int | None:  # fmt: skip
        """Journal effects in one commit; see `RunStore`."""
        return await self.writes.write(Order(run, effects, now, n, news, rest, asks))

    async def release(self, run: RunRecord, rest: Rest) -> None:
        """Give the run back."""
        await self.writes.write(Order(run, (), 0, 0, None, rest))

    async def late_words(self, now: int) -> None:
        """Tell incidents that are there by now what was said of them before."""
        if self.writes.incidents is not None:
            async with self._pool.acquire() as connection, connection.transaction():
                await self.writes.incidents.late(connection, now)

    # looking

    async def watched(self) -> dict[str, list[str]]:
        """run -> tags that it waits for."""
        rows = await self._pool.fetch(
            f"SELECT id, watch FROM run WHERE watch <> '[]'::jsonb AND {LIVE}"
        )
        return {row["id"]: row["watch"] for row in rows}

    async def get(self, run: str) -> RunRecord | None:
        """One run."""
        row = await self._pool.fetchrow("SELECT * FROM run WHERE id = $1", run)
        return _run(row) if row else None

    async def newest(self, limit: int, before: tuple[int, str] | None = None) -> list[RunRecord]:
        """Newest runs first, of those before this start and id."""
        at, name = before or (2**63 - 1, "")
        rows = await self._pool.fetch(
            "SELECT * FROM run WHERE (started_at, id) < ($2, $3) "
            "ORDER BY started_at DESC, id DESC LIMIT $1",
            limit, at, name,
        )  # fmt: skip
        return [_run(row) for row in rows]

    async def fence(self, device: str, epoch: str, least: int = 0) -> int:
        """The next fence of a device in an edge epoch, and above `least`."""
        return await self._fences.next(device, epoch, least)


def _record(row: asyncpg.Record) -> Record:
    return Record(row["phase"], row["at"], row["data"], row["attempt"], n=row["n"])
