"""Proposals, rollouts, directive counters and model versions in PostgreSQL.

Called by the trainer, the desk, the dispatch and the reports; writes use the caller's transaction.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from group_cloud.application.ports import ProposalRow, RolloutRow
from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout import UNHEARD
from group_cloud.learning.registry import KEPT_VERSIONS, next_version
from shared.alarm.shadow import setting_data, setting_of

_ROLLOUT = (
    "directive, proposal, site, edge, alarm, counter, status, setting, payload, signature, "
    "expires_at, at, code, params, withdrawn"
)


def _proposal(row: asyncpg.Record) -> ProposalRow:
    return ProposalRow(
        id=row["id"],
        point=Point(row["site"], row["edge"], row["alarm"]),
        status=row["status"],
        created_at=row["created_at"],
        current=setting_of(row["current"]),
        proposed=setting_of(row["proposed"]),
        fingerprint=row["fingerprint"],
        nuisance=row["nuisance"],
        body=row["body"],
        decided_at=row["decided_at"],
        decided_by=row["decided_by"],
        reason=row["reason"],
    )


def _rollout(row: asyncpg.Record) -> RolloutRow:
    return RolloutRow(
        directive=row["directive"],
        proposal=row["proposal"],
        point=Point(row["site"], row["edge"], row["alarm"]),
        counter=row["counter"],
        status=row["status"],
        setting=setting_of(row["setting"]),
        payload=row["payload"],
        signature=row["signature"],
        expires_at=row["expires_at"],
        at=row["at"],
        code=row["code"],
        params=row["params"],
        withdrawn=row["withdrawn"],
    )


class ProposalStore:
    """Proposals and their decisions."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def lock_point(self, connection: asyncpg.Connection, point: Point) -> None:
        """One writer at a time for one alarm point (several replicas may train)."""
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", str(point)
        )

    async def newest(self, connection: asyncpg.Connection, point: Point) -> ProposalRow | None:
        """The newest proposal of a point, locked: a decision may be under way."""
        row = await connection.fetchrow(
            "SELECT * FROM proposal WHERE site = $1 AND edge = $2 AND alarm = $3 "
            "ORDER BY created_at DESC, id DESC LIMIT 1 FOR UPDATE",
            point.site, point.edge, point.alarm,
        )  # fmt: skip
        return _proposal(row) if row else None

    async def get(self, connection: asyncpg.Connection, proposal: str) -> ProposalRow | None:
        """One proposal, locked."""
        row = await connection.fetchrow("SELECT * FROM proposal WHERE id = $1 FOR UPDATE", proposal)
        return _proposal(row) if row else None

    async def save(self, connection: asyncpg.Connection, row: ProposalRow) -> None:
        """Insert or replace."""
        await connection.execute(
            "INSERT INTO proposal (id, site, edge, alarm, status, created_at, current, proposed, "
            "fingerprint, nuisance, body, decided_at, decided_by, reason) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) "
            "ON CONFLICT (id) DO UPDATE SET status = $5, current = $7, proposed = $8, "
            "fingerprint = $9, nuisance = $10, body = $11, decided_at = $12, decided_by = $13, "
            "reason = $14",
            row.id, row.point.site, row.point.edge, row.point.alarm, row.status, row.created_at,
            setting_data(row.current), setting_data(row.proposed), row.fingerprint, row.nuisance,
            row.body, row.decided_at, row.decided_by, row.reason,
        )  # fmt: skip

    async def listed(self, limit: int) -> list[tuple[ProposalRow, RolloutRow | None]]:
        """Newest first, each with its rollout."""
        rows = await self._pool.fetch(
            "SELECT * FROM proposal ORDER BY (status = 'open') DESC, created_at DESC LIMIT $1",
            limit,
        )
        rollouts = await self._pool.fetch(
            f"SELECT {_ROLLOUT} FROM rollout WHERE proposal = ANY($1)", [row["id"] for row in rows]
        )
        by_proposal = {row["proposal"]: _rollout(row) for row in rollouts}
        return [(_proposal(row), by_proposal.get(row["id"])) for row in rows]


class RolloutStore:
    """Directives and their life cycle."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def next_counter(self, connection: asyncpg.Connection, site: str, edge: str) -> int:
        """The target's next number; its row stays locked until the directive stands."""
        counter: int | None = await connection.fetchval(
            "INSERT INTO directive_counter (site, edge, counter) VALUES ($1, $2, 1) "
            "ON CONFLICT (site, edge) DO UPDATE SET counter = directive_counter.counter + 1 "
            "RETURNING counter",
            site, edge,
        )  # fmt: skip
        assert counter is not None
        return counter

    async def save(self, connection: asyncpg.Connection, row: RolloutRow) -> None:
        """Insert, or change what may change: status, time, code."""
        await connection.execute(
            f"INSERT INTO rollout ({_ROLLOUT}) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) "
            "ON CONFLICT (directive) DO UPDATE SET status = $7, at = $12, code = $13, "
            "params = $14, withdrawn = $15",
            row.directive, row.proposal, row.point.site, row.point.edge, row.point.alarm,
            row.counter, row.status, setting_data(row.setting), row.payload, row.signature,
            row.expires_at, row.at, row.code, row.params, row.withdrawn,
        )  # fmt: skip

    async def get(self, connection: asyncpg.Connection, directive: str) -> RolloutRow | None:
        """One rollout, locked."""
        row = await connection.fetchrow(
            f"SELECT {_ROLLOUT} FROM rollout WHERE directive = $1 FOR UPDATE", directive
        )
        return _rollout(row) if row else None

    async def of_edge(
        self, connection: asyncpg.Connection, site: str, edge: str
    ) -> list[RolloutRow]:
        """All rollouts of an edge by counter."""
        rows = await connection.fetch(
            f"SELECT {_ROLLOUT} FROM rollout WHERE site = $1 AND edge = $2 ORDER BY counter",
            site, edge,
        )  # fmt: skip
        return [_rollout(row) for row in rows]

    async def newest_of(self, connection: asyncpg.Connection, point: Point) -> RolloutRow | None:
        """The newest rollout that was made for this alarm point."""
        row = await connection.fetchrow(
            f"SELECT {_ROLLOUT} FROM rollout WHERE site = $1 AND edge = $2 AND alarm = $3 "
            "ORDER BY counter DESC LIMIT 1",
            point.site, point.edge, point.alarm,
        )  # fmt: skip
        return _rollout(row) if row else None

    async def unheard(self) -> list[RolloutRow]:
        """Rollouts whose factory has not answered."""
        rows = await self._pool.fetch(
            f"SELECT {_ROLLOUT} FROM rollout WHERE status = ANY($1) ORDER BY site, edge, counter",
            list(UNHEARD),
        )
        return [_rollout(row) for row in rows]

    async def sites(self) -> list[str]:
        """Sites that ever got a directive."""
        rows = await self._pool.fetch("SELECT DISTINCT site FROM directive_counter ORDER BY site")
        return [row["site"] for row in rows]

    async def newest_by_edge(self, site: str) -> dict[str, RolloutRow]:
        """The newest directive of each edge of a site."""
        rows = await self._pool.fetch(
            f"SELECT DISTINCT ON (edge) {_ROLLOUT} FROM rollout WHERE site = $1 "
            "ORDER BY edge, counter DESC",
            site,
        )
        return {row["edge"]: _rollout(row) for row in rows}


class ModelStore:
    """Versions of learnt models."""

    async def keep(
        self,
        connection: asyncpg.Connection,
        model: str,
        evidence: str,
        data: dict[str, Any],
        at: int,
    ) -> int:
        """Keep a model's state unless its evidence is that of the newest; returns its version."""
        row = await connection.fetchrow(
            "SELECT version, fingerprint FROM model_version WHERE model = $1 "
            "ORDER BY version DESC LIMIT 1",
            model,
        )
        last = (row["version"], row["fingerprint"]) if row else None
        made = next_version(model, last, evidence, data)
        if made is None:
            assert last is not None
            return last[0]
        await connection.execute(
            "INSERT INTO model_version (model, version, parent, fingerprint, created_at, data) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            model, made.version, made.parent, made.fingerprint, at, made.data,
        )  # fmt: skip
        await connection.execute(
            "DELETE FROM model_version WHERE model = $1 AND version <= $2",
            model, made.version - KEPT_VERSIONS,
        )  # fmt: skip
        return made.version
