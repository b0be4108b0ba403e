"""Notices of drift and the numbers they come from, in PostgreSQL.

Called by `application/notices`; rows only, it judges nothing. What people ask goes through the
scoped door.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import asyncpg

from group_cloud.adapters.postgres.scoped import Scoped, within
from group_cloud.adapters.postgres.verdict_sql import JUDGED, NUISANCE
from group_cloud.application.notices.ports import Fed, Feed, Notice, Site, Watched
from group_cloud.application.notices.watching import rates, shares
from group_cloud.domain.scope import Scope

DAY_MS = 86_400_000
MOST_POINTS = 5_000
_FIELDS = tuple(Notice.__slots__)
_SITES = (
    "SELECT f.site, d.first, r.at, r.body->'edges' AS edges FROM factory f "
    "JOIN (SELECT site, min(day) AS first FROM stat_day GROUP BY site) d ON d.site = f.site "
    "LEFT JOIN fleet_report r ON r.site = f.site ORDER BY f.site LIMIT 1000"
)
_FORECAST = (
    "SELECT changes, at FROM rollout_plan WHERE ended AND state = 'done' AND sites ? $1 "
    "ORDER BY at DESC LIMIT 500"
)
_ANSWERED = (
    "SELECT (raised_at / 86400000)::int AS day, count(*) AS finished, "
    f"count(*) FILTER (WHERE {JUDGED}) AS judged, "
    f"count(*) FILTER (WHERE {JUDGED} AND {NUISANCE}) AS nuisance FROM outcome o "
    "WHERE site = $1 AND raised_at >= $2 AND raised_at < $3 AND label <> 'drill' GROUP BY 1"
)


class NoticeStore:
    """Implements `NoticeRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool, self._ask = pool, Scoped(pool)

    async def sites(self) -> list[Site]:
        """Factories with figures."""
        return [
            Site(
                row["site"], row["first"], row["at"],
                _edges_told(row["edges"] or [], row["at"] or 0),
            )
            for row in await self._pool.fetch(_SITES)
        ]  # fmt: skip

    async def watched(self, site: str, feed: Feed) -> Watched | None:
        """How far a feed has come."""
        row = await self._pool.fetchrow(
            "SELECT began, day, data FROM drift_watch WHERE site = $1 AND feed = $2", site, feed
        )
        return Watched(row["began"], row["day"], row["data"]) if row else None

    async def numbers(
        self, site: str, feed: Feed, began: int, days: range, whole: Mapping[str, int]
    ) -> list[Fed]:
        """The numbers of these days, the oldest first; `whole`: see `rates`."""
        if not days:
            return []
        if feed == "labels":
            rows = await self._pool.fetch(
                _ANSWERED, site, days.start * DAY_MS, days.stop * DAY_MS, timeout=60
            )
            counts = {r["day"]: (r["finished"], r["judged"], r["nuisance"]) for r in rows}
            return shares(days, counts)
        points = await self._pool.fetch(
            "SELECT alarm, edge FROM alarm_point WHERE site = $1 ORDER BY alarm LIMIT $2",
            site, MOST_POINTS,
        )  # fmt: skip
        told = await self._pool.fetch(
            "SELECT alarm, day, raised FROM stat_alarm WHERE site = $1 AND day >= $2 AND day < $3",
            site, days.start, days.stop,
        )  # fmt: skip
        first = await self._pool.fetch(
            "SELECT alarm, min(day) AS day FROM stat_alarm WHERE site = $1 AND raised > 0 "
            "GROUP BY alarm", site,
        )  # fmt: skip
        raised = {(row["alarm"], row["day"]): row["raised"] for row in told}
        edges = {row["alarm"]: row["edge"] for row in points}
        began_at = {row["alarm"]: row["day"] for row in first}
        forecast = await self._forecast(site)
        return await asyncio.to_thread(
            rates, days, began, list(edges), raised, began_at, forecast, edges, whole
        )

    async def _forecast(self, site: str) -> dict[str, tuple[float, int]]:
        """What the newest roll-out that is done has forecast of each point."""
        found: dict[str, tuple[float, int]] = {}
        for row in await self._pool.fetch(_FORECAST, site):
            for change in row["changes"]:
                if change["site"] == site and change.get("per_day") is not None:
                    since = row["at"] // DAY_MS + 1
                    found.setdefault(change["alarm"], (float(change["per_day"]), since))
        return found

    async def advance(
        self, tx: asyncpg.Connection, /, site: str, feed: Feed, after: int, now: Watched, at: int
    ) -> bool:
        """Keep how far it has come; False: another process was there first."""
        done = await tx.execute(
            "INSERT INTO drift_watch AS w (site, feed, began, day, at, data) "
            "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (site, feed) DO UPDATE "
            "SET day = $4, at = $5, data = $6 WHERE w.day = $7",
            site, feed, now.began, now.day, at, now.data or {}, after,
        )  # fmt: skip
        return done != "INSERT 0 0"

    async def add(self, tx: asyncpg.Connection, /, made: Notice, most: int) -> bool:
        """A new notice; False: one about the same is open, or the factory has too many."""
        done = await tx.execute(
            "INSERT INTO drift_notice (id, site, what, alarm, edge, kind, day, before, now, trend, "
            "state, opened_at, taken_by, closed_by, reason) SELECT $1, $2::varchar, $3, "
            "$4::varchar, coalesce((SELECT p.edge FROM alarm_point p WHERE p.site = $2 "
            "AND p.alarm = $4), ''), $5, $6, "
            "$7, $8, $9, 'open', $10, '', '', '' WHERE (SELECT count(*) FROM drift_notice n "
            "WHERE n.site = $2 AND n.state <> 'closed') < $11 ON CONFLICT DO NOTHING",
            made.id, made.site, made.what, made.alarm, made.kind, made.day, made.before, made.now,
            made.trend, made.opened_at, most,
        )  # fmt: skip
        return done != "INSERT 0 0"

    async def get(self, tx: asyncpg.Connection, /, scope: Scope, notice: str) -> Notice | None:
        """One within a scope, locked."""
        row = await tx.fetchrow(
            within("SELECT n.* FROM drift_notice n WHERE {mine:n} AND n.id = $2 FOR UPDATE"),
            scope.listed, notice,
        )  # fmt: skip
        return Notice(**{name: row[name] for name in _FIELDS}) if row else None

    async def save(self, tx: asyncpg.Connection, /, notice: Notice) -> None:
        """Its state."""
        await tx.execute(
            "UPDATE drift_notice SET state = $2, taken_at = $3, taken_by = $4, closed_at = $5, "
            "closed_by = $6, reason = $7 WHERE id = $1",
            notice.id, notice.state, notice.taken_at, notice.taken_by, notice.closed_at,
            notice.closed_by, notice.reason,
        )  # fmt: skip

    async def listed(
        self, scope: Scope, site: str | None, state: str, limit: int
    ) -> list[asyncpg.Record]:
        """Newest first, with the names of point and factory."""
        return await self._ask.fetch(
            scope,
            "SELECT n.*, p.names, f.names AS site_names, count(*) OVER () AS of_all "
            "FROM drift_notice n "
            "JOIN factory f ON f.site = n.site "
            "LEFT JOIN alarm_point p ON p.site = n.site AND p.alarm = n.alarm WHERE {mine:n} "
            "AND ($2::text IS NULL OR n.site = $2) AND ($3 = 'all' OR n.state = $3 "
            "OR ($3 = 'live' AND n.state <> 'closed')) "
            "ORDER BY (n.state = 'closed'), n.opened_at DESC, n.id DESC LIMIT $4",
            site, state, limit,
        )  # fmt: skip

    async def prune(self, before: int) -> None:
        """Delete closed ones that are older, and watches of factories that have no figures."""
        await self._pool.execute(
            "DELETE FROM drift_notice WHERE state = 'closed' AND opened_at < $1", before
        )


def _edges_told(edges: list[dict[str, object]], at: int) -> dict[str, int]:
    """Until when the edges have told that hold anything back; one that is away and that its brain
    has not seen has told nothing."""
    found = {}
    for edge in edges:
        last, oldest = edge.get("last_seen"), edge.get("oldest_buffered_ms")
        until = at - int(oldest) if isinstance(oldest, (int, float)) else at
        if not edge.get("online", True):
            until = min(until, int(last) if isinstance(last, (int, float)) else 0)
        if until < at:
            found[str(edge.get("edge", ""))] = until
    return found
