"""Statements over floods that the store and the reads share; no connection here."""

from __future__ import annotations

from collections.abc import Sequence

ANSWER_FIELDS = (
    "site", "incident", "horizon", "at", "tenant", "known", "settled", "why", "trust",
    "remembered", "complete", "nearest", "others",
)  # fmt: skip
_INCIDENT = (
    "i.site, i.id, i.revision, i.status, i.flood, i.cause, i.outcome, i.opened_at, i.closed_at, "
    "i.body"
)
NEWS = (
    f"SELECT {_INCIDENT} FROM group_incident i LEFT JOIN flood l ON l.site = i.site "
    "AND l.incident = i.id WHERE i.flood AND (l.revision IS NULL OR l.revision < i.revision) "
    f"UNION ALL SELECT {_INCIDENT} FROM flood l JOIN group_incident i ON i.site = l.site "
    "AND i.id = l.incident WHERE NOT i.flood AND l.revision < i.revision LIMIT $1"
)
OURS = (
    "NOT EXISTS (SELECT 1 FROM jsonb_array_elements(a.others || CASE WHEN a.nearest IS NULL "
    "THEN '[]'::jsonb ELSE jsonb_build_array(a.nearest) END) AS n(o) LEFT JOIN factory g "
    "ON g.site = n.o->>'site' WHERE g.tenant IS DISTINCT FROM f.tenant)"
)
"""What a flood was held against still belongs to the tenant of its factory."""
NEWEST = (
    "LATERAL (SELECT b.* FROM flood_answer b WHERE b.site = l.site AND b.incident = l.incident "
    "ORDER BY b.horizon DESC LIMIT 1) a ON true"
)
TELLABLE = (
    f"SELECT l.first_at, l.number, l.told, {', '.join(f'a.{name}' for name in ANSWER_FIELDS)}, "
    f"{OURS} AS ours FROM (SELECT *, row_number() OVER (PARTITION BY site ORDER BY first_at DESC, "
    "incident) AS place FROM flood WHERE begun_at >= $1) l "
    f"JOIN factory f ON f.site = l.site JOIN {NEWEST} "
    "WHERE l.place <= $2 ORDER BY l.place, l.site LIMIT $3"
)
"""Of each factory the newest; where they are too many, as many of each."""
OPEN = (
    "SELECT l.site, l.incident, f.tenant, l.first_at, l.asked FROM flood l "
    "JOIN factory f ON f.site = l.site WHERE l.goes_on AND NOT l.settled ORDER BY row_number() "
    "OVER (PARTITION BY l.site ORDER BY l.first_at DESC, l.incident), l.first_at DESC, l.site "
    "LIMIT $1"
)
"""Each factory's newest, then their second: nobody's many floods hide another's only one."""


def add(table: str, columns: Sequence[str]) -> str:
    """An insert of one row."""
    values = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"
