"""How runs of playbooks ended, asked for people within their scope.

Called by `application/playbooks/ranking.py`.
"""

from __future__ import annotations

import asyncpg

from group_cloud.adapters.postgres.scoped import Scoped
from group_cloud.domain.scope import Scope

MOST_RUNS = 20_000


class PlaybookReads:
    """Implements `BookReads`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._ask = Scoped(pool)

    async def outcomes(self, scope: Scope, playbook: str, since: int) -> list[asyncpg.Record]:
        """The newest runs that were no drills, with where their alarm stands."""
        return await self._ask.fetch(
            scope,
            "SELECT p.site, p.version, p.variant, p.success, p.duration_s, p.started_at, "
            "p.body->'context' AS context, coalesce(a.asset_class, '') AS asset_class, "
            "coalesce(a.tag_class, '') AS tag_class, CASE WHEN o.returned_at > o.raised_at "
            "AND o.raised_at > 0 THEN (o.returned_at - o.raised_at) / 1000.0 END::float8 "
            "AS resolve_s FROM playbook_outcome p "
            "LEFT JOIN alarm_point a ON a.site = p.site AND a.alarm = p.alarm "
            "LEFT JOIN group_occurrence o ON o.site = p.site AND o.occurrence = p.occurrence "
            "WHERE {mine:p} AND p.playbook = $2 AND NOT p.drill AND p.ended_at >= $3 "
            "AND p.success IS NOT NULL "
            f"ORDER BY p.ended_at DESC, p.site, p.run LIMIT {MOST_RUNS}",
            playbook, since,
        )  # fmt: skip
