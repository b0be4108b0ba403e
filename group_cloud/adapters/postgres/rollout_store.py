"""Proposals, directives, their counters and model versions in PostgreSQL.

Called by the trainer, the desk, the dispatch and the reports; writes use the caller's transaction.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from group_cloud.application.ports import ProposalRow, RolloutRow
from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout import UNDECIDED
from group_cloud.learning.registry import KEPT_VERSIONS, next_version
from shared.alarm.shadow import setting_data, setting_of

_ROLLOUT = (
    "directive, plan, stage, kind, proposals, site, edge, counter, status, changes, payload, "
    "signature, expires_at, at, code, params, withdrawn"
)


def proposal_of(row: asyncpg.Record) -> ProposalRow:
    """A row of the table as a proposal."""
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
        plan=row["plan"],
        stage=row["stage"],
        kind=row["kind"],
        proposals=tuple(row["proposals"]),
        site=row["site"],
        edge=row["edge"],
        counter=row["counter"],
        status=row["status"],
        changes={alarm: setting_of(data) for alarm, data in row["changes"].items()},
        payload=row["payload"],
        signature=row["signature"],
        expires_at=row["expires_at"],
        at=row["at"],
        code=row["code"],
        params=row["params"],
        withdrawn=tuple(row["withdrawn"]),
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
        return proposal_of(row) if row else None

    async def get(self, connection: asyncpg.Connection, proposal: str) -> ProposalRow | None:
        """One proposal, locked."""
        row = await connection.fetchrow("SELECT * FROM proposal WHERE id = $1 FOR UPDATE", proposal)
        return proposal_of(row) if row else None

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

    async def listed(
        self, limit: int, sites: list[str] | None
    ) -> list[tuple[ProposalRow, RolloutRow | None]]:
        """Newest first, each with its rollout; of these sites, None: of all."""
        rows = await self._pool.fetch(
            "SELECT * FROM proposal WHERE $2::text[] IS NULL OR site = ANY($2) "
            "ORDER BY (status = 'open') DESC, created_at DESC LIMIT $1",
            limit, sites,
        )  # fmt: skip
        rollouts = await self._pool.fetch(
            f"SELECT {_ROLLOUT} FROM rollout WHERE kind = 'settings' AND proposals ?| $1 "
            "ORDER BY at, counter",
            [row["id"] for row in rows],
        )
        by_proposal: dict[str, RolloutRow] = {}
        for rollout in map(_rollout, rollouts):
            by_proposal |= dict.fromkeys(rollout.proposals, rollout)
        return [(proposal_of(row), by_proposal.get(row["id"])) for row in rows]


class RolloutStore:
    """Directives and their life cycle."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def next_counter(self, connection: asyncpg.Connection, site: str, target: str) -> int:
        """The target's next number; its row stays locked until the directive stands."""
        counter: int | None = await connection.fetchval(
            "INSERT INTO directive_counter (site, edge, counter) VALUES ($1, $2, 1) "
            "ON CONFLICT (site, edge) DO UPDATE SET counter = directive_counter.counter + 1 "
            "RETURNING counter",
            site, target,
        )  # fmt: skip
        assert counter is not None
        return counter

    async def save(self, connection: asyncpg.Connection, row: RolloutRow) -> None:
        """Insert, or change what may change: status, time, code."""
        await connection.execute(
            f"INSERT INTO rollout ({_ROLLOUT}) VALUES "
            "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) "
            "ON CONFLICT (directive) DO UPDATE SET status = $9, at = $14, code = $15, "
            "params = $16, withdrawn = $17",
            row.directive, row.plan, row.stage, row.kind, list(row.proposals), row.site, row.edge,
            row.counter, row.status,
            {alarm: setting_data(setting) for alarm, setting in row.changes.items()},
            row.payload, row.signature, row.expires_at, row.at, row.code, row.params,
            list(row.withdrawn),
        )  # fmt: skip

    async def get(self, connection: asyncpg.Connection, directive: str) -> RolloutRow | None:
        """One directive, locked."""
        row = await connection.fetchrow(
            f"SELECT {_ROLLOUT} FROM rollout WHERE directive = $1 FOR UPDATE", directive
        )
        return _rollout(row) if row else None

    async def of_edge(
        self, connection: asyncpg.Connection, site: str, edge: str
    ) -> list[RolloutRow]:
        """All directives of an edge that set something, by counter."""
        rows = await connection.fetch(
            f"SELECT {_ROLLOUT} FROM rollout WHERE site = $1 AND edge = $2 AND kind <> 'dry_run' "
            "ORDER BY counter",
            site, edge,
        )  # fmt: skip
        return [_rollout(row) for row in rows]

    async def of_plan(self, connection: asyncpg.Connection, plan: str) -> list[RolloutRow]:
        """All directives of a roll-out; those of one edge by their numbers."""
        rows = await connection.fetch(
            f"SELECT {_ROLLOUT} FROM rollout WHERE plan = $1 ORDER BY site, edge, counter", plan
        )
        return [_rollout(row) for row in rows]

    async def newest_of(self, connection: asyncpg.Connection, point: Point) -> RolloutRow | None:
        """The newest directive that brought this alarm point a new setting."""
        row = await connection.fetchrow(
            f"SELECT {_ROLLOUT} FROM rollout WHERE site = $1 AND edge = $2 AND changes ? $3 "
            "AND kind = 'settings' ORDER BY counter DESC LIMIT 1",
            point.site, point.edge, point.alarm,
        )  # fmt: skip
        return _rollout(row) if row else None

    async def planned(self, connection: asyncpg.Connection, point: Point) -> bool:
        """Whether a roll-out that has not ended changes this alarm point."""
        return bool(
            await connection.fetchval(
                "SELECT true FROM rollout_plan WHERE NOT ended AND points ? $1 LIMIT 1", str(point)
            )
        )

    async def unheard(self) -> list[RolloutRow]:
        """Directives that their factory has not decided on."""
        rows = await self._pool.fetch(
            f"SELECT {_ROLLOUT} FROM rollout WHERE status = ANY($1) ORDER BY site, edge, counter",
            list(UNDECIDED),
        )
        return [_rollout(row) for row in rows]

    async def sites(self) -> list[str]:
        """Sites that ever got a directive."""
        rows = await self._pool.fetch("SELECT DISTINCT site FROM directive_counter ORDER BY site")
        return [row["site"] for row in rows]

    async def newest_by_edge(self, site: str, *, dry_run: bool) -> dict[str, RolloutRow]:
        """The newest directive of each edge of a site that has been marked as sent."""
        rows = await self._pool.fetch(
            f"SELECT DISTINCT ON (edge) {_ROLLOUT} FROM rollout WHERE site = $1 "
            "AND (kind = 'dry_run') = $2 AND status <> 'signed' ORDER BY edge, counter DESC",
            site, dry_run,
        )  # fmt: skip
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
