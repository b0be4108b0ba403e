"""Occurrences, incidents, runs, alarm points and figures, written in the ingest's transaction.

Called by `application/total.py`; what an occurrence adds to the figures is decided in
`domain/figures.py`. One writer at a time for one site.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import asyncpg
import msgspec

from group_cloud.domain.figures import COLUMNS, KEYS, Occurred, Sums
from shared.messages.bodies import AlarmPoints, IncidentRecord, PlaybookOutcome

_FIELDS = (
    "occurrence", "alarm", "asset", "tag", "priority", "version", "raised_at", "returned_at",
    "acked_at", "annunciated", "counted",
)  # fmt: skip
_KINDS = (
    "text", "text", "text", "text", "integer", "integer", "bigint", "bigint", "bigint", "boolean",
    "boolean",
)  # fmt: skip
_SAVE = (
    f"INSERT INTO group_occurrence (site, {', '.join(_FIELDS)}) SELECT $1, n.* FROM unnest("
    + ", ".join(f"${i}::{kind}[]" for i, kind in enumerate(_KINDS, 2))
    + ") AS n ON CONFLICT (site, occurrence) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _FIELDS[1:])
)
_TYPES = {"day": "integer", "priority": "integer", "alarm": "text", "ten": "bigint"}
_INCIDENT = (
    "revision", "status", "merged_into", "opened_at", "acknowledged_at", "contained_at",
    "closed_at", "priority", "asset", "standing", "unacked", "flood", "cause", "outcome", "owner",
)  # fmt: skip


def _add(table: str) -> str:
    keys, columns = KEYS[table], COLUMNS[table]
    kinds = [_TYPES[key] for key in keys] + ["bigint"] * len(columns)
    unnested = ", ".join(f"${i}::{kind}[]" for i, kind in enumerate(kinds, 2))
    sums = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in columns)
    return (
        f"INSERT INTO {table} (site, {', '.join((*keys, *columns))}) SELECT $1, n.* "
        f"FROM unnest({unnested}) AS n ON CONFLICT (site, {', '.join(keys)}) DO UPDATE SET {sums}"
    )


_ADD = {table: _add(table) for table in COLUMNS}


class TotalStore:
    """Implements `application/total.TotalRows`."""

    async def lock_site(self, tx: asyncpg.Connection, /, site: str) -> None:
        """One writer at a time for a site: its sums are differences of what was read."""
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 4))", site)

    async def occurrences(
        self, tx: asyncpg.Connection, /, site: str, names: Iterable[str]
    ) -> dict[str, Occurred]:
        """These, as far as they are known."""
        rows = await tx.fetch(
            f"SELECT {', '.join(_FIELDS)} FROM group_occurrence "
            "WHERE site = $1 AND occurrence = ANY($2::text[])",
            site, list(names),
        )  # fmt: skip
        return {row["occurrence"]: Occurred(*row) for row in rows}

    async def save_occurrences(
        self, tx: asyncpg.Connection, /, site: str, found: list[Occurred], sums: Sums
    ) -> None:
        """Write them and what they change in the figures."""
        columns = [[getattr(each, name) for each in found] for name in _FIELDS]
        await tx.execute(_SAVE, site, *columns)
        for table, statement in _ADD.items():
            rows = sums.rows(table)
            if rows:
                flat = [(*key, *values) for key, values in rows]
                await tx.execute(statement, site, *(list(c) for c in zip(*flat, strict=True)))

    async def count_left_out(self, tx: asyncpg.Connection, /, site: str, count: int) -> None:
        """So many occurrences are in no figure."""
        await tx.execute(
            "UPDATE factory SET uncounted = uncounted + $2 WHERE site = $1", site, count
        )

    async def save_incident(
        self, tx: asyncpg.Connection, /, site: str, record: IncidentRecord, at: int
    ) -> None:
        """Keep an incident's newest revision; an older one that comes later changes nothing."""
        names = (*_INCIDENT, "alarms", "received_at", "body")
        await tx.execute(
            f"INSERT INTO group_incident (site, id, {', '.join(names)}) VALUES ($1, $2, "
            + ", ".join(f"${i}" for i in range(3, 3 + len(names)))
            + ") ON CONFLICT (site, id) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in names)
            + " WHERE group_incident.revision < excluded.revision",
            site, record.id, *(getattr(record, name) for name in _INCIDENT), record.alarms_total,
            at, msgspec.to_builtins(record),
        )  # fmt: skip

    async def save_run(
        self, tx: asyncpg.Connection, /, site: str, run: PlaybookOutcome, at: int
    ) -> None:
        """Keep a run's end; what is told again replaces itself."""
        values: dict[str, Any] = {
            "playbook": run.playbook, "status": run.status, "received_at": at,
            "version": run.version, "release": run.release, "variant": run.variant,
            "alarm": run.alarm, "occurrence": run.occurrence, "success": run.success,
            "started_at": run.started_at, "ended_at": run.ended_at or at,
            "duration_s": run.duration_s, "drill": run.drill, "body": msgspec.to_builtins(run),
        }  # fmt: skip
        await tx.execute(
            f"INSERT INTO playbook_outcome (site, run, {', '.join(values)}) VALUES ($1, $2, "
            + ", ".join(f"${i}" for i in range(3, 3 + len(values)))
            + ") ON CONFLICT (site, run) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in values),
            site, run.run, *values.values(),
        )  # fmt: skip

    async def save_points(self, tx: asyncpg.Connection, /, site: str, told: AlarmPoints) -> None:
        """Keep where alarms stand; the last part of a version takes away what it does not name."""
        rows = [
            (
                site, alarm, *point, told.names.get(alarm, {}), told.version,
                told.tuning.get(alarm), *[*told.kinds.get(alarm, []), "", ""][:2],
            )
            for alarm, point in sorted(told.points.items())
            if len(point) == 6
        ]  # fmt: skip
        await tx.executemany(
            "INSERT INTO alarm_point (site, alarm, edge, asset, process, asset_class, tag_class, "
            "priority, names, version, tuning, kind, side) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) "
            "ON CONFLICT (site, alarm) DO UPDATE SET edge = $3, asset = $4, process = $5, "
            "asset_class = $6, tag_class = $7, priority = $8, names = $9, version = $10, "
            "tuning = $11, kind = $12, side = $13",
            rows,
        )
        if told.part == told.parts:
            await tx.execute(
                "INSERT INTO site_policy (site, four_eyes, version) VALUES ($1, $2, $3) "
                "ON CONFLICT (site) DO UPDATE SET four_eyes = $2, version = $3",
                site, told.four_eyes, told.version,
            )  # fmt: skip
            await tx.execute(
                "DELETE FROM alarm_point WHERE site = $1 AND version <> $2", site, told.version
            )
