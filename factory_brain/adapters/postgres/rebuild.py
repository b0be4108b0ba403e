"""Holds the stored current state against the journal, occurrence by occurrence, as it streams.

Called by `andon brain rebuild`; reads in one snapshot, and writes only when asked to mend.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import asyncpg
import msgspec

from factory_brain.application.ingest import LATE_MS
from factory_brain.domain.projection import Recorded, differs, fact_faults, project, row_bytes
from shared.messages.bodies import AlarmTransition, Body, Fact

_body = msgspec.json.Decoder(Body).decode
_transition = msgspec.json.Decoder(AlarmTransition).decode
_facts = msgspec.json.Decoder(list[tuple[str | None, Fact]]).decode
PAGE = 500
SHOWN = 20
_OCCURRENCES = (
    "SELECT o.occurrence, o.alarm, o.edge, o.transition::text AS transition, o.order_key, "
    "o.raised_at, o.returned_at, o.received_at, o.late, o.open, o.local_action, "
    "coalesce((SELECT json_agg(json_build_array(f.result, json_build_object('t', 'fact', "
    "'id', f.id, 'alarm', f.alarm, 'occurrence', f.occurrence, 'version_seen', f.version_seen, "
    "'action', f.action, 'actor', f.actor, 'place', f.place, 'hlc', f.hlc, 'args', f.args))) "
    "FROM fact f WHERE f.occurrence = o.occurrence), '[]')::text AS facts "
    "FROM occurrence o WHERE o.occurrence > $1 ORDER BY o.occurrence LIMIT $2"
)
_EVENTS = (
    "SELECT e.occurrence, e.source, e.epoch, e.lane, e.seq, e.id, e.time, e.received_at, "
    "e.body::text AS body FROM event e WHERE e.occurrence = ANY($1)"
)


@dataclass(slots=True)
class Comparison:
    """What the check found."""

    occurrences: int = 0
    equal: int = 0
    beyond_journal: int = 0
    """Older than the journal that is kept: nothing to compare with."""
    differing: int = 0
    mended: int = 0
    facts: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether everything that could be compared was equal."""
        return self.differing == 0 and self.facts == 0


async def compare(pool: asyncpg.Pool, *, mend: bool = False) -> Comparison:
    """Fold the whole journal anew and hold the stored rows against it."""
    found = Comparison()
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read"),
    ):
        kept = await connection.fetchval("SELECT min(received_at) FROM event")
        async for rows in _pages(connection):
            events = await connection.fetch(_EVENTS, [row["occurrence"] for row in rows])
            events.sort(key=lambda e: e["occurrence"])
            grouped = {
                name: [_recorded(e) for e in group]
                for name, group in groupby(events, key=lambda e: e["occurrence"])
            }
            for row in rows:
                await _one(connection, row, grouped.get(row["occurrence"], []), kept, found, mend)
    return found


async def _pages(connection: Any) -> AsyncIterator[list[asyncpg.Record]]:
    last = ""
    while rows := await connection.fetch(_OCCURRENCES, last, PAGE):
        yield rows
        last = rows[-1]["occurrence"]


def _recorded(row: asyncpg.Record) -> Recorded:
    place = (row["source"], row["epoch"], row["lane"], row["seq"])
    edge = row["source"].partition(".")[2]
    return Recorded(edge, row["id"], row["time"], row["received_at"], place, _body(row["body"]))


async def _one(
    connection: Any, row: asyncpg.Record, events: list[Recorded], kept: int | None,
    found: Comparison, mend: bool,
) -> None:  # fmt: skip
    name = row["occurrence"]
    found.occurrences += 1
    if kept is None or row["received_at"] < kept:
        found.beyond_journal += 1
        return
    facts = _facts(row["facts"])
    wrong = fact_faults(events, {fact.id: (result, fact) for result, fact in facts})
    found.facts += len(wrong)
    spoken = tuple(fact for result, fact in facts if result != "refused")
    projected = project(name, events, spoken, LATE_MS)
    stored = {**dict(row), "transition": _transition(row["transition"])}
    if projected is not None and row_bytes(projected) == row_bytes(stored):
        found.equal += 1
        return
    found.differing += 1
    if len(found.examples) < SHOWN:
        columns = differs(stored, projected) if projected else ["no transition in the journal"]
        found.examples.append({"occurrence": name, "columns": columns, "facts": wrong})
    if mend and projected is not None:
        await _mend(connection, name, projected)
        found.mended += 1


async def _mend(connection: Any, name: str, row: dict[str, Any]) -> None:
    await connection.execute(
        "UPDATE occurrence SET alarm = $2, edge = $3, transition = $4, order_key = $5, "
        "raised_at = $6, returned_at = $7, received_at = $8, late = $9, open = $10, "
        "local_action = $11 WHERE occurrence = $1",
        name, row["alarm"], row["edge"], msgspec.to_builtins(row["transition"]), row["order_key"],
        row["raised_at"], row["returned_at"], row["received_at"], row["late"], row["open"],
        row["local_action"],
    )  # fmt: skip
