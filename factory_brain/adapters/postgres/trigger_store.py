"""The rows of triggers in PostgreSQL, and the runs that they start: one decision at a time.

Every transaction here holds one advisory lock, so that two brains never weigh the same firing; what
it decides is `domain/triggers`' matter. Runs' journals are `run_store.py`'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from factory_brain.adapters.postgres import trigger_reads as reads
from factory_brain.adapters.postgres.trigger_reads import LIVE
from factory_brain.application.playbooks.ports import NewRun
from factory_brain.application.playbooks.trigger_ports import (
    Emitted,
    Fired,
    Gathered,
    Group,
    Held,
    Moved,
    UnstorableError,
    Waiting,
)
from factory_brain.domain.triggers.throttle import Window
from shared.errors import StoreError
from shared.playbook.overlap import ENDING
from shared.postgres.audit import audit
from shared.postgres.pool import Connection

LOCK = 0x7A16635
"""The advisory lock of all that decides about triggers."""
STUCK = "5s"
"""A brain that is stopped in the middle of deciding holds up the others for so long."""
UNSTORABLE = (
    asyncpg.DataError, asyncpg.ProgramLimitExceededError, asyncpg.IntegrityConstraintViolationError
)  # fmt: skip
"""What is wrong with a value whenever it is tried."""


def _asks(run: NewRun) -> dict[str, Any]:
    """A run about something old is one that finds itself behind an outage: it asks first."""
    age = run.context.get("stale_ms")
    if age is None:
        return {}
    return {"outages": [{"n": 0, "since": run.at - age, "ms": age, "broken": False, "stale": True}]}


class PgTriggerStore:
    """Implements `TriggerStore`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """The only transaction that decides about triggers now, in any brain."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    f"SET LOCAL idle_in_transaction_session_timeout = '{STUCK}'"
                )
                await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
                yield connection
        except (asyncpg.DeadlockDetectedError, asyncpg.IdleInTransactionSessionTimeoutError) as why:
            raise StoreError(f"triggers: this round is undone and done again: {why}") from why

    @asynccontextmanager
    async def apart(self, tx: Connection) -> AsyncIterator[None]:
        """A part of `tx` that falls alone."""
        try:
            async with tx.transaction():
                yield
        except UNSTORABLE as why:
            raise UnstorableError(str(why)) from why

    async def restless(self, now: int) -> bool:
        """Whether something is due, changed or may start."""
        return bool(await self._pool.fetchval(reads.RESTLESS, now))

    async def next_due(self) -> int | None:
        """When the next held or gathered firing is due."""
        return await self._pool.fetchval(
            "SELECT least((SELECT min(due) FROM trigger_held), "
            "(SELECT min(due) FROM trigger_window WHERE due IS NOT NULL))"
        )

    async def known(self, tx: Connection, ids: Sequence[str]) -> set[str]:
        """Those of these firings that were decided or are held."""
        rows = await tx.fetch(
            "SELECT id FROM trigger_fired WHERE id = ANY($1) UNION ALL "
            "SELECT id FROM trigger_held WHERE id = ANY($1)",
            list(ids),
        )
        return {row["id"] for row in rows}

    async def group(self, tx: Connection, playbook: str, key: str) -> Group:
        """The runs of a key; none of them ends before this transaction does."""
        rows = await tx.fetch(
            "SELECT r.id, r.status, r.slot, r.control ? 'cancel' AS told "
            "FROM run r WHERE r.playbook = $1 AND r.key = $2 "
            "AND r.ended_at IS NULL ORDER BY r.started_at, r.id FOR SHARE",
            playbook, key,
        )  # fmt: skip
        group = Group()
        for row in rows:
            queued = row["status"] == "queued"
            (group.queued if queued else group.live).append(row["id"])
            if not queued:
                group.slots.add(row["slot"])
            if row["told"]:
                group.ending.add(row["id"])
        if group.live:  # asked once the runs are locked: what was committed meanwhile counts
            pinned = await tx.fetch(
                "SELECT DISTINCT run FROM journal WHERE run = ANY($1) AND path = ANY($2)",
                group.live, list(ENDING),
            )  # fmt: skip
            group.ending.update(row["run"] for row in pinned)
        return group

    async def create(self, tx: Connection, run: NewRun, status: str) -> bool:
        """Write a run; False if there is one of this id."""
        tag = await tx.execute(
            "INSERT INTO run (id, digest, playbook, version, key, alarm, occurrence, context, "
            "status, started_at, deadline_at, wake_at, lease_until, fence, priority, slot, "
            "control) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,0,0,$13,$14,$15) "
            "ON CONFLICT DO NOTHING",
            run.id, run.digest, run.playbook, run.version, run.key, run.alarm, run.occurrence,
            run.context, status, run.at, run.deadline_at,
            run.at if run.wake_at is None else run.wake_at, run.priority, run.slot, _asks(run),
        )  # fmt: skip
        return tag.endswith("1")

    async def cancel(self, tx: Connection, runs: Sequence[str], by: str, at: int) -> None:
        """Tell live runs to end."""
        word = {"cancel": {"by": by, "at": at, "reason": "restarted"}}
        await tx.execute(
            "UPDATE run SET control = $2::jsonb || control, news = news + 1, "
            f"wake_at = least(wake_at, $3) WHERE id = ANY($1) AND {LIVE}",
            list(runs), word, at,
        )  # fmt: skip

    async def drop(self, tx: Connection, runs: Sequence[str], at: int) -> None:
        """End queued runs that will not begin."""
        await tx.execute(
            "UPDATE run SET status = 'cancelled', ended_at = $2 WHERE id = ANY($1) "
            "AND status = 'queued'",
            list(runs), at,
        )  # fmt: skip
        await tx.execute(
            "UPDATE trigger_fired SET outcome = 'superseded' WHERE id = ANY($1)", list(runs)
        )

    async def waiting(self, tx: Connection) -> list[Waiting]:
        """The first queued run of each key."""
        rows = await tx.fetch(reads.WAITING)
        return [reads.waiting(row) for row in rows]

    async def begin(self, tx: Connection, run: str, slot: int, at: int) -> None:
        """A queued run is due now; its deadline counts from here."""
        await tx.execute(
            "UPDATE run SET status = 'running', slot = $2, wake_at = $3, started_at = $3, "
            "deadline_at = $3 + deadline_at - started_at WHERE id = $1 AND status = 'queued'",
            run, slot, at,
        )  # fmt: skip

    async def record(self, tx: Connection, fired: Sequence[Fired], at: int) -> None:
        """Keep what firings came to."""
        await tx.executemany(
            "INSERT INTO trigger_fired (id, playbook, trigger, key, at, decided_at, alarm, "
            "occurrence, outcome, run, why) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11) "
            "ON CONFLICT (id) DO UPDATE SET outcome = excluded.outcome, run = excluded.run, "
            "why = excluded.why",
            [
                (f.id, f.playbook, f.trigger, f.key, f.at, at, f.alarm, f.occurrence, f.outcome,
                 f.run, f.why)
                for f in fired
            ],
        )  # fmt: skip

    async def set_runs(self, tx: Connection, runs: Mapping[str, str]) -> None:
        """occurrence -> run, for those that have none."""
        await tx.execute(  # in the order in which the ingest locks them
            "SELECT 1 FROM occurrence WHERE occurrence = ANY($1) AND run IS NULL "
            "ORDER BY occurrence FOR UPDATE",
            list(runs),
        )
        await tx.execute(
            "UPDATE occurrence o SET run = n.run FROM unnest($1::text[], $2::text[]) "
            "AS n(name, run) WHERE o.occurrence = n.name AND o.run IS NULL",
            list(runs), list(runs.values()),
        )  # fmt: skip

    async def told_by_hand(self, tx: Connection, run: NewRun) -> None:
        """Audit a start by a person."""
        who = str(run.context.get("started_by", ""))
        told = {"playbook": run.playbook, "version": run.version, "alarm": run.alarm}
        await audit(tx, run.at, who, "start_playbook", run.id, told)

    async def hold(self, tx: Connection, held: Held) -> None:
        """Keep until it is due."""
        await tx.execute(
            "INSERT INTO trigger_held (id, playbook, trigger, occurrence, due, firing) "
            "VALUES ($1,$2,$3,$4,$5,$6) ON CONFLICT (id) DO NOTHING",
            held.id, held.playbook, held.trigger, held.occurrence, held.due, held.firing.as_data(),
        )  # fmt: skip

    async def held(self, tx: Connection, now: int, limit: int) -> list[Held]:
        """What is due."""
        rows = await tx.fetch(
            "SELECT id, playbook, trigger, occurrence, due, firing FROM trigger_held "
            "WHERE due <= $1 ORDER BY due, id LIMIT $2",
            now, limit,
        )  # fmt: skip
        return [reads.held(row) for row in rows]

    async def let_go(self, tx: Connection, ids: Sequence[str]) -> None:
        """These are decided."""
        await tx.execute("DELETE FROM trigger_held WHERE id = ANY($1)", list(ids))

    async def window(self, tx: Connection, playbook: str, trigger: str, by: str) -> Window | None:
        """What was gathered."""
        row = await tx.fetchrow(
            "SELECT since, until, count, due, firing FROM trigger_window "
            'WHERE playbook = $1 AND trigger = $2 AND "by" = $3',
            playbook, trigger, by,
        )  # fmt: skip
        return reads.window(row) if row else None

    async def put_window(self, tx: Connection, gathered: Gathered) -> None:
        """Keep what was gathered."""
        w = gathered.window
        await tx.execute(
            'INSERT INTO trigger_window (playbook, trigger, "by", since, until, count, due, '
            'firing) VALUES ($1,$2,$3,$4,$5,$6,$7,$8) ON CONFLICT (playbook, trigger, "by") '
            "DO UPDATE SET since = excluded.since, until = excluded.until, count = excluded.count, "
            "due = excluded.due, firing = excluded.firing",
            gathered.playbook, gathered.trigger, gathered.by, w.since, w.until, w.count, w.due,
            w.firing.as_data() if w.firing else None,
        )  # fmt: skip

    async def drop_window(self, tx: Connection, playbook: str, trigger: str, by: str) -> None:
        """Begin anew."""
        await tx.execute(
            'DELETE FROM trigger_window WHERE playbook = $1 AND trigger = $2 AND "by" = $3',
            playbook, trigger, by,
        )  # fmt: skip

    async def due_windows(self, tx: Connection, now: int, limit: int) -> list[Gathered]:
        """What fires by itself now."""
        rows = await tx.fetch(
            'SELECT playbook, trigger, "by", since, until, count, due, firing FROM trigger_window '
            "WHERE due <= $1 ORDER BY due LIMIT $2",
            now, limit,
        )  # fmt: skip
        return [
            Gathered(row["playbook"], row["trigger"], row["by"], reads.window(row)) for row in rows
        ]

    async def seen(self, tx: Connection, name: str) -> tuple[int, str] | None:
        """How far was looked, and for which words."""
        row = await tx.fetchrow("SELECT through, says FROM trigger_seen WHERE name = $1", name)
        return (row["through"], row["says"]) if row else None

    async def set_seen(self, tx: Connection, name: str, through: int, says: str = "") -> None:
        """It was looked so far."""
        await tx.execute(
            "INSERT INTO trigger_seen (name, through, says) VALUES ($1, $2, $3) "
            "ON CONFLICT (name) DO UPDATE SET through = $2, says = $3",
            name, through, says,
        )  # fmt: skip

    async def incidents(self, tx: Connection, limit: int) -> list[Moved]:
        """Incidents that changed since; they count as looked at when `tx` commits."""
        found = await reads.incidents(tx, limit)
        if found:
            await tx.executemany(
                "INSERT INTO trigger_incident (id, status, priority, at) VALUES ($1, $2, $3, $4) "
                "ON CONFLICT (id) DO UPDATE SET status = $2, priority = $3, at = $4",
                [(each.id, each.status, each.priority, each.at) for each in found],
            )
            await self.set_seen(tx, reads.INCIDENTS, found[-1].changed)
        return found

    async def emitted(self, tx: Connection, limit: int) -> list[Emitted]:
        """Events of playbooks that nobody has looked at; they count as looked at with `tx`."""
        found, place = await reads.emitted(tx, await self.seen(tx, reads.EMITTED), limit)
        if place is not None:
            await self.set_seen(tx, reads.EMITTED, *place)
        return found

    async def fired_of(self, occurrence: str, limit: int) -> list[tuple[Fired, int]]:
        """What an occurrence's firings came to, with when that was decided."""
        rows = await self._pool.fetch(
            reads.FIRED + "WHERE occurrence = $1 ORDER BY n LIMIT $2", occurrence, limit
        )
        return [(reads.fired(row), row["decided_at"]) for row in rows]

    async def joined(self, run: str, limit: int) -> tuple[int, list[Fired]]:
        """How many alarms joined a run, and the newest of them."""
        count = await self._pool.fetchval(
            "SELECT count(*) FROM trigger_fired WHERE run = $1 AND outcome = 'attached'", run
        )
        rows = await self._pool.fetch(
            reads.FIRED + "WHERE run = $1 AND outcome = 'attached' ORDER BY n DESC LIMIT $2",
            run, limit,
        )  # fmt: skip
        return count, [reads.fired(row) for row in rows]

    async def counts(self) -> dict[tuple[str, str], int]:
        """(playbook, outcome) -> how many."""
        rows = await self._pool.fetch(
            "SELECT playbook, outcome, count(*) AS n FROM trigger_fired GROUP BY 1, 2"
        )
        return {(row["playbook"], row["outcome"]): row["n"] for row in rows}

    async def wake(self, occurrences: Sequence[str], at: int) -> list[str]:
        """The runs that these occurrences started or joined look at their alarms again."""
        try:
            rows = await self._pool.fetch(reads.WAKE, list(occurrences), at)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as why:
            raise StoreError(f"runs cannot be woken: {why!r}") from why
        return [row["id"] for row in rows]

    async def joined_states(self, occurrence: str) -> Mapping[str, int | None] | None:
        """What all alarms are that joined this one's runs: since when; None if none has joined."""
        return await reads.joined_states(self._pool, occurrence)

    async def prune(self, before: int) -> None:
        """Forget what is older and of no further use."""
        await self._pool.execute(
            "DELETE FROM trigger_fired f WHERE f.decided_at < $1 AND NOT EXISTS "
            "(SELECT 1 FROM run r WHERE r.id = f.run AND r.ended_at IS NULL) AND NOT EXISTS "
            "(SELECT 1 FROM occurrence o WHERE o.occurrence = f.occurrence AND o.open)",
            before,
        )
        await self._pool.execute(
            "DELETE FROM trigger_window WHERE until < $1 AND due IS NULL", before
        )
        await self._pool.execute(
            "DELETE FROM trigger_incident t WHERE at < $1 AND NOT EXISTS "
            "(SELECT 1 FROM incident i WHERE i.id = t.id)",
            before,
        )
