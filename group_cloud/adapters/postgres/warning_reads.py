"""What people see of early warning at the group, within their scope.

Called by the desk of early warning; reads only.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from group_cloud.adapters.postgres.scoped import Scoped
from group_cloud.domain.scope import Scope

_LEARNERS = (
    "SELECT f.tenant, p.plant, min(p.line) AS line, (array_agg(p.tags ORDER BY p.site))[1] AS tags,"
    " array_agg(p.site ORDER BY p.site) AS sites, "
    "coalesce(sum(c.windows), 0)::bigint AS windows, coalesce(sum(c.waiting), 0)::bigint AS waiting"
    ", l.figures, l.at FROM warning_plant p JOIN factory f ON f.site = p.site "
    "LEFT JOIN warning_learner l ON l.tenant = f.tenant AND l.plant = p.plant "
    "LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE w.label >= 0) AS windows, "
    "count(*) FILTER (WHERE NOT w.learnt) AS waiting FROM warning_window w "
    "WHERE w.plant = p.plant AND w.site = p.site) c ON true "
    "WHERE {mine:p} GROUP BY f.tenant, p.plant, l.figures, l.at ORDER BY f.tenant, line, p.plant"
)
_MODELS = (
    "SELECT m.id, m.tenant, m.plant, m.tags, m.status, m.figures, m.created_at, m.first_by, "
    "m.decided_by, m.decided_at, m.reason, min(p.line) AS line, "
    "array_agg(p.site ORDER BY p.site) AS sites, coalesce(bool_or(y.four_eyes), false) "
    "AS two_people FROM warning_model m JOIN factory f ON f.tenant = m.tenant "
    "JOIN warning_plant p ON p.plant = m.plant AND p.site = f.site "
    "LEFT JOIN site_policy y ON y.site = p.site WHERE {mine:p} GROUP BY m.id "
    "ORDER BY m.created_at DESC, m.id DESC LIMIT $2"
)
_WHERE = (
    "SELECT w.model, w.site, w.kind, w.status, w.counter, w.code, w.params, w.expires_at, w.at "
    "FROM warning_push w WHERE {mine:w} AND w.model = ANY($2::text[]) ORDER BY w.site, w.counter"
)


class WarningReads:
    """Implements `application/warning/ports.WarningReads`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._ask = Scoped(pool)

    async def learners(self, scope: Scope) -> Sequence[asyncpg.Record]:
        """Plants with what was learnt of them."""
        return await self._ask.fetch(scope, _LEARNERS)

    async def models(self, scope: Scope, limit: int) -> Sequence[asyncpg.Record]:
        """Models, newest first, with their sites within the scope."""
        return await self._ask.fetch(scope, _MODELS, limit)

    async def where(self, scope: Scope, models: Sequence[str]) -> Sequence[asyncpg.Record]:
        """What became of them at the factories within the scope."""
        return await self._ask.fetch(scope, _WHERE, list(models))
