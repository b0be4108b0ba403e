"""What of the incidents the group was told last, in PostgreSQL.

Called by `application/incidents/upward.py` on the connection of whoever writes incidents.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from factory_brain.adapters.postgres.incident_rows import INCIDENT_FIELDS, incident
from factory_brain.application.incidents.upward import Part, Untold
from shared.messages.floods import WORDS
from shared.postgres.pool import Connection

# A flood is told as soon as it is one: what it resembles is looked up from then on.
_STATUS = "i.status || CASE WHEN i.flood THEN ' flood' ELSE '' END"
_UNTOLD = (
    f"SELECT {', '.join(f'i.{name}' for name in INCIDENT_FIELDS)}, i.changed FROM incident i "
    "LEFT JOIN told_upward t ON t.kind = 'incident' AND t.name = i.id "
    "WHERE ($1::text[] IS NULL OR i.id = ANY($1)) AND i.changed > $4 "
    f"AND (t.name IS NULL OR t.status <> {_STATUS} OR (t.revision < i.changed AND t.at <= $2)) "
    "ORDER BY i.changed LIMIT $3"
)
_HELD_BACK = (
    "SELECT min(i.changed) FROM incident i JOIN told_upward t ON t.kind = 'incident' "
    "AND t.name = i.id WHERE i.changed > $1 AND t.revision < i.changed"
)
_PARTS = (
    "SELECT incident, occurrence, alarm, asset, run FROM (SELECT m.incident, m.occurrence, "
    "m.alarm, m.asset, o.run, row_number() OVER (PARTITION BY m.incident ORDER BY m.at, "
    "m.occurrence) AS place FROM incident_member m JOIN occurrence o USING (occurrence) "
    "WHERE m.incident = ANY($1::text[])) held WHERE place <= $2 ORDER BY incident, place"
)
_TOLD = (
    "INSERT INTO told_upward (kind, name, revision, status, at) SELECT 'incident', n.i, n.r, n.s, "
    "$4 FROM unnest($1::text[], $2::bigint[], $3::text[]) AS n(i, r, s) ON CONFLICT (kind, name) "
    "DO UPDATE SET revision = excluded.revision, status = excluded.status, at = excluded.at"
)


class IncidentTold:
    """Implements `ToldRows`."""

    def __init__(self) -> None:
        self._through = 0
        """All changes up to here were told when a sweep last looked."""

    async def untold(
        self, tx: Connection, /, names: Collection[str] | None, quiet: int, limit: int
    ) -> list[Untold]:
        """What the group is to hear now."""
        if names is not None:
            rows = await tx.fetch(_UNTOLD, list(names), quiet, limit, 0)
            return [Untold(incident(row), row["changed"]) for row in rows]
        rows = await tx.fetch(_UNTOLD, None, quiet, limit, self._through)
        if not rows:  # nothing is due; where the oldest that waits begins is found once more
            newest = await tx.fetchval("SELECT coalesce(max(changed), 0) FROM incident")
            waits = await tx.fetchval(_HELD_BACK, self._through)
            self._through = newest if waits is None else waits - 1
        return [Untold(incident(row), row["changed"]) for row in rows]

    async def parts(
        self, tx: Connection, /, names: Collection[str], limit: int
    ) -> dict[str, list[Part]]:
        """The earliest occurrences of each."""
        found: dict[str, list[Part]] = {}
        for row in await tx.fetch(_PARTS, list(names), limit):
            found.setdefault(row["incident"], []).append(Part(**dict(row)))
        return found

    async def closing_words(self, tx: Connection, /, names: Collection[str]) -> dict[str, str]:
        """What was said when these were contained and closed."""
        rows = await tx.fetch(
            "SELECT incident, left(string_agg(params->>'text', ' · ' ORDER BY at, id), $2) AS said "
            "FROM incident_entry WHERE incident = ANY($1::text[]) AND params->>'text' <> '' "
            "AND kind IN ('incident_contain', 'incident_close') GROUP BY incident",
            list(names), WORDS,
        )  # fmt: skip
        return {row["incident"]: row["said"] or "" for row in rows}

    async def told(self, tx: Connection, /, found: Sequence[Untold], at: int) -> None:
        """The group hears of these when the transaction commits."""
        await tx.execute(
            _TOLD,
            [each.incident.id for each in found], [each.revision for each in found],
            [
                each.incident.status + (" flood" if each.incident.flood else "")
                for each in found
            ],
            at,
        )  # fmt: skip

    async def points_told(self, tx: Connection, /) -> str:
        """The version of the alarm points that was told last."""
        found = await tx.fetchval(
            "SELECT status FROM told_upward WHERE kind = 'points' AND name = ''"
        )
        return found or ""

    async def tell_points(self, tx: Connection, /, version: str, at: int) -> None:
        """That one is told now."""
        await tx.execute(
            "INSERT INTO told_upward (kind, name, revision, status, at) "
            "VALUES ('points', '', 0, $1, $2) ON CONFLICT (kind, name) "
            "DO UPDATE SET status = $1, at = $2",
            version, at,
        )  # fmt: skip
