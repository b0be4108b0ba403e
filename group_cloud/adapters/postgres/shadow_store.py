"""Shadow counts, verdicts, faults and nominations in PostgreSQL.

Written by the ingest in its transaction, the newest revision winning in any order of arrival; read
by the trainer, the nominator and the health gate. Rows only, no meaning.
"""

from __future__ import annotations

import asyncpg
import msgspec

from group_cloud.application.shadow import DayCounts, EngineerOnly, FaultRow, Verdict
from group_cloud.domain.evidence import Point
from shared.alarm.grid import Grid
from shared.messages.bodies import FaultRecord, ShadowCounts, ShadowVerdicts

DAY_MS = 86_400_000
_COUNTS = (
    "INSERT INTO shadow_count AS c (site, edge, alarm, day, revision, since, until, coverage, "
    "digest, named, body, activations, standing, received_at) VALUES ($1, $2, $3, $4, $5, $6, "
    "$7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (site, edge, alarm, day) DO UPDATE SET "
    "revision = $5, since = $6, until = $7, coverage = $8, digest = $9, named = $10, body = $11, "
    "activations = $12, standing = $13, received_at = $14 WHERE c.revision < $5"
)
_VERDICTS = (
    "INSERT INTO shadow_verdict AS v (site, fault, alarm, edge, revision, fault_revision, "
    "coverage, grid, named, delays, received_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, "
    "$10, $11) ON CONFLICT (site, fault, alarm) DO UPDATE SET edge = $4, revision = $5, "
    "fault_revision = $6, coverage = $7, grid = $8, named = $9, delays = $10, received_at = $11 "
    "WHERE v.revision < $5"
)
_FAULT = (
    'INSERT INTO fault AS f (site, id, revision, asset, line, start, "end", cause, actor, '
    "recorded_at, alarms, incident, withdrawn, received_at) VALUES ($1, $2, $3, $4, $5, $6, $7, "
    "$8, $9, $10, $11, $12, $13, $14) ON CONFLICT (site, id) DO UPDATE SET revision = $3, "
    'asset = $4, line = $5, start = $6, "end" = $7, cause = $8, actor = $9, recorded_at = $10, '
    "alarms = $11, incident = $12, withdrawn = $13, received_at = $14 WHERE f.revision < $3"
)
_HITS = """
SELECT c.edge, c.alarm, f.id, (e->>0)::bigint AS raised, (e->>1)::bigint AS cleared
FROM shadow_count c
CROSS JOIN LATERAL jsonb_array_elements(c.body->'engineer_only') e
JOIN fault f ON f.site = c.site AND NOT f.withdrawn AND f."end" >= (e->>0)::bigint
    AND f.start <= CASE WHEN (e->>1)::bigint = 0 THEN c.until ELSE (e->>1)::bigint END
WHERE c.site = $1 AND c.alarm = ANY($2::text[]) AND c.day >= $3 AND (e->>0)::bigint >= $4
ORDER BY raised, c.alarm, f.id LIMIT 1000
"""


class ShadowStore:
    """Implements `ShadowRows` and `ShadowReads`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def save_counts(self, tx: asyncpg.Connection, /, body: ShadowCounts, at: int) -> None:
        """Keep a day's counts unless a newer revision is there."""
        plain = msgspec.to_builtins(body)
        for name in ("activations", "standing"):
            plain.pop(name, None)
        plain.setdefault("engineer_only", [])
        await tx.execute(
            _COUNTS, body.site, body.edge, body.alarm, body.day, body.revision, body.since,
            body.until, body.coverage, Grid.from_dict(body.grid).digest, body.named, plain,
            body.activations, body.standing, at,
        )  # fmt: skip

    async def save_verdicts(self, tx: asyncpg.Connection, /, body: ShadowVerdicts, at: int) -> None:
        """Keep verdicts unless a newer revision is there."""
        await tx.execute(
            _VERDICTS, body.site, body.fault, body.alarm, body.edge, body.revision,
            body.fault_revision, body.coverage, body.grid, body.named, body.delays, at,
        )  # fmt: skip

    async def save_fault(self, tx: asyncpg.Connection, /, body: FaultRecord, at: int) -> None:
        """Keep a fault unless a newer revision is there."""
        await tx.execute(
            _FAULT, body.site, body.id, body.revision, body.asset, body.line, body.start,
            body.end, body.cause, body.actor, body.recorded_at, body.alarms, body.incident,
            body.withdrawn, at,
        )  # fmt: skip

    async def counts(self, point: Point, since: int) -> list[DayCounts]:
        """The counted days of a point that end after `since`, oldest first."""
        rows = await self._pool.fetch(
            "SELECT * FROM shadow_count WHERE site = $1 AND edge = $2 AND alarm = $3 "
            "AND day >= $4 AND until > $5 ORDER BY day",
            point.site, point.edge, point.alarm, since // DAY_MS - 1, since,
        )  # fmt: skip
        return [
            DayCounts(
                day=row["day"], since=row["since"], until=row["until"], coverage=row["coverage"],
                grid=Grid.from_dict(row["body"]["grid"]), activations=row["activations"],
                standing=row["standing"], named=row["named"],
                settings=row["body"].get("settings", {}), mean=row["body"].get("mean"),
                sigma=row["body"].get("sigma"),
            )
            for row in rows
        ]  # fmt: skip

    async def verdicts(self, site: str, alarms: list[str], since: int) -> list[Verdict]:
        """What these points would have said of faults that ended after `since`.

        Only of a fault as it stands now: a verdict on an earlier revision of it has no meaning.
        """
        rows = await self._pool.fetch(
            "SELECT v.* FROM shadow_verdict v JOIN fault f ON f.site = v.site AND f.id = v.fault "
            "AND f.revision = v.fault_revision WHERE v.site = $1 AND v.alarm = ANY($2::text[]) "
            'AND NOT f.withdrawn AND f."end" > $3 AND v.delays <> \'\' ORDER BY f.start, v.alarm',
            site, alarms, since,
        )  # fmt: skip
        return [
            Verdict(
                fault=row["fault"], alarm=row["alarm"], edge=row["edge"],
                grid=Grid.from_dict(row["grid"]), delays=row["delays"], named=row["named"],
                coverage=row["coverage"],
            )
            for row in rows
        ]  # fmt: skip

    async def faults(self, site: str, since: int) -> list[FaultRow]:
        """Standing faults that ended after `since`, oldest first."""
        rows = await self._pool.fetch(
            'SELECT * FROM fault WHERE site = $1 AND "end" > $2 AND NOT withdrawn '
            "ORDER BY start, id LIMIT 10000",
            site, since,
        )  # fmt: skip
        return [
            FaultRow(
                id=row["id"], revision=row["revision"], asset=row["asset"], line=row["line"],
                start=row["start"], end=row["end"], cause=row["cause"],
                alarms=tuple(row["alarms"]), incident=row["incident"],
            )
            for row in rows
        ]  # fmt: skip

    async def engineer_only_hits(
        self, site: str, alarms: list[str], since: int
    ) -> list[EngineerOnly]:
        """Recorded faults that the engineer's sets told and the live ones did not."""
        rows = await self._pool.fetch(_HITS, site, alarms, since // DAY_MS - 1, since)
        return [
            EngineerOnly(
                row["edge"], row["alarm"], row["id"], row["raised"], row["cleared"] or None
            )
            for row in rows
        ]  # fmt: skip

    async def prune(self, before: int) -> None:
        """Delete counts, verdicts and faults that are past their days."""
        await self._pool.execute("DELETE FROM shadow_count WHERE until < $1", before, timeout=300)
        await self._pool.execute(
            "DELETE FROM shadow_verdict v USING fault f WHERE f.site = v.site "
            'AND f.id = v.fault AND f."end" < $1',
            before, timeout=300,
        )  # fmt: skip
        await self._pool.execute('DELETE FROM fault WHERE "end" < $1', before, timeout=300)
