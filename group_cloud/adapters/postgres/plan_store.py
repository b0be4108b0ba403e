"""Roll-outs in PostgreSQL: written in the caller's transaction, read for people and for the drive.

Called by the roll-outs' desk and drive; rows only, no meaning.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from group_cloud.application.rollout.ports import RolloutSetting
from group_cloud.domain.rollout_plan import Change, Plan
from group_cloud.domain.rollout_policy import Policy

_COLUMNS = (
    "id, state, ended, stage, stage_at, policy_name, policy, changes, points, sites, proposals, "
    "created_at, created_by, agreed_by, reason, expires_at, code, params, hold, hold_params, "
    "excluded, at"
)
_LOCK = 19


def _plan(row: asyncpg.Record) -> Plan:
    return Plan(
        id=row["id"], state=row["state"], policy_name=row["policy_name"],
        policy=Policy.from_dict(row["policy"]),
        changes=tuple(Change.from_dict(each) for each in row["changes"]),
        proposals=tuple(row["proposals"]), created_at=row["created_at"],
        created_by=row["created_by"], expires_at=row["expires_at"], stage=row["stage"],
        stage_at=row["stage_at"], agreed_by=row["agreed_by"], reason=row["reason"],
        code=row["code"], params=row["params"], hold=row["hold"],
        hold_params=row["hold_params"], excluded=row["excluded"], at=row["at"],
    )  # fmt: skip


class PlanStore:
    """Roll-outs and their change sets."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def lock_all(self, connection: asyncpg.Connection) -> None:
        """One beginner at a time: no alarm point may be in two roll-outs."""
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)

    async def insert(self, connection: asyncpg.Connection, plan: Plan) -> None:
        """A new roll-out."""
        values = _values(plan)
        places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
        await connection.execute(
            f"INSERT INTO rollout_plan ({_COLUMNS}) VALUES ({places})", *values
        )

    async def save(self, connection: asyncpg.Connection, plan: Plan) -> None:
        """What may change of a roll-out."""
        await connection.execute(
            "UPDATE rollout_plan SET state = $2, ended = $3, stage = $4, stage_at = $5, "
            "agreed_by = $6, code = $7, params = $8, hold = $9, hold_params = $10, "
            "excluded = $11, at = $12 WHERE id = $1",
            plan.id, plan.state, plan.ended, plan.stage, plan.stage_at, plan.agreed_by, plan.code,
            dict(plan.params), plan.hold, dict(plan.hold_params), dict(plan.excluded), plan.at,
        )  # fmt: skip

    async def get(self, connection: asyncpg.Connection, plan: str) -> Plan | None:
        """One roll-out, locked."""
        row = await connection.fetchrow(
            f"SELECT {_COLUMNS} FROM rollout_plan WHERE id = $1 FOR UPDATE", plan
        )
        return _plan(row) if row else None

    async def free(self, connection: asyncpg.Connection, plan: str) -> Plan | None:
        """The same; None also while another process works on it."""
        row = await connection.fetchrow(
            f"SELECT {_COLUMNS} FROM rollout_plan WHERE id = $1 FOR UPDATE SKIP LOCKED", plan
        )
        return _plan(row) if row else None

    async def going(self) -> list[str]:
        """Roll-outs that have not ended, oldest first."""
        rows = await self._pool.fetch(
            "SELECT id FROM rollout_plan WHERE NOT ended ORDER BY created_at, id"
        )
        return [row["id"] for row in rows]

    async def listed(self, limit: int, before: str, sites: list[str] | None) -> list[Plan]:
        """Newest first, those that touch one of these sites; None: all."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM rollout_plan WHERE ($2 = '' OR id < $2) "
            "AND ($3::text[] IS NULL OR sites ?| $3) ORDER BY id DESC LIMIT $1",
            limit, before, sites,
        )  # fmt: skip
        return [_plan(row) for row in rows]

    async def one(self, plan: str) -> Plan | None:
        """One roll-out, to be shown."""
        row = await self._pool.fetchrow(f"SELECT {_COLUMNS} FROM rollout_plan WHERE id = $1", plan)
        return _plan(row) if row else None

    async def of_proposals(self, proposals: list[str]) -> dict[str, Plan]:
        """The newest roll-out of each of some proposals."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM rollout_plan WHERE proposals ?| $1 ORDER BY created_at, id",
            proposals,
        )
        return {each: plan for plan in map(_plan, rows) for each in plan.proposals}

    async def in_shadow(self) -> list[RolloutSetting]:
        """The settings that are to be counted in shadow now."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM rollout_plan WHERE NOT ended AND state IN ('shadow', 'paused')"
            " AND stage = 'shadow' ORDER BY id"
        )
        return [
            RolloutSetting(plan.id, change.point, change.new)
            for plan in map(_plan, rows) for change in plan.included()
        ]  # fmt: skip


def _values(plan: Plan) -> list[Any]:
    return [
        plan.id, plan.state, plan.ended, plan.stage, plan.stage_at, plan.policy_name,
        plan.policy.to_dict(), [each.to_dict() for each in plan.changes],
        [str(each.point) for each in plan.changes],
        sorted({each.point.site for each in plan.changes}), list(plan.proposals),
        plan.created_at, plan.created_by, plan.agreed_by, plan.reason, plan.expires_at,
        plan.code, dict(plan.params), plan.hold, dict(plan.hold_params), dict(plan.excluded),
        plan.at,
    ]  # fmt: skip
