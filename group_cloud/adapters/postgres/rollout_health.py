"""The health gate's questions to the group's own tables: alarms told, faults missed, shadow counts.

Called by the drive of the roll-outs in its transaction; counts only, judges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from group_cloud.application.rollout.ports import PlanMove, Span
from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout_gate import Factory, Shadowed, Told, Watched
from shared.postgres.pool import Connection

HOUR_MS = 3_600_000
_TOLD = """
SELECT count(*) FROM group_event
WHERE site = $1 AND alarm = $2 AND time >= $3 AND time < $4 AND received_at >= $5
    AND body->>'kind' = 'raised'
"""
# A fault counts against the new setting if the engineer's own set told it (an episode of that set
# alone touches the fault) and the point itself raised nothing between its begin and its end. One
# that names no alarm is no matter of the point only where it is known to have lain in another line:
# people record it at the parent or at the neighbour, and nobody knows the trees of all sites.
_NAMED = """
(f.alarms ? $2 OR f.alarms = '[]'::jsonb AND NOT EXISTS (
    SELECT FROM alarm_point o WHERE o.site = $1 AND o.alarm = $2 AND o.process <> '' AND (
        SELECT bool_and(p.process NOT IN ('', o.process)) FROM alarm_point p
        WHERE p.site = $1 AND (f.line <> '' AND f.line IN (p.process, p.asset)
            OR f.asset <> '' AND f.asset = p.asset))))
"""
_MISSED = f"""
SELECT DISTINCT f.id FROM shadow_count c
CROSS JOIN LATERAL jsonb_array_elements(c.body->'engineer_only') e
JOIN fault f ON f.site = c.site AND NOT f.withdrawn
    AND f."end" >= (e->>0)::bigint
    AND f.start <= CASE WHEN (e->>1)::bigint = 0 THEN $4::bigint ELSE (e->>1)::bigint END
WHERE c.site = $1 AND c.edge = $6 AND c.alarm = $2
    AND c.day BETWEEN $3::bigint / 86400000 AND $4::bigint / 86400000
    AND (e->>0)::bigint >= $3::bigint AND (e->>0)::bigint < $4::bigint AND f.start >= $3::bigint
    AND {_NAMED}
    AND NOT EXISTS (
        SELECT 1 FROM group_event g WHERE g.site = $1 AND g.alarm = $2
            AND g.time BETWEEN f.start AND f."end" AND g.received_at >= $5::bigint
            AND g.body->>'kind' = 'raised')
ORDER BY f.id LIMIT 20
"""
_SHADOW = """
SELECT coalesce(sum(c.coverage * (c.until - c.since) / 86400000.0), 0) AS days,
    coalesce(sum((c.named->'candidate'->>0)::double precision), 0) AS alarms
FROM shadow_count c
WHERE c.site = $1 AND c.edge = $2 AND c.alarm = $3 AND c.until > $4 AND c.since < $5
    AND c.named ? 'candidate'
"""

# What the candidate would not have told of a recorded fault that the engineer's own set tells.
_SHADOW_MISSED = """
SELECT v.fault FROM shadow_verdict v
JOIN fault f ON f.site = v.site AND f.id = v.fault AND NOT f.withdrawn
WHERE v.site = $1 AND v.edge = $2 AND v.alarm = $3 AND f.start >= $4 AND f.start < $5
    AND (v.named->>'candidate')::double precision < 0
    AND (v.named->>'engineer')::double precision >= 0
ORDER BY v.fault LIMIT 20
"""

_FAULTS = f"""
SELECT count(*) FROM fault f WHERE f.site = $1 AND NOT f.withdrawn AND f.start >= $3
    AND f.start < $4 AND {_NAMED}
"""
_ENGINEER_ONLY = """
SELECT count(*) FROM shadow_count c CROSS JOIN LATERAL jsonb_array_elements(
    c.body->'engineer_only') e
WHERE c.site = $1 AND c.edge = $2 AND c.alarm = $3 AND (e->>0)::bigint BETWEEN $4 AND $5
    AND c.day BETWEEN $4::bigint / 86400000 AND $5::bigint / 86400000
"""
MOST_MOVES = 200


def _each(query: str, *columns: str) -> str:
    """The question of one point asked of every row of `q`: its numbered values are columns."""
    for number, column in enumerate(columns, 1):
        query = query.replace(f"${number}", f"q.{column}")
    return query


_THESE = (
    f"FROM (SELECT *, since - {HOUR_MS} AS heard FROM unnest($1::text[], $2::text[], $3::text[], "
    "$4::bigint[], $5::bigint[]) WITH ORDINALITY AS u(site, edge, alarm, since, until, n)) q"
)
_WATCHED = ("site", "alarm", "since", "until", "heard", "edge")
_COUNTED = ("site", "edge", "alarm", "since", "until")
_WATCHED_MANY = (
    f"SELECT ({_each(_TOLD, *_WATCHED)}) AS alarms, "
    f"ARRAY(SELECT m.id FROM ({_each(_MISSED, *_WATCHED)}) m) AS missed {_THESE} ORDER BY q.n"
)
_SHADOWED_MANY = (
    f"SELECT s.days, s.alarms, ARRAY({_each(_SHADOW_MISSED, *_COUNTED)}) AS missed {_THESE} "
    f"CROSS JOIN LATERAL ({_each(_SHADOW, *_COUNTED)}) s ORDER BY q.n"
)


class RolloutHealth:
    """Reads what the health gate needs."""

    async def watched(
        self, connection: Connection, point: Point, since: int, until: int
    ) -> Watched:
        """What a changed point has told since, and the recorded faults that it missed."""
        told = (point.site, point.alarm, since, until, since - HOUR_MS)
        alarms = await connection.fetchval(_TOLD, *told)
        missed = await connection.fetch(_MISSED, *told, point.edge)
        return Watched(point, since, until, alarms or 0, tuple(row["id"] for row in missed))

    async def shadowed(
        self, connection: Connection, point: Point, since: int, until: int
    ) -> Shadowed:
        """What the candidate would have told by the shadow counts of these days."""
        asked = (point.site, point.edge, point.alarm, since, until)
        row = await connection.fetchrow(_SHADOW, *asked)
        missed = await connection.fetch(_SHADOW_MISSED, *asked)
        assert row is not None
        return Shadowed(
            point, float(row["days"]), float(row["alarms"]), tuple(row["fault"] for row in missed)
        )

    async def watched_many(self, connection: Connection, spans: Sequence[Span]) -> list[Watched]:
        """`watched` for many points in one question, in their order."""
        rows = await connection.fetch(_WATCHED_MANY, *_columns(spans))
        return [
            Watched(point, since, until, row["alarms"], tuple(row["missed"]))
            for (point, since, until), row in zip(spans, rows, strict=True)
        ]

    async def shadowed_many(self, connection: Connection, spans: Sequence[Span]) -> list[Shadowed]:
        """`shadowed` for many points in one question, in their order."""
        rows = await connection.fetch(_SHADOWED_MANY, *_columns(spans))
        return [
            Shadowed(each[0], float(row["days"]), float(row["alarms"]), tuple(row["missed"]))
            for each, row in zip(spans, rows, strict=True)
        ]

    async def told(self, connection: Connection, point: Point, since: int, until: int) -> Told:
        """Recorded faults and episodes of the engineer's setting alone, in that time."""
        faults = await connection.fetchval(_FAULTS, point.site, point.alarm, since, until)
        alone = await connection.fetchval(
            _ENGINEER_ONLY, point.site, point.edge, point.alarm, since, until
        )
        return Told(faults or 0, alone or 0)

    async def moves(self, connection: Connection, plan: str) -> list[PlanMove]:
        """What happened to a roll-out, oldest first, as it was audited."""
        rows = await connection.fetch(
            "SELECT at, actor, action, data, why FROM audit WHERE target = $1 "
            "AND action LIKE 'rollout\\_%' ORDER BY id DESC LIMIT $2",
            plan, MOST_MOVES,
        )  # fmt: skip
        return [
            PlanMove(r["at"], r["actor"], r["action"], r["data"] or {}, r["why"] or "")
            for r in reversed(rows)
        ]

    async def factory(self, connection: Connection, site: str) -> Factory:
        """How far a factory has told its events."""
        row = await connection.fetchrow(
            "SELECT last_seen, edges_total - edges_online AS down FROM factory WHERE site = $1",
            site,
        )
        return Factory(row["last_seen"] or 0, max(0, row["down"])) if row else Factory()


def _columns(spans: Sequence[Span]) -> tuple[list[str], list[str], list[str], list[int], list[int]]:
    points = [point for point, _, _ in spans]
    return (
        [each.site for each in points], [each.edge for each in points],
        [each.alarm for each in points], [since for _, since, _ in spans],
        [until for _, _, until in spans],
    )  # fmt: skip
