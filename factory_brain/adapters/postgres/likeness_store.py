"""What the group said floods resemble, in the brain's PostgreSQL.

Called by `application/flood_likeness.py`; of an incident only the highest number is held.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from shared.messages.codec import decode, encode
from shared.messages.floods import FloodAnswer
from shared.postgres.pool import Connection


class PgLikenessStore:
    """Implements `LikenessRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def keep(
        self, tx: Connection, /, answers: Sequence[FloodAnswer], at: int
    ) -> list[FloodAnswer]:
        """Keep what is newer than what is held, of incidents that are known here."""
        rows = await tx.fetch(
            "INSERT INTO flood_likeness (incident, number, expires_at, received_at, body) "
            "SELECT n.i, n.n, n.e, $5, n.b FROM unnest($1::text[], $2::bigint[], $3::bigint[], "
            "$4::bytea[]) AS n(i, n, e, b) "
            "WHERE EXISTS (SELECT 1 FROM incident k WHERE k.id = n.i) "
            "ON CONFLICT (incident) DO UPDATE SET number = excluded.number, "
            "expires_at = excluded.expires_at, received_at = excluded.received_at, "
            "body = excluded.body WHERE flood_likeness.number < excluded.number "
            "RETURNING incident",
            [each.incident for each in answers], [each.number for each in answers],
            [each.expires_at for each in answers], [encode(each) for each in answers], at,
        )  # fmt: skip
        new = {row["incident"] for row in rows}
        return [each for each in answers if each.incident in new]

    async def of(self, incident: str, now: int) -> FloodAnswer | None:
        """What holds for an incident and has not expired."""
        body = await self._pool.fetchval(
            "SELECT body FROM flood_likeness WHERE incident = $1 AND expires_at > $2",
            incident, now,
        )  # fmt: skip
        return decode(body, FloodAnswer) if body is not None else None

    async def forget(self, now: int) -> None:
        """Delete what has expired."""
        await self._pool.execute("DELETE FROM flood_likeness WHERE expires_at <= $1", now)
