"""The statements that write a whole frame of transitions at once, whatever its length.

Called by `alarm_store.py` on the receiver's connection. Occurrences are always locked in the order
of their ids, so that lanes consumed side by side never wait for each other in a circle.
"""

from __future__ import annotations

import asyncpg
import msgspec

from factory_brain.domain.arrivals import Arrived, Folded, Held, fold_arrivals
from shared.alarm.states import AlarmState

_UPSERT = (
    "INSERT INTO occurrence (occurrence, alarm, edge, transition, order_key, raised_at, "
    "returned_at, received_at, late, open) SELECT o, a, e, t::jsonb, k, ra, re, rc, l, op FROM "
    "unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], "
    "$7::bigint[], $8::bigint[], $9::boolean[], $10::boolean[]) "
    "AS n(o, a, e, t, k, ra, re, rc, l, op) ON CONFLICT (occurrence) DO UPDATE SET "
    "transition = excluded.transition, order_key = excluded.order_key, "
    "raised_at = least(occurrence.raised_at, excluded.raised_at), "
    "returned_at = excluded.returned_at WHERE occurrence.order_key < excluded.order_key"
)
ONE_BY_ONE = "OFFSET 0"
"""Keeps a look-up by key one: joined freely, a planner that knows no statistics yet reads the
whole table instead."""
COUNTED = 1000
"""Occurrences of one alarm within a day are counted as far as this."""


async def lock(connection: asyncpg.Connection, occurrences: list[str]) -> dict[str, Held]:
    """Lock what is known of these occurrences, and read where each stands."""
    rows = await connection.fetch(
        "SELECT c.* FROM unnest($1::text[]) AS n(name), LATERAL (SELECT occurrence, order_key, "
        f"raised_at, returned_at FROM occurrence WHERE occurrence = n.name {ONE_BY_ONE} "
        "FOR UPDATE) c",
        sorted(occurrences),
    )
    return {
        row["occurrence"]: Held(row["order_key"], row["raised_at"], row["returned_at"])
        for row in rows
    }


async def write(
    connection: asyncpg.Connection, arrived: list[Arrived], held: dict[str, Held]
) -> None:
    """Fold transitions into their occurrences."""
    folded = fold_arrivals(arrived, held)
    if not folded:
        return
    rows = [_row(name, folded[name]) for name in sorted(folded)]
    await connection.execute(_UPSERT, *(list(column) for column in zip(*rows, strict=True)))


def _row(occurrence: str, row: Folded) -> tuple[object, ...]:
    body = row.newest.body
    state = AlarmState.from_dict(body.state)
    return (
        occurrence, body.alarm, row.newest.edge, msgspec.json.encode(body).decode(),
        row.order_key, row.raised_at, row.returned_at, row.received_at, row.late,
        state.retained or (state.hidden and state.active),
    )  # fmt: skip


async def set_open(connection: asyncpg.Connection, changed: dict[str, bool]) -> None:
    """Write whether occurrences are open."""
    if changed:
        await connection.execute(
            "UPDATE occurrence SET open = n.open FROM unnest($1::text[], $2::boolean[]) "
            "AS n(occurrence, open) WHERE occurrence.occurrence = n.occurrence",
            list(changed), list(changed.values()),
        )  # fmt: skip


async def set_local_actions(connection: asyncpg.Connection, said: dict[str, str]) -> None:
    """Note the edge's own actions, by occurrence."""
    if said:
        await connection.execute(
            "UPDATE occurrence SET local_action = n.said FROM unnest($1::text[], $2::text[]) "
            "AS n(occurrence, said) WHERE occurrence.occurrence = n.occurrence",
            list(said), list(said.values()),
        )  # fmt: skip


async def counts(connection: asyncpg.Connection, asked: dict[str, int]) -> dict[str, int]:
    """How many occurrences each alarm had in the day before a time."""
    if not asked:
        return {}
    rows = await connection.fetch(
        "SELECT n.alarm, (SELECT count(*) FROM (SELECT 1 FROM occurrence p "
        "WHERE p.alarm = n.alarm AND p.raised_at > n.at - 86400000 AND p.raised_at <= n.at "
        f"LIMIT {COUNTED}) few) AS nth FROM unnest($1::text[], $2::bigint[]) AS n(alarm, at)",
        list(asked), list(asked.values()),
    )  # fmt: skip
    return {row["alarm"]: row["nth"] for row in rows}
