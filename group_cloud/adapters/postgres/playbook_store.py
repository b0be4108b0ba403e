"""The group's playbooks in PostgreSQL: versions, roll-outs, pushes; writes in the caller's commit.

Called by `application/playbooks/`; rows only, no meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from group_cloud.application.playbooks.ports import Signed, Variant
from group_cloud.domain.playbook_rollout import ENDED, BookPlan, Part, Runs

_VARIANT = tuple(Variant.__dataclass_fields__)
_PLAN = tuple(BookPlan.__dataclass_fields__)
_PART = tuple(Part.__dataclass_fields__)
_PLANS, _PARTS = ", ".join(_PLAN), ", ".join(_PART)
_WINDOW_MS = 90 * 86_400_000


def _plan(row: asyncpg.Record) -> BookPlan:
    values: dict[str, Any] = {name: row[name] for name in _PLAN}
    return BookPlan(**{**values, "sites": tuple(values["sites"])})


def _part(row: asyncpg.Record) -> Part:
    return Part(**{name: row[name] for name in _PART})


def _values(plan: BookPlan) -> list[object]:
    found = {name: getattr(plan, name) for name in _PLAN}
    for name in ("inputs", "params", "evidence"):
        found[name] = dict(found[name])
    return [*({**found, "sites": list(plan.sites)}.values()), plan.state in ENDED]


def _places(count: int) -> str:
    return ", ".join(f"${n + 1}" for n in range(count))


class PlaybookStore:
    """Implements `BookRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def sites(self) -> list[str]:
        """Every factory."""
        return [row["site"] for row in await self._pool.fetch("SELECT site FROM factory")]

    async def lock(self, tx: asyncpg.Connection, /, what: str) -> None:
        """One at a time for a playbook, or for a factory's numbers."""
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 10))", what)

    async def add_variant(self, tx: asyncpg.Connection, /, variant: Variant) -> bool:
        """Keep a version; whether it was not there before."""
        done = await tx.execute(
            f"INSERT INTO playbook_variant ({', '.join(_VARIANT)}) "
            f"VALUES ({_places(len(_VARIANT))}) ON CONFLICT DO NOTHING",
            *(getattr(variant, name) for name in _VARIANT),
        )
        return done != "INSERT 0 0"

    async def variant(self, playbook: str, version: int | None = None) -> Variant | None:
        """One version, or the highest."""
        row = await self._pool.fetchrow(
            "SELECT * FROM playbook_variant WHERE playbook = $1 "
            "AND ($2::integer IS NULL OR version = $2) ORDER BY version DESC LIMIT 1",
            playbook, version,
        )  # fmt: skip
        return Variant(**{name: row[name] for name in _VARIANT}) if row else None

    async def variants(self) -> list[Variant]:
        """All of them, by name, the highest first."""
        rows = await self._pool.fetch(
            "SELECT * FROM playbook_variant ORDER BY playbook, version DESC LIMIT 1000"
        )
        return [Variant(**{name: row[name] for name in _VARIANT}) for row in rows]

    async def insert(self, tx: asyncpg.Connection, /, plan: BookPlan) -> None:
        """A new roll-out."""
        await tx.execute(
            f"INSERT INTO playbook_rollout ({_PLANS}, ended) VALUES ({_places(len(_PLAN) + 1)})",
            *_values(plan),
        )

    async def save(self, tx: asyncpg.Connection, /, plan: BookPlan) -> None:
        """What may change of a roll-out."""
        await tx.execute(
            "UPDATE playbook_rollout SET state = $2, ended = $3, agreed_by = $4, resumes = $5, "
            "stage_at = $6, hold = $7, code = $8, params = $9, at = $10 WHERE id = $1",
            plan.id, plan.state, plan.state in ENDED, plan.agreed_by, plan.resumes, plan.stage_at,
            plan.hold, plan.code, dict(plan.params), plan.at,
        )  # fmt: skip

    async def plan(
        self, tx: asyncpg.Connection, /, plan: str, *, free: bool = False
    ) -> BookPlan | None:
        """One roll-out, locked; with `free`, None while somebody else works on it."""
        row = await tx.fetchrow(
            f"SELECT {_PLANS} FROM playbook_rollout WHERE id = $1 FOR UPDATE"
            + (" SKIP LOCKED" if free else ""),
            plan,
        )
        return _plan(row) if row else None

    async def going(self) -> list[BookPlan]:
        """Roll-outs that have not ended, the oldest first."""
        rows = await self._pool.fetch(
            f"SELECT {_PLANS} FROM playbook_rollout WHERE NOT ended ORDER BY created_at, id"
        )
        return [_plan(row) for row in rows]

    async def listed(self, limit: int) -> list[tuple[BookPlan, list[Part]]]:
        """Newest first, with their pushes."""
        rows = await self._pool.fetch(
            f"SELECT {_PLANS} FROM playbook_rollout ORDER BY created_at DESC, id DESC LIMIT $1",
            limit,
        )
        pushes = await self._pool.fetch(
            f"SELECT {_PARTS}, rollout FROM playbook_push WHERE rollout = ANY($1::text[]) "
            "ORDER BY id",
            [row["id"] for row in rows],
        )
        parts: dict[str, list[Part]] = {}
        for row in pushes:
            parts.setdefault(row["rollout"], []).append(_part(row))
        return [(_plan(row), parts.get(row["id"], [])) for row in rows]

    async def parts(self, tx: asyncpg.Connection, /, plan: str) -> list[Part]:
        """A roll-out's pushes in the order of their making."""
        rows = await tx.fetch(
            f"SELECT {_PARTS} FROM playbook_push WHERE rollout = $1 ORDER BY id", plan
        )
        return [_part(row) for row in rows]

    async def next_counter(self, tx: asyncpg.Connection, /, site: str) -> int:
        """A factory's next number; nobody else gets it."""
        await self.lock(tx, f"site/{site}")
        newest = await tx.fetchval("SELECT max(counter) FROM playbook_push WHERE site = $1", site)
        return (newest or 0) + 1

    async def add_push(self, tx: asyncpg.Connection, /, signed: Signed) -> None:
        """Keep a new push."""
        part = signed.part
        values = [getattr(part, name) for name in _PART]
        values[_PART.index("params")] = dict(part.params)
        await tx.execute(
            f"INSERT INTO playbook_push ({_PARTS}, rollout, payload, signature) "
            f"VALUES ({_places(len(_PART) + 3)})",
            *values, signed.rollout, signed.payload, signed.signature,
        )  # fmt: skip

    async def push(self, tx: asyncpg.Connection, /, push: str) -> tuple[Part, str] | None:
        """One push, locked, and its roll-out."""
        row = await tx.fetchrow(
            f"SELECT {_PARTS}, rollout FROM playbook_push WHERE id = $1 FOR UPDATE", push
        )
        return (_part(row), row["rollout"]) if row else None

    async def save_push(self, tx: asyncpg.Connection, /, part: Part) -> None:
        """What may change of a push."""
        await tx.execute(
            "UPDATE playbook_push SET status = $2, version = $3, code = $4, params = $5, at = $6 "
            "WHERE id = $1",
            part.id, part.status, part.version, part.code, dict(part.params), part.at,
        )  # fmt: skip

    async def unheard(self, site: str | None = None) -> list[Signed]:
        """Pushes that no factory has answered, in the order of their numbers."""
        rows = await self._pool.fetch(
            f"SELECT {_PARTS}, rollout, payload, signature FROM playbook_push "
            "WHERE status IN ('signed', 'sent') AND ($1::text IS NULL OR site = $1) "
            "ORDER BY site, counter",
            site,
        )
        return [Signed(_part(r), r["rollout"], r["payload"], r["signature"]) for r in rows]

    async def runs(
        self, tx: asyncpg.Connection, /, playbook: str, site: str, since: int, sites: Sequence[str]
    ) -> Runs:
        """How runs ended at a factory since then, and at all these before."""
        row = await tx.fetchrow(
            "SELECT count(*) FILTER (WHERE site = $2 AND started_at >= $3) AS runs, "
            "count(*) FILTER (WHERE site = $2 AND started_at >= $3 AND success) AS succeeded, "
            "count(*) FILTER (WHERE started_at < $3) AS runs_before, "
            "count(*) FILTER (WHERE started_at < $3 AND success) AS succeeded_before "
            "FROM playbook_outcome WHERE playbook = $1 AND NOT drill AND success IS NOT NULL "
            "AND site = ANY($4::text[]) AND ended_at >= $5",
            playbook, site, since, list(sites), since - _WINDOW_MS,
        )  # fmt: skip
        assert row is not None
        return Runs(**dict(row))
