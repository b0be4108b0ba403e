"""People's verdicts, what was learnt of them, and the ranks of alarm points, in PostgreSQL.

Called by `application/nuisance`; rows only. What people ask goes through the scoped door.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import astuple

import asyncpg

from group_cloud.adapters.postgres.scoped import Scoped
from group_cloud.adapters.postgres.verdict_sql import JUDGED, NUISANCE, SPOTS
from group_cloud.application.nuisance.ports import (
    Learnt,
    Model,
    PointRank,
    Raised,
    Seen,
    Spot,
    Verdict,
)
from group_cloud.domain.scope import Scope

_VERDICT = f"o.occurrence, o.alarm, {NUISANCE} AS nuisance, o.raised_at"
_NEW = (
    f"SELECT {_VERDICT} FROM outcome o LEFT JOIN nuisance_label n ON n.site = o.site "
    f"AND n.occurrence = o.occurrence WHERE o.site = $1 AND {JUDGED} AND n.site IS NULL "
    "AND o.raised_at > 0 AND o.revision > coalesce((SELECT m.floor FROM nuisance_model m "
    "WHERE m.site = $1), 0) ORDER BY o.revision LIMIT $2"
)
_CHANGED = (
    "SELECT true FROM nuisance_label n JOIN outcome o ON o.site = n.site "
    f"AND o.occurrence = n.occurrence WHERE n.site = $1 AND (NOT coalesce({JUDGED}, false) "
    f"OR {NUISANCE} <> n.nuisance) LIMIT 1"
)
_STANDING = (
    f"SELECT * FROM (SELECT {_VERDICT}, n.seen, o.revision FROM outcome o "
    "LEFT JOIN nuisance_label n ON n.site = o.site AND n.occurrence = o.occurrence "
    f"WHERE o.site = $1 AND {JUDGED} AND o.raised_at > 0 "
    "ORDER BY o.revision DESC LIMIT $2) held ORDER BY revision"
)
_RANKS = (
    "INSERT INTO nuisance_point (site, alarm, edge, probability, low, high, labels, nuisance, "
    "raised, last_true_at, because, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
)
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 13))"
_LABEL = (
    "INSERT INTO nuisance_label (site, occurrence, alarm, place, nuisance, raised_at, seen, "
    "logistic, bayes, said) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
    "ON CONFLICT (site, occurrence) DO NOTHING"
)


class NuisanceStore:
    """Implements `NuisanceRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool, self._ask = pool, Scoped(pool)

    async def sites(self) -> list[str]:
        """Factories with verdicts, or with a model."""
        rows = await self._pool.fetch(
            f"SELECT f.site FROM factory f WHERE EXISTS (SELECT 1 FROM outcome o "
            f"WHERE o.site = f.site AND {JUDGED}) OR EXISTS (SELECT 1 FROM nuisance_model m "
            "WHERE m.site = f.site) ORDER BY f.site LIMIT 1000"
        )
        return [row["site"] for row in rows]

    async def model(self, site: str) -> Model:
        """The newest."""
        row = await self._pool.fetchrow(
            "SELECT learnt, champion, data, floor FROM nuisance_model WHERE site = $1", site
        )
        return Model(*row) if row else Model()

    async def new(self, site: str, limit: int) -> list[Verdict]:
        """Verdicts that were not learnt and are not too old, in the order in which they came."""
        return [Verdict(*row) for row in await self._pool.fetch(_NEW, site, limit, timeout=60)]

    async def changed(self, site: str) -> bool:
        """Whether people have said otherwise of something that was learnt."""
        return bool(await self._pool.fetchval(_CHANGED, site, timeout=60))

    async def standing(
        self, site: str, limit: int
    ) -> tuple[list[tuple[Verdict, Seen | None]], int]:
        """The newest verdicts as they stand, in the order in which they came, and the revision up
        to which there are older ones."""
        rows = await self._pool.fetch(_STANDING, site, limit, timeout=60)
        held = [
            (
                Verdict(row["occurrence"], row["alarm"], row["nuisance"], row["raised_at"]),
                Seen(row["occurrence"], row["alarm"], *row["seen"]) if row["seen"] else None,
            )
            for row in rows
        ]
        return held, rows[0]["revision"] - 1 if len(rows) >= limit else 0

    async def raised(self, site: str, since: int, until: int, limit: int) -> list[Raised]:
        """What came up between, oldest first; of too many the newest."""
        rows = await self._pool.fetch(
            "SELECT occurrence, alarm, raised_at, returned_at FROM group_occurrence "
            "WHERE site = $1 AND raised_at >= $2 AND raised_at < $3 "
            "ORDER BY raised_at DESC LIMIT $4",
            site, since, until, limit, timeout=60,
        )  # fmt: skip
        return await asyncio.to_thread(lambda: [Raised(*row) for row in reversed(rows)])

    async def spots(self, site: str, limit: int) -> list[Spot]:
        """Alarm points with their verdicts."""
        return [Spot(*r) for r in await self._pool.fetch(SPOTS, site, limit, None, timeout=60)]

    async def keep(
        self, tx: asyncpg.Connection, /, site: str, before: Model, now: Model,
        learnt: Sequence[Learnt], at: int, *, anew: bool,
    ) -> bool:  # fmt: skip
        """Keep what was learnt, if nobody was there first."""
        await tx.execute(_LOCK, site)
        last = await tx.fetchval("SELECT learnt FROM nuisance_model WHERE site = $1", site)
        if (last or 0) != before.learnt:
            return False
        if anew:
            await tx.execute("DELETE FROM nuisance_label WHERE site = $1", site)
        await tx.executemany(_LABEL, [_label(site, each) for each in learnt])
        await tx.execute(
            "INSERT INTO nuisance_model (site, learnt, champion, at, data, floor) "
            "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (site) DO UPDATE SET learnt = $2, "
            "champion = $3, at = $4, data = $5, floor = $6",
            site, now.learnt, now.champion, at, now.data, now.floor,
        )  # fmt: skip
        return True

    async def keep_ranks(
        self, tx: asyncpg.Connection, /, site: str, ranks: Sequence[PointRank], at: int
    ) -> None:
        """In place of the factory's former ones."""
        await tx.execute(_LOCK, site)
        await tx.execute("DELETE FROM nuisance_point WHERE site = $1", site)
        await tx.executemany(
            _RANKS, [(site, *astuple(each)[:-1], list(each.because), at) for each in ranks]
        )

    async def models(self, scope: Scope, site: str | None) -> list[asyncpg.Record]:
        """Each factory's model without its state, with its verdicts counted."""
        return await self._ask.fetch(
            scope,
            "SELECT m.site, m.champion, m.at, count(n.site) AS labels, "
            "count(*) FILTER (WHERE n.nuisance) AS nuisance FROM nuisance_model m "
            "LEFT JOIN nuisance_label n ON n.site = m.site WHERE {mine:m} "
            "AND ($2::text IS NULL OR m.site = $2) GROUP BY m.site, m.champion, m.at "
            "ORDER BY m.site",
            site,
        )

    async def told(self, scope: Scope, site: str, limit: int) -> list[asyncpg.Record]:
        """The newest verdicts that were told before they were learnt."""
        return await self._ask.fetch(
            scope,
            "SELECT n.nuisance, n.logistic, n.bayes, n.said FROM nuisance_label n "
            "WHERE {mine:n} AND n.site = $2 AND n.said IS NOT NULL ORDER BY n.place DESC LIMIT $3",
            site, limit,
        )  # fmt: skip

    async def ranked(self, scope: Scope, site: str | None, limit: int) -> list[asyncpg.Record]:
        """Points, the likeliest nuisance first; of the same, what came up most."""
        return await self._ask.fetch(
            scope,
            "SELECT n.*, p.names, p.priority, count(*) OVER () AS of_all "
            "FROM nuisance_point n LEFT JOIN alarm_point p "
            "ON p.site = n.site AND p.alarm = n.alarm WHERE {mine:n} "
            "AND ($2::text IS NULL OR n.site = $2) "
            "ORDER BY n.probability DESC, n.raised DESC, n.site, n.alarm LIMIT $3",
            site, limit,
        )  # fmt: skip


def _label(site: str, each: Learnt) -> tuple[object, ...]:
    verdict, scored = each.verdict, each.scored
    return (
        site, verdict.occurrence, verdict.alarm, each.place, verdict.nuisance, verdict.raised_at,
        list(astuple(each.seen)[2:]), scored.logistic, scored.bayes, scored.said,
    )  # fmt: skip
