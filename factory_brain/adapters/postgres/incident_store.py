"""Incidents in PostgreSQL: written by whoever has the lock, one brain at a time.

Every row that changes gets the next number of one sequence under that lock, so that other brains
find what is new in the order of commits. What it means is decided in `domain/incidents`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg

from factory_brain.adapters.postgres.incident_rows import (
    INCIDENT_FIELDS,
    INCIDENTS,
    MEMBERS,
    incident,
    member,
)
from factory_brain.application.incidents.ports import (
    Candidate,
    Entry,
    Incident,
    Member,
    Shown,
    Told,
)
from factory_brain.domain.incidents.grouping import Place
from shared.clock import Clock
from shared.ids import uuid7
from shared.postgres.pool import Connection

LOCK = 0x1AC1DE7
"""The advisory lock of all that changes incidents."""
_NEXT = "nextval('incident_change')"
_PUT = (
    f"INSERT INTO incident ({', '.join(INCIDENT_FIELDS)}, changed) VALUES "
    f"({', '.join(f'${i + 1}' for i in range(len(INCIDENT_FIELDS)))}, {_NEXT}) "
    "ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*INCIDENT_FIELDS[1:], "changed"))
)
_KEEP = (
    "INSERT INTO incident_member AS m (occurrence, alarm, asset, edge, at, uncertainty, "
    "clock_offset, clock_version, grp, group_at, group_first, incident, first_out, "
    "hidden_behind, hidden_rule, marks, labelled, to_label, changed) "
    "SELECT o, a, s, e, at, u, off, v, '', 0, '', '', '', '', '', '[]'::jsonb, '', false, 0 "
    "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::int[], "
    "$7::int[], $8::int[]) AS n(o, a, s, e, at, u, off, v) ON CONFLICT (occurrence) DO UPDATE "
    "SET at = excluded.at, uncertainty = excluded.uncertainty, asset = excluded.asset, "
    "clock_offset = excluded.clock_offset, clock_version = excluded.clock_version"
)


FORGOTTEN_AT_ONCE = 100
"""Incidents; one of a flood has thousands of members."""
_OVER = (
    "SELECT id FROM incident i WHERE status = 'closed' AND closed_at < $1 AND last_at < $1 "
    "AND standing = 0 AND NOT EXISTS (SELECT 1 FROM incident_member m JOIN occurrence o "
    "ON o.occurrence = m.occurrence WHERE m.incident = i.id AND (o.open OR m.to_label)) "
    "ORDER BY closed_at LIMIT $2"
)
_MINE = "(SELECT occurrence FROM incident_member WHERE incident = ANY($1))"
_FORGET = (
    f"DELETE FROM incident_join WHERE one IN {_MINE} OR other IN {_MINE}",
    "DELETE FROM incident_member WHERE incident = ANY($1)",
    "DELETE FROM incident_entry WHERE incident = ANY($1)",
    "DELETE FROM told_upward WHERE kind = 'incident' AND name = ANY($1)",
    "DELETE FROM incident WHERE id = ANY($1)",
)


class PgIncidentStore:
    """Implements `Incidents`."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock
        self._put: dict[int, set[str]] = {}
        self.on_put: Callable[[Connection, set[str]], Awaitable[None]] | None = None
        """Told what a transaction has written, last in that transaction."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction that commits at the end of the block."""
        async with self._pool.acquire() as connection, connection.transaction():
            self._put[id(connection)] = set()
            try:
                yield connection
            finally:
                written = self._put.pop(id(connection))
            if written and self.on_put is not None:
                await self.on_put(connection, written)

    async def try_lock(self, tx: Connection, /) -> bool:
        """Whether this transaction is now the only one that changes incidents."""
        return bool(await tx.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK))

    async def lock(self, tx: Connection, /) -> None:
        """Wait until it is."""
        await tx.execute("SELECT pg_advisory_xact_lock($1)", LOCK)

    async def strangers(self, tx: Connection, /) -> list[str]:
        """Open occurrences that are in no incident."""
        rows = await tx.fetch(
            "SELECT o.occurrence FROM occurrence o WHERE o.open AND NOT EXISTS "
            "(SELECT 1 FROM incident_member m WHERE m.occurrence = o.occurrence)"
        )
        return [row["occurrence"] for row in rows]

    async def candidates(self, tx: Connection, /, names: Sequence[str]) -> list[Candidate]:
        """What is known of these occurrences."""
        rows = await tx.fetch(
            "SELECT o.occurrence, o.alarm, o.transition->>'asset' AS asset, o.edge, o.raised_at, "
            "m.at, m.clock_version, m.clock_offset, m.uncertainty, "
            "coalesce(m.incident, '') AS incident FROM unnest($1::text[]) AS n(name) "
            "JOIN occurrence o ON o.occurrence = n.name "
            "LEFT JOIN incident_member m ON m.occurrence = n.name",
            names,
        )
        return [
            Candidate(
                row["occurrence"], row["alarm"], row["asset"], row["edge"], row["raised_at"],
                row["at"],
                None if row["clock_version"] is None
                else Told(row["clock_version"], row["clock_offset"], row["uncertainty"]),
                row["incident"],
            )
            for row in rows
        ]  # fmt: skip

    async def keep(self, tx: Connection, /, found: Sequence[Candidate]) -> None:
        """Store when they were raised."""
        told = [each.told for each in found]
        await tx.execute(
            _KEEP,
            [each.occurrence for each in found], [each.alarm for each in found],
            [each.asset for each in found], [each.edge for each in found],
            [each.now_at for each in found], [t.uncertainty if t else None for t in told],
            [t.offset if t else 0 for t in told], [t.version if t else None for t in told],
        )  # fmt: skip

    async def _members(self, tx: Connection, where: str, *args: object) -> list[Member]:
        return [member(row) for row in await tx.fetch(MEMBERS + where, *args)]

    async def since(self, tx: Connection, /, at: int, until: int | None) -> list[Member]:
        """All that were raised at or after `at`, and not after `until`."""
        end = 1 << 62 if until is None else until
        return await self._members(tx, "WHERE m.at >= $1 AND m.at <= $2", at, end)

    async def of(self, tx: Connection, /, incidents: Iterable[str]) -> list[Member]:
        """All members of these incidents."""
        return await self._members(tx, "WHERE m.incident = ANY($1::text[])", list(incidents))

    async def of_groups(self, tx: Connection, /, groups: Iterable[str]) -> list[Member]:
        """All members of these groups."""
        return await self._members(tx, "WHERE m.grp = ANY($1::text[])", list(groups))

    async def those(self, tx: Connection, /, names: Iterable[str]) -> list[Member]:
        """These occurrences."""
        return await self._members(tx, "WHERE m.occurrence = ANY($1::text[])", list(names))

    async def standing(self, tx: Connection, /, alarms: Iterable[str]) -> list[Member]:
        """The open occurrences of these alarms, and whatever is shown behind another."""
        named = await self._members(tx, "WHERE o.open AND o.alarm = ANY($1::text[])", list(alarms))
        behind = await self._members(tx, "WHERE m.hidden_behind <> ''")
        return list({each.seen.occurrence: each for each in (*named, *behind)}.values())

    async def ageing(self, tx: Connection, /, before: int) -> list[Member]:
        """What is marked and open, and what stands since before `before`."""
        return await self._members(
            tx, "WHERE o.open AND (o.raised_at < $1 OR m.marks <> '[]'::jsonb)", before
        )

    async def raises(
        self, tx: Connection, /, alarms: Iterable[str], since: int
    ) -> dict[str, list[int]]:
        """alarm -> when it was raised, sorted."""
        found: dict[str, list[int]] = {}
        rows = await tx.fetch(
            "SELECT alarm, at FROM incident_member WHERE alarm = ANY($1::text[]) AND at >= $2 "
            "ORDER BY at",
            list(alarms), since,
        )  # fmt: skip
        for row in rows:
            found.setdefault(row["alarm"], []).append(row["at"])
        return found

    async def annunciated(self, tx: Connection, /, since: int, until: int) -> list[int]:
        """When alarms were annunciated in that time, sorted."""
        rows = await tx.fetch(
            "SELECT m.at FROM incident_member m JOIN occurrence o ON o.occurrence = m.occurrence "
            "WHERE m.at >= $1 AND m.at <= $2 "
            "AND (o.transition->>'annunciated_version')::int > 0 ORDER BY m.at",
            since, until,
        )  # fmt: skip
        return [row["at"] for row in rows]

    async def closings(self, tx: Connection, /, names: Iterable[str]) -> dict[str, int]:
        """occurrence -> when people closed the incident of which it is the first."""
        rows = await tx.fetch(
            "SELECT occurrence, closed_at FROM incident_member "
            "WHERE occurrence = ANY($1::text[]) AND closed_at IS NOT NULL",
            list(names),
        )
        return {row["occurrence"]: row["closed_at"] for row in rows}

    async def joins(self, tx: Connection, /) -> list[tuple[str, str]]:
        """Pairs of occurrences whose incidents people made one."""
        rows = await tx.fetch("SELECT one, other FROM incident_join ORDER BY one, other")
        return [(row["one"], row["other"]) for row in rows]

    async def join(self, tx: Connection, /, one: str, other: str, actor: str, at: int) -> None:
        """Note such a pair."""
        await tx.execute(
            "INSERT INTO incident_join (one, other, actor, at) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT DO NOTHING",
            one, other, actor, at,
        )  # fmt: skip

    async def place(self, tx: Connection, /, places: Mapping[str, tuple[Place, str]]) -> None:
        """occurrence -> its group and its incident."""
        found = [(name, *where) for name, where in sorted(places.items())]
        await tx.execute(
            "UPDATE incident_member m SET grp = n.g, group_at = n.ga, group_first = n.gf, "
            f"incident = n.i, changed = {_NEXT} FROM unnest($1::text[], $2::text[], "
            "$3::bigint[], $4::text[], $5::text[]) AS n(o, g, ga, gf, i) WHERE m.occurrence = n.o",
            [name for name, _, _ in found], [p.group for _, p, _ in found],
            [p.at for _, p, _ in found], [p.first for _, p, _ in found],
            [name for _, _, name in found],
        )  # fmt: skip

    async def show(self, tx: Connection, /, shown: Mapping[str, Shown]) -> None:
        """occurrence -> what its row shows."""
        await tx.executemany(
            "UPDATE incident_member SET first_out = $2, hidden_behind = $3, hidden_rule = $4, "
            f"marks = $5, changed = {_NEXT} WHERE occurrence = $1",
            [
                (name, one.first_out, one.hidden_behind, one.hidden_rule, list(one.marks))
                for name, one in sorted(shown.items())
            ],
        )

    async def get(self, tx: Connection, /, names: Iterable[str]) -> dict[str, Incident]:
        """These incidents, as far as they exist."""
        rows = await tx.fetch(INCIDENTS + "WHERE id = ANY($1::text[])", list(names))
        return {row["id"]: incident(row) for row in rows}

    async def put(self, tx: Connection, /, incident: Incident) -> None:
        """Write one incident."""
        values = [getattr(incident, name) for name in INCIDENT_FIELDS]
        values[INCIDENT_FIELDS.index("first_out")] = list(incident.first_out)
        await tx.execute(_PUT, *values)
        if (written := self._put.get(id(tx))) is not None:
            written.add(incident.id)

    async def move_entries(self, tx: Connection, /, one: str, other: str) -> None:
        """What was said of one incident is now said of the other."""
        await tx.execute("UPDATE incident_entry SET incident = $2 WHERE incident = $1", one, other)
        await tx.execute("UPDATE incident SET merged_into = $2 WHERE merged_into = $1", one, other)

    async def note(self, tx: Connection, /, entries: Sequence[Entry]) -> None:
        """Append to time lines."""
        await tx.executemany(
            "INSERT INTO incident_entry (id, incident, at, lane, kind, params, actor) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [
                (uuid7(self._clock), e.incident, e.at, e.lane, e.kind, e.params, e.actor)
                for e in entries
            ],
        )

    async def forget(self, before: int, *, most: int = FORGOTTEN_AT_ONCE) -> int:
        """Delete the incidents that people closed before that, with all that was said of them.

        A few at a time, so that whoever makes incidents waits for none of it; returns how many.
        """
        count = 0
        while True:
            async with self.transaction() as tx:
                await self.lock(tx)
                names = [row["id"] for row in await tx.fetch(_OVER, before, most)]
                merged = await tx.fetch(
                    "SELECT id FROM incident WHERE merged_into = ANY($1)", names
                )
                every = [*names, *(row["id"] for row in merged)]
                for statement in _FORGET:
                    await tx.execute(statement, every)
            count += len(every)
            if len(names) < most:
                return count

    async def set_closed(
        self, tx: Connection, /, incident: str, at: int | None, label: bool
    ) -> None:
        """Note on its groups that people closed it; what nobody else has labelled is to be."""
        await tx.execute(
            "UPDATE incident_member SET closed_at = $2 WHERE incident = $1 "
            "AND (occurrence = group_first OR closed_at IS NOT NULL)",
            incident, at,
        )  # fmt: skip
        await tx.execute(
            "UPDATE incident_member m SET to_label = $2 AND (o.label IS NULL OR "
            "o.label = m.labelled) FROM occurrence o WHERE o.occurrence = m.occurrence "
            "AND m.incident = $1",
            incident, label,
        )  # fmt: skip
