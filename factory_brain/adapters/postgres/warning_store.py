"""What early warning keeps in the brain's PostgreSQL; writes run in the caller's transaction.

Called by `application/warning`; rows only, it judges nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, fields

import asyncpg

from factory_brain.application.warning.ports import EarlyWarning, Judged, Model, Norm, Settled
from factory_brain.domain.warning import Label
from shared.postgres.pool import Connection

_WARNING = [each.name for each in fields(EarlyWarning)]
_COLUMNS = ", ".join(_WARNING)
_VALUES = ", ".join(f"${place}" for place in range(1, len(_WARNING) + 1))
_CHANGED = ", ".join(
    f"{name} = EXCLUDED.{name}" for name in (
        "changed", "returned_at", "acked_by", "acked_at", "label", "label_by", "label_at"
    )
)  # fmt: skip
KEPT_WARNINGS_MS = 400 * 86_400_000


class WarningStore:
    """Implements `Rows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction that commits at the end of the block."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    # commissioning and windows

    async def norm(self, plant: str) -> Norm | None:
        """A plant's commissioning."""
        row = await self._pool.fetchrow("SELECT * FROM warning_norm WHERE plant = $1", plant)
        if row is None:
            return None
        tags, mean, sigma, days = (tuple(row[n]) for n in ("tags", "mean", "sigma", "days"))
        return Norm(row["plant"], tags, mean, sigma, days, row["made_at"])

    async def keep_norm(self, norm: Norm) -> Norm:
        """Keep it unless there is one; returns what is kept."""
        await self._pool.execute(
            "INSERT INTO warning_norm (plant, tags, mean, sigma, days, made_at) "
            "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            norm.plant, list(norm.tags), list(norm.mean), list(norm.sigma), list(norm.days),
            norm.made_at,
        )  # fmt: skip
        return await self.norm(norm.plant) or norm

    async def sent(self, plant: str, since: int) -> dict[int, Label]:
        """Window end -> the label that it was last sent with."""
        rows = await self._pool.fetch(
            "SELECT at, label, fault FROM warning_sent WHERE plant = $1 AND at > $2", plant, since
        )
        return {row["at"]: (row["label"], row["fault"]) for row in rows}

    async def sent_today(self, plant: str, since: int) -> int:
        """How many windows were sent since then."""
        return await self._pool.fetchval(
            "SELECT count(*) FROM warning_sent WHERE plant = $1 AND sent_at >= $2", plant, since
        )

    async def mark_sent(
        self, tx: Connection, /, plant: str, labels: Mapping[int, Label], at: int
    ) -> int:
        """Note what is sent; returns the revision of the message."""
        revision: int = await tx.fetchval(  # pyright: ignore[reportAssignmentType]
            "SELECT coalesce(max(revision), 0) + 1 FROM warning_sent WHERE plant = $1", plant
        )
        await tx.execute(
            "INSERT INTO warning_sent (plant, at, label, fault, revision, sent_at) "
            "SELECT $1, n.at, n.label, n.fault, $5, $6 FROM unnest($2::bigint[], $3::int[], "
            "$4::text[]) AS n(at, label, fault) ON CONFLICT (plant, at) DO UPDATE SET "
            "label = EXCLUDED.label, fault = EXCLUDED.fault, revision = $5, sent_at = $6",
            plant, list(labels), [each[0] for each in labels.values()],
            [each[1] for each in labels.values()], revision, at,
        )  # fmt: skip
        return revision

    # pushes

    async def settled(self, tx: Connection, /, counter: int) -> Settled | None:
        """What was done with a number."""
        row = await tx.fetchrow("SELECT * FROM warning_settled WHERE counter = $1", counter)
        return Settled(**dict(row)) if row else None

    async def highest(self, tx: Connection, /) -> int:
        """The highest number that was settled, which stays locked."""
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('warning_settled', 19))")
        found = await tx.fetchval("SELECT max(counter) FROM warning_settled")
        return found or 0

    async def settle(self, tx: Connection, /, done: Settled) -> None:
        """Keep what was done."""
        found = asdict(done)
        names = list(found)
        await tx.execute(
            f"INSERT INTO warning_settled ({', '.join(names)}) VALUES "
            f"({', '.join(f'${place}' for place in range(1, len(names) + 1))})",
            *found.values(),
        )

    async def models(self) -> list[Model]:
        """The newest applied push of each plant, if it is a model."""
        rows = await self._pool.fetch(
            "SELECT DISTINCT ON (plant) * FROM warning_settled WHERE status = 'applied' "
            "ORDER BY plant, counter DESC"
        )
        return [
            Model(r["push"], r["counter"], r["plant"], r["payload"], r["expires_at"], r["at"])
            for r in rows if r["kind"] == "model"
        ]  # fmt: skip

    # judgements and warnings

    async def judged(self, plant: str, since: int) -> list[Judged]:
        """What was said since then, oldest first."""
        rows = await self._pool.fetch(
            "SELECT * FROM warning_judged WHERE plant = $1 AND at >= $2 ORDER BY at", plant, since
        )
        return [Judged(**{**dict(row), "tags": tuple(row["tags"])}) for row in rows]

    async def keep_judged(self, tx: Connection, /, said: Judged) -> bool:
        """Keep a judgement; False if that window was judged before."""
        tag = await tx.execute(
            "INSERT INTO warning_judged (plant, at, push, silent, confidence, threshold, hit, "
            "tags, outside) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
            said.plant, said.at, said.push, said.silent, said.confidence, said.threshold, said.hit,
            list(said.tags), said.outside,
        )  # fmt: skip
        return tag.endswith(" 1")

    async def standing(self, tx: Connection, /, alarm: str) -> EarlyWarning | None:
        """The warning that stands, locked."""
        row = await tx.fetchrow(
            f"SELECT {_COLUMNS} FROM early_warning WHERE alarm = $1 AND returned_at IS NULL "
            "FOR UPDATE", alarm,
        )  # fmt: skip
        return _warning(row) if row else None

    async def put(self, tx: Connection, /, warning: EarlyWarning) -> bool:
        """Insert or replace; False where another one stands already."""
        values = [getattr(warning, name) for name in _WARNING]
        values[_WARNING.index("tags")] = list(warning.tags)
        if warning.returned_at is None and await tx.fetchval(
            "SELECT true FROM early_warning WHERE alarm = $1 AND returned_at IS NULL "
            "AND occurrence <> $2", warning.alarm, warning.occurrence,
        ):  # fmt: skip
            return False
        await tx.execute(
            f"INSERT INTO early_warning ({_COLUMNS}) VALUES ({_VALUES}) "
            f"ON CONFLICT (occurrence) DO UPDATE SET {_CHANGED}", *values,
        )  # fmt: skip
        return True

    async def get(self, tx: Connection, /, occurrence: str) -> EarlyWarning | None:
        """One warning, locked."""
        row = await tx.fetchrow(
            f"SELECT {_COLUMNS} FROM early_warning WHERE occurrence = $1 FOR UPDATE", occurrence
        )
        return _warning(row) if row else None

    async def shown(self, returned_since: int) -> list[EarlyWarning]:
        """Those that stand, or returned since then and were not acknowledged; oldest first."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM early_warning WHERE returned_at IS NULL OR "
            "(returned_at > $1 AND acked_at IS NULL) ORDER BY raised_at LIMIT 500",
            returned_since,
        )
        return [_warning(row) for row in rows]

    async def listed(self, limit: int) -> list[EarlyWarning]:
        """Newest first."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM early_warning ORDER BY raised_at DESC LIMIT $1", limit
        )
        return [_warning(row) for row in rows]

    async def forget(self, before: int) -> None:
        """Delete what was said and sent long ago; warnings stay longer."""
        await self._pool.execute("DELETE FROM warning_judged WHERE at < $1", before)
        await self._pool.execute("DELETE FROM warning_sent WHERE at < $1", before)
        await self._pool.execute(
            "DELETE FROM early_warning WHERE returned_at < $1", before - KEPT_WARNINGS_MS
        )


def _warning(row: asyncpg.Record) -> EarlyWarning:
    return EarlyWarning(**{**dict(row), "tags": tuple(row["tags"])})
