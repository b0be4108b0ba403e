"""What people ask of the total set: events, incidents, runs, figures; each within a scope.

Called by `application/total_view.py`; every statement goes through `scoped.py`. Reads only.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from group_cloud.adapters.postgres.scoped import Scoped
from group_cloud.domain.figures import DAY_MS, FLOOD
from group_cloud.domain.scope import Scope

Rows = list[asyncpg.Record]
_LAST = (1 << 62, "\U0010ffff", "\U0010ffff", "\U0010ffff", 1 << 62)
_DAYS = "day >= $2 AND day <= $3"
_TENS_A_DAY = 144
LONGEST = 500
"""Rows of one figure."""


class TotalReads:
    """Implements `application/total_view.TotalQuestions`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._ask = Scoped(pool)

    async def sees(self, scope: Scope, site: str) -> bool:
        """Whether a site is within."""
        return await self._ask.sees(scope, site)

    async def events(
        self, scope: Scope, limit: int, after: tuple[Any, ...] | None, only: dict[str, Any]
    ) -> Rows:
        """The journal, newest received first, from a position on."""
        return await self._ask.fetch(
            scope,
            "SELECT source, epoch, lane, seq, site, id, type, time, received_at, alarm, "
            "occurrence, body FROM group_event e WHERE {mine:e} "
            "AND (received_at, source, epoch, lane, seq) < ($2, $3, $4, $5, $6) "
            "AND ($7::text IS NULL OR e.site = $7) AND ($8::text IS NULL OR e.type = $8) "
            "AND ($9::text IS NULL OR e.alarm = $9) "
            "AND ($10::text IS NULL OR e.occurrence = $10) "
            "AND e.received_at >= $11 AND e.received_at <= $12 "
            "ORDER BY received_at DESC, source DESC, epoch DESC, lane DESC, seq DESC LIMIT $13",
            *(after or _LAST), only.get("site"), only.get("type"), only.get("alarm"),
            only.get("occurrence"), only["since"], only["until"], limit,
        )  # fmt: skip

    async def incidents(
        self, scope: Scope, limit: int, after: tuple[Any, ...] | None, site: str | None,
        state: str,
    ) -> Rows:  # fmt: skip
        """Newest opened first; `state`: open, closed or all. What was merged shows elsewhere."""
        return await self._ask.fetch(
            scope,
            "SELECT i.*, f.names AS site_names FROM group_incident i "
            "JOIN factory f ON f.site = i.site WHERE {mine:i} "
            "AND (i.opened_at, i.site, i.id) < ($2, $3, $4) "
            "AND ($5::text IS NULL OR i.site = $5) AND i.status <> 'merged' "
            "AND ($6 = 'all' OR (i.status = 'closed') = ($6 = 'closed')) "
            "ORDER BY i.opened_at DESC, i.site DESC, i.id DESC LIMIT $7",
            *(after or _LAST[:3]), site, state, limit,
        )  # fmt: skip

    async def incident(self, scope: Scope, site: str, name: str) -> asyncpg.Record | None:
        """One; of one that became part of another, the other."""
        statement = (
            "SELECT i.*, f.names AS site_names FROM group_incident i "
            "JOIN factory f ON f.site = i.site WHERE {mine:i} AND i.site = $2 AND i.id = $3"
        )
        found = await self._ask.row(scope, statement, site, name)
        if found is not None and found["merged_into"]:
            other = await self._ask.row(scope, statement, site, found["merged_into"])
            return other or found
        return found

    async def labels_of(self, scope: Scope, site: str, occurrences: list[str]) -> Rows:
        """What people said these occurrences were."""
        return await self._ask.fetch(
            scope,
            "SELECT label, cause, count(*) AS count FROM outcome WHERE {mine} AND site = $2 "
            "AND occurrence = ANY($3::text[]) AND label <> '' GROUP BY 1, 2 ORDER BY 3 DESC",
            site, occurrences,
        )  # fmt: skip

    async def runs(
        self, scope: Scope, limit: int, after: tuple[Any, ...] | None, only: dict[str, Any]
    ) -> Rows:
        """Ends of runs, newest first, with how long it took until all was normal."""
        return await self._ask.fetch(
            scope,
            "SELECT p.*, CASE WHEN o.returned_at > 0 AND o.raised_at > 0 "
            "THEN (o.returned_at - o.raised_at) / 1000.0 END::float8 AS resolve_s "
            "FROM playbook_outcome p LEFT JOIN group_occurrence o "
            "ON o.site = p.site AND o.occurrence = p.occurrence "
            "WHERE {mine:p} AND (p.ended_at, p.site, p.run) < ($2, $3, $4) "
            "AND ($5::text IS NULL OR p.site = $5) AND ($6::text IS NULL OR p.playbook = $6) "
            "AND ($7::text IS NULL OR p.occurrence = $7) "
            "ORDER BY p.ended_at DESC, p.site DESC, p.run DESC LIMIT $8",
            *(after or _LAST[:3]), only.get("site"), only.get("playbook"), only.get("occurrence"),
            limit,
        )  # fmt: skip

    async def playbooks(self, scope: Scope, since: int, until: int) -> Rows:
        """How each version and variant has fared; drills are left out."""
        return await self._ask.fetch(
            scope,
            "SELECT p.playbook, p.version, p.variant, count(*) AS runs, "
            "count(*) FILTER (WHERE p.success) AS succeeded, count(DISTINCT p.site) AS sites, "
            "avg(p.duration_s)::float8 AS duration_s, "
            "avg((o.returned_at - o.raised_at) / 1000.0) FILTER (WHERE o.returned_at > 0 "
            "AND o.raised_at > 0)::float8 AS resolve_s "
            "FROM playbook_outcome p LEFT JOIN group_occurrence o "
            "ON o.site = p.site AND o.occurrence = p.occurrence WHERE {mine:p} AND NOT p.drill "
            "AND p.ended_at >= $2 AND p.ended_at <= $3 GROUP BY 1, 2, 3 "
            f"ORDER BY runs DESC, 1, 2, 3 LIMIT {LONGEST}",
            since, until,
        )  # fmt: skip

    async def by_priority(self, scope: Scope, since: int, until: int) -> Rows:
        """Sums by factory and priority over whole days."""
        return await self._ask.fetch(
            scope,
            "SELECT site, priority, sum(raised)::bigint AS raised, "
            "sum(annunciated)::bigint AS annunciated, sum(acked)::bigint AS acked, "
            "sum(ack_ms)::bigint AS ack_ms, sum(acked_1m)::bigint AS acked_1m, "
            "sum(acked_10m)::bigint AS acked_10m, sum(returned)::bigint AS returned, "
            f"sum(standing_ms)::bigint AS standing_ms FROM stat_day WHERE {{mine}} AND {_DAYS} "
            "GROUP BY 1, 2 ORDER BY 1, 2",
            since, until,
        )  # fmt: skip

    async def by_day(self, scope: Scope, since: int, until: int) -> Rows:
        """Annunciated alarms by factory and day."""
        return await self._ask.fetch(
            scope,
            "SELECT site, day, sum(raised)::bigint AS raised, sum(annunciated)::bigint "
            f"AS annunciated FROM stat_day WHERE {{mine}} AND {_DAYS} GROUP BY 1, 2 ORDER BY 1, 2",
            since, until,
        )  # fmt: skip

    async def floods(self, scope: Scope, since: int, until: int) -> Rows:
        """Hours that hold a flood, and the worst ten minutes, by factory."""
        return await self._ask.fetch(
            scope,
            f"SELECT site, count(DISTINCT ten / 6) FILTER (WHERE annunciated > {FLOOD}) AS hours, "
            "max(annunciated) AS worst FROM stat_ten WHERE {mine} "
            f"AND ten >= $2::bigint * {_TENS_A_DAY} AND ten < ($3::bigint + 1) * {_TENS_A_DAY} "
            "GROUP BY 1",
            since, until,
        )  # fmt: skip

    async def bad_actors(self, scope: Scope, since: int, until: int, limit: int) -> Rows:
        """The alarms that told most, by factory; share of all that the factory told."""
        return await self._ask.fetch(
            scope,
            "SELECT * FROM (SELECT s.site, s.alarm, s.annunciated, s.raised, s.standing_ms, "
            "a.asset, a.names, s.annunciated::float8 / nullif(sum(s.annunciated) "
            "OVER (PARTITION BY s.site), 0) AS share, row_number() OVER (PARTITION BY s.site "
            "ORDER BY s.annunciated DESC, s.raised DESC, s.alarm) AS place FROM ("
            "SELECT site, alarm, sum(annunciated)::bigint AS annunciated, sum(raised)::bigint "
            "AS raised, sum(standing_ms)::bigint AS standing_ms FROM stat_alarm "
            f"WHERE {{mine}} AND {_DAYS} GROUP BY 1, 2) s "
            "LEFT JOIN alarm_point a ON a.site = s.site AND a.alarm = s.alarm) ranked "
            "WHERE place <= $4 ORDER BY site, place",
            since, until, limit,
        )  # fmt: skip

    async def standing(self, scope: Scope, now: int) -> Rows:
        """What stands now, by factory, and of that for more than a day."""
        return await self._ask.fetch(
            scope,
            "SELECT site, count(*) AS standing, count(*) FILTER (WHERE raised_at < $2) AS stale "
            "FROM group_occurrence WHERE {mine} AND returned_at = 0 AND raised_at > 0 GROUP BY 1",
            now - DAY_MS,
        )  # fmt: skip

    async def causes(self, scope: Scope, since_ms: int, until_ms: int) -> Rows:
        """What people said caused alarms and incidents, by factory."""
        return await self._ask.fetch(
            scope,
            "SELECT site, what, cause, label, count(*) AS count FROM ("
            "SELECT site, 'occurrence' AS what, cause, label FROM outcome WHERE {mine} "
            "AND label <> '' AND raised_at >= $2 AND raised_at <= $3 UNION ALL "
            "SELECT site, 'incident', cause, outcome FROM group_incident WHERE {mine} "
            "AND status = 'closed' AND opened_at >= $2 AND opened_at <= $3) said "
            f"GROUP BY 1, 2, 3, 4 ORDER BY count DESC, 1, 2, 3, 4 LIMIT {LONGEST}",
            since_ms, until_ms,
        )  # fmt: skip

    async def compared(self, scope: Scope, by: str, since: int, until: int) -> Rows:
        """Sums of like with like: by process, asset class or tag class of the alarm's point."""
        column = {"process": "process", "asset_class": "asset_class", "tag_class": "tag_class"}[by]
        return await self._ask.fetch(
            scope,
            f"SELECT p.{column} AS kind, p.site, count(DISTINCT p.alarm) AS points, "
            "coalesce(sum(s.raised), 0)::bigint AS raised, "
            "coalesce(sum(s.annunciated), 0)::bigint AS annunciated, "
            "coalesce(sum(s.standing_ms), 0)::bigint AS standing_ms, "
            "coalesce(sum(l.nuisance), 0)::bigint AS nuisance, "
            "coalesce(sum(l.labelled), 0)::bigint AS labelled FROM alarm_point p LEFT JOIN ("
            "SELECT site, alarm, sum(raised) AS raised, sum(annunciated) AS annunciated, "
            f"sum(standing_ms) AS standing_ms FROM stat_alarm WHERE {{mine}} AND {_DAYS} "
            "GROUP BY 1, 2) s ON s.site = p.site AND s.alarm = p.alarm LEFT JOIN ("
            "SELECT site, alarm, count(*) FILTER (WHERE label = 'nuisance') AS nuisance, "
            "count(*) FILTER (WHERE label <> '') AS labelled FROM outcome WHERE {mine} "
            f"AND raised_at >= $2::bigint * {DAY_MS} AND raised_at < ($3::bigint + 1) * {DAY_MS} "
            "GROUP BY 1, 2) l ON l.site = p.site AND l.alarm = p.alarm "
            f"WHERE {{mine:p}} AND p.{column} <> '' GROUP BY 1, 2 ORDER BY 1, 2 LIMIT {LONGEST}",
            since, until,
        )  # fmt: skip

    async def factories(self, scope: Scope) -> Rows:
        """Names, tenants and what no figure holds."""
        return await self._ask.fetch(
            scope,
            "SELECT f.site, f.names, f.tenant, f.uncounted, f.last_seen FROM factory f "
            f"WHERE {{mine:f}} ORDER BY f.site LIMIT {LONGEST * 2}",
        )
