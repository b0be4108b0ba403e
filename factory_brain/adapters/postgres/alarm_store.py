"""Events, occurrences and facts in PostgreSQL; `apply_events` runs in the receiver's transaction.

Reads and writes rows only; what they mean is decided in `domain` and `shared/alarm`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec

from factory_brain.adapters.postgres import arrival_rows
from factory_brain.adapters.postgres.copy_rows import EVENT_COLUMNS, event_rows
from factory_brain.adapters.postgres.partitions import EVENTS, Partitions
from factory_brain.domain.arrivals import Arrived
from factory_brain.domain.rows import Occurrence, is_open
from shared.messages.bodies import AlarmTransition, Fact
from shared.outbox.receiving import Batch, Received

_COUNT = (
    "(SELECT count(*) FROM (SELECT 1 FROM occurrence p WHERE p.alarm = o.alarm "
    "AND p.raised_at > o.raised_at - 86400000 AND p.raised_at <= o.raised_at "
    f"LIMIT {arrival_rows.COUNTED}) few)"
)


CODES_OF_A_SOURCE = 100
CLOCKS_APART_MS = 3_600_000
"""An edge's clock may be ahead of this brain's by so much where the journal is read by time."""


_COLUMNS = (
    "o.occurrence, o.alarm, o.edge, o.transition::text AS transition, o.order_key, o.raised_at, "
    "o.returned_at, o.received_at, o.late, o.label, o.local_action, o.run, o.open"
)
_transition = msgspec.json.Decoder(AlarmTransition).decode
_facts = msgspec.json.Decoder(tuple[Fact, ...]).decode
"""From JSON straight to what it is: by way of dicts it is the dearest part of taking a frame."""


def _select(count: str) -> str:
    return (
        f"SELECT {_COLUMNS}, {count} AS nth, "
        "coalesce((SELECT jsonb_agg(jsonb_build_object('t', 'fact', 'id', f.id, 'alarm', f.alarm, "
        "'occurrence', f.occurrence, 'version_seen', f.version_seen, 'action', f.action, "
        "'actor', f.actor, 'place', f.place, 'hlc', f.hlc, 'args', f.args)) "
        "FROM fact f WHERE f.occurrence = o.occurrence AND f.result IS DISTINCT FROM 'refused'), "
        "'[]'::jsonb)::text AS facts, "
        "EXISTS (SELECT 1 FROM fact f WHERE f.occurrence = o.occurrence "
        "AND f.result IS NULL AND f.action = 'acknowledge') AS pending "
    )


_SELECT = _select(_COUNT) + "FROM occurrence o "
_SELECT_THESE = (
    _select("1") + "FROM unnest($1::text[]) AS n(name), LATERAL (SELECT * FROM occurrence "
    f"WHERE occurrence = n.name {arrival_rows.ONE_BY_ONE}) o"
)
"""Many at once: only the newest of an alarm is shown, and only it is counted (afterwards)."""


def _occurrence(row: asyncpg.Record) -> Occurrence:
    return Occurrence(
        occurrence=row["occurrence"],
        alarm=row["alarm"],
        edge=row["edge"],
        transition=_transition(row["transition"]),
        order_key=row["order_key"],
        raised_at=row["raised_at"],
        returned_at=row["returned_at"],
        received_at=row["received_at"],
        late=row["late"],
        facts=_facts(row["facts"]) if row["facts"] != "[]" else (),
        pending=row["pending"],
        label=row["label"],
        local_action=row["local_action"],
        run=row["run"],
        count=row["nth"],
    )


class AlarmStore:
    """Queries over occurrences; methods that write take the caller's connection."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.partitions = Partitions(pool)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """A transaction that commits at the end of the block."""
        async with self.pool.acquire() as connection, connection.transaction():
            yield connection  # type: ignore[misc]

    async def locked(self, connection: asyncpg.Connection, occurrence: str) -> Occurrence | None:
        """One occurrence, locked for this transaction."""
        await connection.execute(
            "SELECT 1 FROM occurrence WHERE occurrence = $1 FOR UPDATE", occurrence
        )
        row = await connection.fetchrow(_SELECT + "WHERE o.occurrence = $1", occurrence)
        return _occurrence(row) if row else None

    async def insert_events(
        self, connection: asyncpg.Connection, batch: Batch, items: list[Received], late_ms: int
    ) -> None:
        """Append events of a batch to the journal; `late_ms` is the age that makes one late."""
        lane = (batch.source, batch.epoch, batch.lane)
        await self.partitions.ensure(EVENTS, [batch.received_at])
        data = event_rows(*lane, batch.received_at, items, late_ms)
        try:
            async with connection.transaction():
                await _copy_into(connection, "event", data)
        except asyncpg.CheckViolationError:  # its partition was dropped since it was remembered
            self.partitions.forget()
            await self.partitions.ensure(EVENTS, [batch.received_at])
            await _copy_into(connection, "event", data)
        except asyncpg.UniqueViolationError:
            # The watermark lets nothing come twice; should it be wrong, the rows still do not.
            await connection.execute(
                "CREATE TEMP TABLE IF NOT EXISTS event_staged (LIKE event) ON COMMIT DELETE ROWS"
            )
            await _copy_into(connection, "event_staged", data)
            await connection.execute(
                "INSERT INTO event SELECT * FROM event_staged ON CONFLICT DO NOTHING"
            )
            await connection.execute("TRUNCATE event_staged")

    async def apply_transitions(
        self, connection: asyncpg.Connection, arrived: list[Arrived], also: Iterable[str] = ()
    ) -> None:
        """Fold transitions into their occurrences: the highest (version, time, id) wins.

        These and the occurrences of `also` stay locked to the end of the transaction, so that what
        another one adds to them is not overwritten by what this one saw earlier.
        """
        names = {each.body.occurrence for each in arrived} | set(also)
        if names:
            held = await arrival_rows.lock(connection, sorted(names))
            await arrival_rows.write(connection, arrived, held)

    async def refresh_open(
        self, connection: asyncpg.Connection, occurrence: str
    ) -> Occurrence | None:
        """Recompute whether an occurrence is still open; returns it."""
        await arrival_rows.lock(connection, [occurrence])
        return next(iter(await self.refresh(connection, [occurrence])), None)

    async def refresh(
        self, connection: asyncpg.Connection, occurrences: list[str]
    ) -> list[Occurrence]:
        """Recompute whether occurrences (locked by the caller) are still open; returns them."""
        rows = await connection.fetch(_SELECT_THESE, occurrences)
        found = {row["occurrence"]: _occurrence(row) for row in rows}
        opened = {name: is_open(each) for name, each in found.items()}
        changed = {r["occurrence"]: v for r in rows if (v := opened[r["occurrence"]]) != r["open"]}
        await arrival_rows.set_open(connection, changed)
        newest: dict[str, Occurrence] = {}
        for name, each in found.items():
            shown = newest.get(each.alarm)
            if opened[name] and (shown is None or each.raised_at >= shown.raised_at):
                newest[each.alarm] = each
        asked = {alarm: each.raised_at for alarm, each in newest.items()}
        for alarm, nth in (await arrival_rows.counts(connection, asked)).items():
            name = newest[alarm].occurrence
            found[name] = replace(found[name], count=nth)
        return [found[name] for name in occurrences if name in found]

    async def insert_fact(
        self,
        connection: asyncpg.Connection,
        fact: Fact,
        edge: str,
        at: int,
        result: str | None,
    ) -> bool:
        """Record a fact; False if it is known already."""
        tag = await connection.execute(
            "INSERT INTO fact (id, occurrence, alarm, edge, action, actor, place, version_seen, "
            "hlc, args, at, result) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12) "
            "ON CONFLICT DO NOTHING",
            fact.id, fact.occurrence, fact.alarm, edge, fact.action, fact.actor, fact.place,
            fact.version_seen, fact.hlc, fact.args, at, result,
        )  # fmt: skip
        return tag.endswith("1")

    async def fact_result(
        self, connection: asyncpg.Connection, fact_id: str, result: str, code: str
    ) -> None:
        """Note what the edge answered to a fact."""
        await connection.execute(
            "UPDATE fact SET result = $2, code = $3 WHERE id = $1",
            fact_id,
            result,
            code or None,
        )

    async def set_local_actions(self, connection: asyncpg.Connection, said: dict[str, str]) -> None:
        """Note the edge's own actions on occurrences."""
        await arrival_rows.set_local_actions(connection, said)

    async def set_label(
        self, connection: asyncpg.Connection, occurrence: str, label: str, cause: str, by: str,
        at: int,
    ) -> None:  # fmt: skip
        """Store the outcome that a person gave; a later one replaces it."""
        await connection.execute(
            "UPDATE occurrence SET label = $2, cause = $3, label_by = $4, label_at = $5 "
            "WHERE occurrence = $1",
            occurrence, label, cause, by, at,
        )  # fmt: skip

    async def set_run(self, occurrence: str, run: str) -> None:
        """Note the playbook run of an occurrence."""
        await self.pool.execute(
            "UPDATE occurrence SET run = $2 WHERE occurrence = $1", occurrence, run
        )

    async def get(self, occurrence: str) -> Occurrence | None:
        """One occurrence."""
        row = await self.pool.fetchrow(_SELECT + "WHERE o.occurrence = $1", occurrence)
        return _occurrence(row) if row else None

    async def several(self, occurrences: list[str]) -> list[Occurrence]:
        """These occurrences, in one statement (not counted)."""
        return [_occurrence(row) for row in await self.pool.fetch(_SELECT_THESE, occurrences)]

    async def counted(self, occurrences: list[str]) -> list[Occurrence]:
        """These occurrences, counted as the list shows them."""
        rows = await self.pool.fetch(_SELECT + "WHERE o.occurrence = ANY($1)", occurrences)
        return [_occurrence(row) for row in rows]

    async def newest(self, alarm: str, tx: asyncpg.Connection | None = None) -> Occurrence | None:
        """The newest occurrence of an alarm.

        Who is in a transaction gives its connection: waiting for a second one while holding the
        first locks up the pool for ever once enough do so at a time.
        """
        row = await (tx or self.pool).fetchrow(
            _SELECT + "WHERE o.alarm = $1 ORDER BY o.raised_at DESC LIMIT 1", alarm
        )
        return _occurrence(row) if row else None

    async def open_occurrences(self) -> list[Occurrence]:
        """All that belong in the live list: open, and the newest of their alarm.

        An older one that nobody acknowledged before the alarm was raised again is superseded: the
        list does not show it and the desk takes no acknowledgement of it.
        """
        rows = await self.pool.fetch(
            _SELECT + "WHERE o.open AND NOT EXISTS (SELECT 1 FROM occurrence n "
            "WHERE n.alarm = o.alarm AND n.raised_at > o.raised_at) ORDER BY o.raised_at"
        )
        return [_occurrence(row) for row in rows]

    async def annunciated_since(self, since: int) -> list[int]:
        """Times of annunciated alarms since `since` (for the rate on the banner)."""
        rows = await self.pool.fetch(
            "SELECT time FROM event WHERE time >= $1 AND received_at >= $2 "
            "AND alarm IS NOT NULL AND body->>'annunciate' = 'true' ORDER BY time",
            since,
            since - CLOCKS_APART_MS,
        )
        return [row["time"] for row in rows]

    async def timeline(self, occurrence: str) -> list[asyncpg.Record]:
        """Events of one occurrence, oldest first."""
        return await self.pool.fetch(
            "SELECT id, type, time, received_at, late, body FROM event WHERE occurrence = $1 "
            "ORDER BY time, id LIMIT 500",
            occurrence,
        )

    async def settings(self) -> dict[str, tuple[dict[str, Any], int]]:
        """Settings that directives changed and that run, by alarm."""
        rows = await self.pool.fetch(
            "SELECT alarm, setting, version FROM alarm_setting WHERE NOT superseded"
        )
        return {row["alarm"]: (row["setting"], row["version"]) for row in rows}

    async def set_system(
        self, connection: asyncpg.Connection, source: str, code: str, active: bool,
        params: dict[str, Any], at: int,
    ) -> None:  # fmt: skip
        """Switch one of the product's own conditions on or off.

        A source has room for so many codes: whoever invents new ones fills no table.
        """
        await connection.execute(
            "INSERT INTO system_condition (source, code, active, params, at, episode, raised_at) "
            "SELECT $1::text, $2::text, $3::boolean, $4::jsonb, $5::bigint, $3::boolean::int, "
            "CASE WHEN $3::boolean THEN $5::bigint END WHERE $6::bigint > "
            "(SELECT count(*) FROM system_condition s WHERE s.source = $1::text "
            "AND s.code <> $2::text) ON CONFLICT (source, code) DO UPDATE "
            "SET active = excluded.active, params = excluded.params, at = excluded.at, "
            # A new episode each time it comes on: nobody has acknowledged that one yet.
            "episode = system_condition.episode + (excluded.active AND NOT "
            "system_condition.active)::int, "
            "raised_at = CASE WHEN excluded.active AND NOT system_condition.active "
            "THEN excluded.at ELSE system_condition.raised_at END, "
            "returned_at = CASE WHEN excluded.active THEN NULL WHEN system_condition.active "
            "THEN excluded.at ELSE system_condition.returned_at END, "
            "acked_by = CASE WHEN excluded.active AND NOT system_condition.active THEN NULL "
            "ELSE system_condition.acked_by END, "
            "acked_at = CASE WHEN excluded.active AND NOT system_condition.active THEN NULL "
            "ELSE system_condition.acked_at END",
            source[:100], code[:100], active, params, at, CODES_OF_A_SOURCE,
        )  # fmt: skip

    async def system(self) -> list[asyncpg.Record]:
        """The product's conditions that are on."""
        return await self.pool.fetch(
            "SELECT source, code, params, at FROM system_condition WHERE active ORDER BY at"
        )


async def _copy_into(connection: asyncpg.Connection, table: str, data: bytes) -> None:
    await connection.copy_to_table(
        table, source=memoryview(data), columns=EVENT_COLUMNS, format="binary",
    )  # fmt: skip
