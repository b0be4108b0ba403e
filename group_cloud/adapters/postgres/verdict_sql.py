"""What counts as people's verdict on an alarm, in SQL: one expression for all that count them.

Used by the stores of notices, of nuisance and of shelving; text only.
"""

from __future__ import annotations

from group_cloud.domain.shelving import NEWEST

JUDGED = "(o.label IN ('true', 'nuisance') OR (o.label = '' AND o.body->>'dismissed' = 'true'))"
"""A drill is no verdict, and neither is silence; who dismisses an alarm calls it nuisance."""
NUISANCE = "(o.label <> 'true')"
SPOTS = (
    "SELECT p.alarm, p.edge, p.priority, "
    "p.tuning IS NOT NULL AND p.tuning->'bounds'->>'locked' IS DISTINCT FROM 'true' AS tunable, "
    "coalesce(v.labels, 0) AS labels, coalesce(v.nuisance, 0) AS nuisance, v.last_true_at, "
    "coalesce(v.newest, 0) AS newest, coalesce(v.newest_nuisance, 0) AS newest_nuisance, "
    "v.true_said_at FROM alarm_point p LEFT JOIN (SELECT j.alarm, count(*) AS labels, "
    "count(*) FILTER (WHERE j.nuisance) AS nuisance, "
    "max(j.raised_at) FILTER (WHERE NOT j.nuisance) AS last_true_at, "
    f"count(*) FILTER (WHERE j.place <= {NEWEST}) AS newest, "
    f"count(*) FILTER (WHERE j.place <= {NEWEST} AND j.nuisance) AS newest_nuisance, "
    "max(greatest(j.raised_at, j.said_at)) FILTER (WHERE NOT j.nuisance) AS true_said_at "
    f"FROM (SELECT o.alarm, {NUISANCE} AS nuisance, o.raised_at, o.said_at, row_number() OVER "
    "(PARTITION BY o.alarm ORDER BY o.raised_at DESC, o.occurrence DESC) AS place "
    f"FROM outcome o WHERE o.site = $1 AND {JUDGED} AND ($3::text IS NULL OR o.alarm = $3)) j "
    "GROUP BY j.alarm) v ON v.alarm = p.alarm "
    "WHERE p.site = $1 AND ($3::text IS NULL OR p.alarm = $3) ORDER BY p.alarm LIMIT $2"
)
"""A factory's points, or one, with what people said of them; read into `Spot`."""
