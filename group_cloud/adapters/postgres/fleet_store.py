"""What factories last said of their brain and edges, and their alarm points' settings.

Called by `application/fleet_view.py` and `fleet_push.py`; people's questions go through the scoped
door, reports are kept in the ingest's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from group_cloud.adapters.postgres.scoped import Scoped
from group_cloud.domain.scope import Scope
from shared.messages.bodies import FleetReport

MOST_POINTS = 20_000


class FleetStore:
    """Implements `FleetRows` of both."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._ask = Scoped(pool)

    async def take(self, tx: asyncpg.Connection, site: str, told: FleetReport, at: int) -> None:
        """Keep a factory's newest picture."""
        await tx.execute(
            "INSERT INTO fleet_report (site, at, received_at, body) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (site) DO UPDATE SET at = $2, received_at = $3, body = $4 "
            "WHERE fleet_report.at <= $2",
            site, told.at, at, msgspec.to_builtins(told),
        )  # fmt: skip

    async def reports(self, scope: Scope) -> Sequence[asyncpg.Record]:
        """All factories within, with what they said if they did."""
        return await self._ask.fetch(
            scope,
            "SELECT f.site, f.names, f.tenant, f.last_seen, r.at, r.body FROM factory f "
            "LEFT JOIN fleet_report r ON r.site = f.site WHERE {mine:f} ORDER BY f.site LIMIT 1000",
        )

    async def points(
        self, scope: Scope, sites: list[str], tag_class: str, asset_class: str
    ) -> Sequence[asyncpg.Record]:
        """Alarm points whose settings may be moved."""
        return await self._ask.fetch(
            scope,
            "SELECT p.site, p.alarm, p.edge, p.asset, p.process, p.names, p.tuning "
            "FROM alarm_point p WHERE {mine:p} AND p.tuning IS NOT NULL "
            "AND (cardinality($2::text[]) = 0 OR p.site = ANY($2)) "
            "AND ($3 = '' OR p.tag_class = $3) AND ($4 = '' OR p.asset_class = $4) "
            f"ORDER BY p.site, p.edge, p.alarm LIMIT {MOST_POINTS}",
            sites, tag_class, asset_class,
        )  # fmt: skip
