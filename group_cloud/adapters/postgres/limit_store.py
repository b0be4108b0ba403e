"""What the limit trainer reads: a factory's counted points with their days, verdicts and labels.

Called by the limit trainer and by the desk where people propose; rows only, it judges nothing.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import asyncpg

from group_cloud.adapters.postgres.scoped import Scoped
from group_cloud.application.limit_trainer import Wanted
from group_cloud.application.own_proposals import TunablePoint
from group_cloud.domain.evidence import Point
from group_cloud.domain.limit_evidence import COVERED, CountedDay, PointEvidence, SiteEvidence, Span
from group_cloud.domain.scope import Scope
from shared.alarm.grid import Grid
from shared.alarm.shadow import setting_of

DAY_MS = 86_400_000
MOST_POINTS = 400
_POINTS = (
    "SELECT p.* FROM alarm_point p WHERE p.site = $1 AND p.tuning IS NOT NULL AND EXISTS "
    "(SELECT 1 FROM shadow_count c WHERE c.site = p.site AND c.edge = p.edge AND "
    "c.alarm = p.alarm AND c.until > $2) AND ($3 = '' OR p.alarm = $3) "
    f"ORDER BY p.edge, p.alarm LIMIT {MOST_POINTS}"
)
_DAYS = (
    "SELECT day, since, until, coverage, digest, named, body, activations, standing "
    "FROM shadow_count WHERE site = $1 AND edge = $2 AND alarm = $3 AND until > $4 ORDER BY day"
)
_VERDICTS = (
    "SELECT v.alarm, v.fault, v.grid, v.delays FROM shadow_verdict v JOIN fault f ON "
    "f.site = v.site AND f.id = v.fault AND f.revision = v.fault_revision WHERE v.site = $1 "
    "AND NOT f.withdrawn AND f.\"end\" > $2 AND v.delays <> '' AND v.coverage >= $3"
)
_LABELS = (
    "SELECT alarm, label, raised_at, said_at FROM outcome WHERE site = $1 AND raised_at > $2 "
    "AND label IN ('true', 'nuisance')"
)
_ENOUGH = (
    "SELECT (SELECT count(*) FROM shadow_count WHERE site = $1 AND edge = $2 AND alarm = $3 "
    "AND coverage >= $4) >= $5 AND (SELECT count(*) FROM shadow_verdict WHERE site = $1 "
    "AND alarm = $3 AND delays <> '') >= $6"
)


class LimitStore:
    """Implements `LimitReads` and `TunablePoints`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool, self._ask = pool, Scoped(pool)

    async def tenants(self) -> dict[str, str]:
        """site -> tenant, of the factories with shadow counts; who recorded most faults first."""
        rows = await self._pool.fetch(
            "SELECT f.site, f.tenant FROM factory f WHERE EXISTS "
            "(SELECT 1 FROM shadow_count c WHERE c.site = f.site) ORDER BY "
            "(SELECT count(*) FROM fault x WHERE x.site = f.site AND NOT x.withdrawn) DESC, f.site"
        )
        return {row["site"]: row["tenant"] for row in rows}

    async def counted(self, point: Point, wanted: Wanted) -> bool:
        """Whether a point's counts speak for it, so that its labels alone need not."""
        return await self._pool.fetchval(
            _ENOUGH, point.site, point.edge, point.alarm, COVERED, max(1.0, wanted.min_days),
            max(1, wanted.min_faults),
        )  # fmt: skip

    async def evidence(self, site: str, since: int, alarm: str = "") -> SiteEvidence:
        """What is known of a factory's counted points, or of one of them."""
        faults = await self._pool.fetch(
            'SELECT id, start, "end", recorded_at, cause FROM fault WHERE site = $1 '
            'AND "end" > $2 AND NOT withdrawn ORDER BY start, id LIMIT 2000',
            site, since,
        )  # fmt: skip
        verdicts: dict[str, dict[str, tuple[str, bytes]]] = defaultdict(dict)
        for row in await self._pool.fetch(_VERDICTS, site, since, COVERED):
            digest = Grid.from_dict(row["grid"]).digest
            verdicts[row["alarm"]][row["fault"]] = (digest, row["delays"])
        labels: dict[str, list[asyncpg.Record]] = defaultdict(list)
        judged_at = [row["recorded_at"] for row in faults]
        for row in await self._pool.fetch(_LABELS, site, since):
            labels[row["alarm"]].append(row)
            judged_at.append(row["said_at"])
        rows = await self._pool.fetch(_POINTS, site, since, alarm)
        points = [
            await self._point(row, since, verdicts[row["alarm"]], labels[row["alarm"]])
            for row in rows
        ]
        return SiteEvidence(
            site, tuple(point for point in points if point is not None),
            tuple(Span(**dict(f)) for f in faults),
            tuple(sorted(judged_at)),
        )  # fmt: skip

    async def _point(
        self, row: Any, since: int, verdicts: dict[str, tuple[str, bytes]],
        labels: list[asyncpg.Record],
    ) -> PointEvidence | None:  # fmt: skip
        days = await self._pool.fetch(_DAYS, row["site"], row["edge"], row["alarm"], since)
        if not days:
            return None
        newest, tuning = days[-1], row["tuning"]
        digest = newest["digest"]  # days counted on other candidates do not add up with these
        return PointEvidence(
            point=Point(row["site"], row["edge"], row["alarm"]), key=_key(row, tuning["side"]),
            tag_class=row["tag_class"] or "other", side=tuning["side"],
            unit=tuning.get("unit", ""), names=row["names"],
            current=setting_of(tuning["setting"]), bounds=tuning["bounds"],
            grid=newest["body"]["grid"], line=row["process"] or row["asset"],
            days=tuple(_day(each) for each in days if each["digest"] == digest),
            verdicts={f: data for f, (own, data) in verdicts.items() if own == digest},
            labelled=frozenset(each["raised_at"] // DAY_MS for each in labels),
            true_alarms=sum(each["label"] == "true" for each in labels),
            nuisance=sum(each["label"] == "nuisance" for each in labels),
        )  # fmt: skip

    async def tunable(self, scope: Scope, site: str, alarm: str) -> TunablePoint | None:
        """One alarm point within a scope."""
        row = await self._ask.row(
            scope, "SELECT p.* FROM alarm_point p WHERE {mine:p} AND p.site = $2 AND p.alarm = $3",
            site, alarm,
        )  # fmt: skip
        if row is None:
            return None
        return TunablePoint(
            Point(row["site"], row["edge"], row["alarm"]), row["process"] or row["asset"],
            row["names"], row["tuning"],
        )  # fmt: skip

    async def all_tunable(self, scope: Scope, site: str, limit: int) -> list[TunablePoint]:
        """Those of a factory that may be moved."""
        rows = await self._ask.fetch(
            scope,
            "SELECT p.* FROM alarm_point p WHERE {mine:p} AND p.site = $2 "
            "AND p.tuning IS NOT NULL ORDER BY p.process, p.asset, p.alarm LIMIT $3",
            site, limit,
        )  # fmt: skip
        return [
            TunablePoint(
                Point(row["site"], row["edge"], row["alarm"]), row["process"] or row["asset"],
                row["names"], row["tuning"],
            )
            for row in rows
        ]  # fmt: skip


def _day(row: asyncpg.Record) -> CountedDay:
    body, live = row["body"], row["named"].get("live", [0.0])
    return CountedDay(
        row["day"], row["since"], row["until"], row["coverage"], row["activations"],
        row["standing"], float(live[0]), body.get("mean"), body.get("sigma"),
    )  # fmt: skip


def _key(row: Any, side: str) -> str:
    """Like points of like assets in the same process; without a process it is like no other."""
    if not row["process"]:
        return f"{row['site']}/{row['alarm']}"
    own = row["alarm"].removeprefix(row["asset"]).lstrip(".-:")
    return f"{row['process']}/{row['asset_class']}/{own}/{side}"
