"""Early warning in the group's PostgreSQL: windows, learners, models, pushes.

Called by `application/warning`; writes run in the caller's transaction. Rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import asyncpg

from group_cloud.application.warning.ports import Family, Held, Proposed, Pushed, Window
from shared.errors import StoreError
from shared.messages.warning import FLOAT_BYTES, PARTS, WarningWindows
from shared.postgres.pool import Connection

MOST_PLANTS = 32
"""Plants of one factory that are kept."""
_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
_MODEL = [each.name for each in fields(Proposed)]
_PUSH = [each.name for each in fields(Pushed)]
_FAMILIES = (
    "SELECT f.tenant, p.plant, array_agg(p.site ORDER BY p.site) AS sites, "
    "(array_agg(p.tags ORDER BY p.site))[1] AS tags, min(p.line) AS line FROM warning_plant p "
    "JOIN factory f ON f.site = p.site GROUP BY f.tenant, p.plant ORDER BY f.tenant, p.plant"
)
_KEEP = (
    "INSERT INTO warning_window AS w (plant, at, site, revision, label, fault, vector, learnt, "
    "received_at) SELECT $1, n.at, $2, $3, n.label, n.fault, n.vector, false, $8 FROM "
    "unnest($4::bigint[], $5::int[], $6::text[], $7::bytea[]) AS n(at, label, fault, vector) "
    "ON CONFLICT (plant, at, site) DO UPDATE SET revision = $3, label = EXCLUDED.label, "
    "fault = EXCLUDED.fault, vector = EXCLUDED.vector, learnt = false, received_at = $8 "
    "WHERE w.revision < $3"
)


class WarningStore:
    """Implements `WarningRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    # windows and learners

    async def keep_windows(self, tx: Connection, /, body: WarningWindows, at: int) -> bool:
        """Keep windows whose revision is newer; False if a site has too many plants."""
        others = await tx.fetchval(
            "SELECT count(*) FROM warning_plant WHERE site = $1 AND plant <> $2",
            body.site, body.plant,
        )  # fmt: skip
        if (others or 0) >= MOST_PLANTS:
            return False
        await tx.execute(
            "INSERT INTO warning_plant (site, plant, line, tags, at) VALUES ($1, $2, $3, $4, $5) "
            "ON CONFLICT (site, plant) DO UPDATE SET line = $3, at = $5",
            body.site, body.plant, body.line, body.tags, at,
        )  # fmt: skip
        size = PARTS * len(body.tags) * FLOAT_BYTES
        vectors = [body.vectors[i : i + size] for i in range(0, len(body.vectors), size)]
        await tx.execute(
            _KEEP, body.plant, body.site, body.revision, body.times, body.labels, body.faults,
            vectors, at,
        )  # fmt: skip
        return True

    async def families(self) -> list[Family]:
        """Plants with windows, by owner."""
        try:
            rows = await self._pool.fetch(_FAMILIES)
        except _FAULTS as error:
            raise StoreError(f"windows cannot be read: {error!r}") from error
        return [
            Family(row["tenant"], row["plant"], tuple(row["tags"]), tuple(row["sites"]),
                   row["line"])
            for row in rows
        ]  # fmt: skip

    async def first_new(self, family: Family, until: int) -> int | None:
        """The end of the oldest window that was not learnt, of those that end by `until`."""
        return await self._pool.fetchval(
            "SELECT min(at) FROM warning_window WHERE plant = $1 AND NOT learnt "
            "AND site = ANY($2::text[]) AND at <= $3", family.plant, list(family.sites), until,
        )  # fmt: skip

    async def windows(self, family: Family, after: int, until: int, most: int) -> list[Window]:
        """The newest `most` windows that end within (after, until], oldest first, by time and
        site."""
        rows = await self._pool.fetch(
            "SELECT at, site, label, fault, vector, revision FROM warning_window "
            "WHERE plant = $1 AND site = ANY($2::text[]) AND at > $3 AND at <= $4 "
            "ORDER BY at DESC, site DESC LIMIT $5",
            family.plant, list(family.sites), after, until, most,
        )  # fmt: skip
        return [Window(**dict(row)) for row in rows[::-1]]

    async def mark_learnt(
        self, tx: Connection, /, family: Family, windows: Sequence[Window], too_old: int | None
    ) -> None:
        """These revisions were learnt. `too_old`: what lies before the first of them and came
        before then was not read, as newer ones were enough; None: everything was read."""
        await tx.execute(
            "UPDATE warning_window w SET learnt = true FROM unnest($2::bigint[], $3::text[], "
            "$4::bigint[]) AS n(at, site, revision) WHERE w.plant = $1 AND w.at = n.at "
            "AND w.site = n.site AND w.revision = n.revision",
            family.plant, [w.at for w in windows], [w.site for w in windows],
            [w.revision for w in windows],
        )  # fmt: skip
        if too_old is None:
            return  # what was not read has come meanwhile: it is still to be learnt
        await tx.execute(
            "UPDATE warning_window SET learnt = true WHERE plant = $1 AND NOT learnt "
            "AND site = ANY($2::text[]) AND at < $3 AND received_at < $4",
            family.plant, list(family.sites), windows[0].at, too_old,
        )  # fmt: skip

    async def learner(self, family: Family) -> Held | None:
        """A learner as kept."""
        row = await self._pool.fetchrow(
            "SELECT day, state, figures, sites FROM warning_learner "
            "WHERE tenant = $1 AND plant = $2",
            family.tenant, family.plant,
        )  # fmt: skip
        return Held(**{**dict(row), "sites": tuple(row["sites"])}) if row else None

    async def keep_learner(self, tx: Connection, /, family: Family, held: Held, at: int) -> None:
        """Keep its state."""
        await tx.execute(
            "INSERT INTO warning_learner (tenant, plant, day, state, figures, at, sites) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, plant) DO UPDATE SET "
            "day = $3, state = $4, figures = $5, at = $6, sites = $7",
            family.tenant, family.plant, held.day, held.state, held.figures, at, list(held.sites),
        )  # fmt: skip

    # models

    async def newest(
        self, tx: Connection, /, tenant: str, plant: str, statuses: Sequence[str]
    ) -> Proposed | None:
        """The newest model in one of these states, locked."""
        row = await tx.fetchrow(
            "SELECT * FROM warning_model WHERE tenant = $1 AND plant = $2 "
            "AND status = ANY($3::text[]) ORDER BY created_at DESC, id DESC LIMIT 1 FOR UPDATE",
            tenant, plant, list(statuses),
        )  # fmt: skip
        return _proposed(row) if row else None

    async def model(self, tx: Connection, /, model: str) -> Proposed | None:
        """One model, locked."""
        row = await tx.fetchrow("SELECT * FROM warning_model WHERE id = $1 FOR UPDATE", model)
        return _proposed(row) if row else None

    async def save_model(self, tx: Connection, /, model: Proposed) -> None:
        """Insert or replace."""
        values = [getattr(model, name) for name in _MODEL]
        values[_MODEL.index("tags")] = list(model.tags)
        await tx.execute(
            f"INSERT INTO warning_model ({', '.join(_MODEL)}) VALUES ({_places(_MODEL)}) "
            "ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, "
            "first_by = EXCLUDED.first_by, decided_by = EXCLUDED.decided_by, "
            "decided_at = EXCLUDED.decided_at, reason = EXCLUDED.reason", *values,
        )  # fmt: skip

    # pushes

    async def next_counter(self, tx: Connection, /, site: str) -> int:
        """A factory's next number; nobody else gets it."""
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 11))", site)
        found = await tx.fetchval("SELECT max(counter) FROM warning_push WHERE site = $1", site)
        return 1 + (found or 0)

    async def save_push(self, tx: Connection, /, push: Pushed) -> None:
        """Insert or replace."""
        await tx.execute(
            f"INSERT INTO warning_push ({', '.join(_PUSH)}) VALUES ({_places(_PUSH)}) "
            "ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, code = EXCLUDED.code, "
            "params = EXCLUDED.params, at = EXCLUDED.at",
            *[getattr(push, name) for name in _PUSH],
        )  # fmt: skip

    async def push(self, tx: Connection, /, push: str) -> Pushed | None:
        """One push, locked."""
        row = await tx.fetchrow("SELECT * FROM warning_push WHERE id = $1 FOR UPDATE", push)
        return Pushed(**dict(row)) if row else None

    async def pushes_of(self, tx: Connection, /, models: Sequence[str]) -> list[Pushed]:
        """What was signed for these models, by number."""
        rows = await tx.fetch(
            "SELECT * FROM warning_push WHERE model = ANY($1::text[]) ORDER BY site, counter",
            list(models),
        )
        return [Pushed(**dict(row)) for row in rows]

    async def newest_pushes(
        self, tx: Connection, /, model: Proposed, sites: Sequence[str]
    ) -> dict[str, str]:
        """Site -> the model of the newest push for this plant, of this one and of all that the
        factory did not refuse."""
        rows = await tx.fetch(
            "SELECT DISTINCT ON (site) site, model FROM warning_push WHERE plant = $1 "
            "AND site = ANY($2::text[]) AND (status <> 'refused' OR model = $3) "
            "ORDER BY site, counter DESC",
            model.plant, list(sites), model.id,
        )  # fmt: skip
        return {row["site"]: row["model"] for row in rows}

    async def unheard(self, site: str | None = None) -> list[Pushed]:
        """What no factory has answered, by number."""
        rows = await self._pool.fetch(
            "SELECT * FROM warning_push WHERE status IN ('signed', 'sent') "
            "AND ($1::text IS NULL OR site = $1) ORDER BY site, counter LIMIT 1000",
            site,
        )
        return [Pushed(**dict(row)) for row in rows]

    async def prune(self, before: int) -> None:
        """Delete windows that ended before."""
        await self._pool.execute("DELETE FROM warning_window WHERE at < $1", before)


def _places(names: Sequence[str]) -> str:
    return ", ".join(f"${place}" for place in range(1, len(names) + 1))


def _proposed(row: asyncpg.Record) -> Proposed:
    return Proposed(**{**dict(row), "tags": tuple(row["tags"])})
