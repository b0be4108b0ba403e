"""What speaks for nominating points, and what was nominated, in PostgreSQL.

Called by the nominator; rows only, it chooses nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from group_cloud.application.nominations import Issued
from group_cloud.domain.nomination import Grounds, Spot, drifted

DAY_MS = 86_400_000
MOST = 2_000
DRIFT_WINDOW_DAYS = 60
COVERED = 0.5
_RAISED = (
    "SELECT p.edge, s.alarm, sum(s.raised) AS n FROM stat_alarm s JOIN alarm_point p "
    "ON p.site = s.site AND p.alarm = s.alarm WHERE s.site = $1 AND s.day >= $2 "
    "GROUP BY p.edge, s.alarm ORDER BY n DESC, s.alarm LIMIT $3"
)
# A fault that no alarm told of: all points of its asset could have; and of the points that were
# held against a fault of which none of them told, each could have.
_MISSED = """
SELECT p.edge, p.alarm, count(DISTINCT f.id) AS n FROM fault f
JOIN alarm_point p ON p.site = f.site AND p.asset = f.asset
WHERE f.site = $1 AND f."end" >= $2 AND NOT f.withdrawn AND f.alarms = '[]'::jsonb
GROUP BY p.edge, p.alarm
UNION ALL
SELECT v.edge, v.alarm, count(DISTINCT f.id) AS n FROM fault f
JOIN shadow_verdict v ON v.site = f.site AND v.fault = f.id AND v.coverage >= $4
WHERE f.site = $1 AND f."end" >= $2 AND NOT f.withdrawn
    AND NOT EXISTS (SELECT 1 FROM shadow_verdict o WHERE o.site = f.site AND o.fault = f.id
        AND (o.named->>'live')::double precision >= 0)
GROUP BY v.edge, v.alarm
LIMIT $3
"""
# Points of which most alarms are nuisance nine times of ten, by their expected nuisance.
_NUISANCE = (
    "SELECT edge, alarm, probability * raised AS n FROM nuisance_point WHERE site = $1 "
    "AND labels >= $2 AND low >= 0.5 AND raised > 0 ORDER BY n DESC, alarm LIMIT $3"
)
FEWEST_LABELS = 5


class NominationStore:
    """Implements `NominationRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """A transaction that commits at the end of the block."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection  # type: ignore[misc]

    async def sites(self) -> list[str]:
        """Factories whose alarm points are known."""
        rows = await self._pool.fetch("SELECT DISTINCT site FROM alarm_point ORDER BY site")
        return [row["site"] for row in rows]

    async def edges(self, site: str) -> list[str]:
        """The edges of a factory that have alarm points."""
        rows = await self._pool.fetch(
            "SELECT DISTINCT edge FROM alarm_point WHERE site = $1 ORDER BY edge", site
        )
        return [row["edge"] for row in rows]

    async def grounds(self, site: str, now: int, days: int) -> Grounds:
        """What the tables say of a factory's points over the last days."""
        since = now - days * DAY_MS
        raised = await self._pool.fetch(_RAISED, site, since // DAY_MS, MOST)
        missed: dict[Spot, int] = defaultdict(int)
        for row in await self._pool.fetch(_MISSED, site, since, MOST, COVERED):
            spot = Spot(row["edge"], row["alarm"])
            missed[spot] = max(missed[spot], row["n"])
        nuisance = await self._pool.fetch(_NUISANCE, site, FEWEST_LABELS, MOST)
        return Grounds(
            nuisance={Spot(r["edge"], r["alarm"]): float(r["n"]) / days for r in nuisance},
            raised={Spot(r["edge"], r["alarm"]): float(r["n"]) / days for r in raised},
            missed=missed,
            drifted=await self._drifted(site, now),
        )

    async def _drifted(self, site: str, now: int) -> list[Spot]:
        rows = await self._pool.fetch(
            "SELECT edge, alarm, day, (body->>'mean')::double precision AS mean, "
            "(body->>'sigma')::double precision AS sigma FROM shadow_count WHERE site = $1 "
            "AND day >= $2 AND coverage >= $3 AND body ? 'mean' AND body ? 'sigma' "
            "ORDER BY edge, alarm, day LIMIT 100000",
            site, now // DAY_MS - DRIFT_WINDOW_DAYS, COVERED,
        )  # fmt: skip
        days: dict[Spot, list[tuple[int, float, float]]] = defaultdict(list)
        for row in rows:
            if row["mean"] is not None and row["sigma"] is not None:
                days[Spot(row["edge"], row["alarm"])].append(
                    (row["day"], row["mean"], row["sigma"])
                )
        return [spot for spot, known in days.items() if drifted(known)]

    async def issued(self, site: str) -> dict[str, Issued]:
        """edge -> its newest signed nominations."""
        rows = await self._pool.fetch("SELECT * FROM nomination WHERE site = $1", site)
        return {
            row["edge"]: Issued(
                row["counter"], row["fingerprint"], row["payload"], row["signature"], row["at"],
                row["expires_at"],
            )
            for row in rows
        }  # fmt: skip

    async def next_counter(self, tx: asyncpg.Connection, /, site: str, edge: str) -> int:
        """The edge's next number; the row stays locked until the nominations stand."""
        last = await tx.fetchval(
            "SELECT counter FROM nomination WHERE site = $1 AND edge = $2 FOR UPDATE", site, edge
        )
        return (last or 0) + 1

    async def save(self, tx: asyncpg.Connection, /, site: str, edge: str, issued: Issued) -> None:
        """Keep the newest nominations of an edge."""
        await tx.execute(
            "INSERT INTO nomination AS n (site, edge, counter, fingerprint, payload, signature, "
            "at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (site, edge) "
            "DO UPDATE SET counter = $3, fingerprint = $4, payload = $5, signature = $6, "
            "at = $7, expires_at = $8 WHERE n.counter < $3",
            site, edge, issued.counter, issued.fingerprint, issued.payload, issued.signature,
            issued.at, issued.expires_at,
        )  # fmt: skip
