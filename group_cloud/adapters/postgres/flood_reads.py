"""What people ask of floods and of the answers about them; each question within a scope.

Called by `application/floods/view.py`; every statement goes through `scoped.py`. Reads only.
"""

from __future__ import annotations

import asyncpg

from group_cloud.adapters.postgres.flood_sql import NEWEST, OURS
from group_cloud.adapters.postgres.scoped import Scoped
from group_cloud.domain.scope import Scope

JUDGED = 5_000


class FloodReads:
    """Implements `application/floods/ports.FloodQuestions`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._ask = Scoped(pool)

    async def listed(
        self, scope: Scope, site: str | None, incident: str | None, limit: int
    ) -> list[asyncpg.Record]:
        """Floods with their newest answers, newest first."""
        return await self._ask.fetch(
            scope,
            "SELECT l.site, f.names, l.incident, l.first_at, l.ended_at, l.cause, a.horizon, "
            "a.at, a.known, a.settled, a.why, a.trust, a.remembered, a.complete, a.nearest, "
            f"a.others, a.novel, coalesce({OURS}, false) AS ours, (SELECT count(*) FROM "
            "flood_answer c WHERE c.site = l.site AND c.incident = l.incident) AS answers "
            f"FROM flood l JOIN factory f ON f.site = l.site LEFT JOIN {NEWEST} "
            "WHERE {mine:l} AND ($2::text IS NULL OR l.site = $2) "
            "AND ($3::text IS NULL OR l.incident = $3) "
            "ORDER BY l.first_at DESC, l.site, l.incident LIMIT $4",
            site, incident, limit,
        )  # fmt: skip

    async def judged(self, scope: Scope) -> list[asyncpg.Record]:
        """The settled answers about floods whose cause is recorded, the newest floods first."""
        return await self._ask.fetch(
            scope,
            "SELECT a.horizon, a.settled, a.known, l.cause, "
            "coalesce(a.nearest->>'cause', '') AS nearest, a.novel FROM flood l "
            f"JOIN {NEWEST} WHERE {{mine:l}} AND l.cause <> '' AND a.settled "
            "AND a.novel IS NOT NULL AND a.why <> 'too_few' "
            f"ORDER BY l.first_at DESC LIMIT {JUDGED}",
        )

    async def totals(self, scope: Scope) -> asyncpg.Record:
        """What is remembered, and how many floods were followed."""
        found = await self._ask.row(
            scope,
            "SELECT (SELECT count(*) FROM flood_episode e WHERE {mine:e} AND NOT e.forgotten) "
            "AS remembered, (SELECT count(DISTINCT e.cause) FROM flood_episode e WHERE {mine:e} "
            "AND NOT e.forgotten) AS causes, (SELECT count(*) FROM flood l WHERE {mine:l} "
            "AND l.asked >= 0) AS asked",
        )
        assert found is not None, "an aggregate always has a row"
        return found
