"""Factories' answers about proposals, and what each site asks of decisions, in PostgreSQL.

Called by the histories and by the roll-outs; rows only, it judges nothing.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec

from group_cloud.adapters.postgres.rollout_store import proposal_of
from group_cloud.application.histories import Known, Question
from group_cloud.application.ports import ProposalRow
from shared.messages.bodies import TrialAnswer

MOST = 500


class HistoryStore:
    """Implements `HistoryRows` and the roll-outs' question for four eyes."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def open(self) -> list[Question]:
        """Open proposals, newest first."""
        rows = await self._pool.fetch(
            "SELECT * FROM proposal WHERE status = 'open' ORDER BY created_at DESC, id DESC "
            f"LIMIT {MOST}"
        )
        found = map(proposal_of, rows)
        return [Question(row.id, row.point, row.current, row.proposed) for row in found]

    async def known(self) -> dict[str, Known]:
        """proposal -> what was answered, of open proposals."""
        rows = await self._pool.fetch(
            "SELECT h.proposal, h.digest, h.at, coalesce(h.body->'points', '[]') = '[]' AS empty "
            "FROM proposal_history h JOIN proposal p ON p.id = h.proposal WHERE p.status = 'open'"
        )
        return {row["proposal"]: Known(row["digest"], row["at"], row["empty"]) for row in rows}

    async def proposal(self, proposal: str) -> ProposalRow | None:
        """One proposal."""
        row = await self._pool.fetchrow("SELECT * FROM proposal WHERE id = $1", proposal)
        return proposal_of(row) if row else None

    async def answer(self, proposal: str) -> tuple[int, dict[str, Any]] | None:
        """When it came and what it says."""
        row = await self._pool.fetchrow(
            "SELECT at, body FROM proposal_history WHERE proposal = $1", proposal
        )
        return (row["at"], row["body"]) if row else None

    async def keep(self, tx: asyncpg.Connection, /, told: TrialAnswer, at: int) -> bool:
        """Keep an answer of the factory whose proposal it is; whether it was one."""
        return bool(
            await tx.fetchval(
                "INSERT INTO proposal_history AS h (proposal, digest, at, body) "
                "SELECT p.id, $2, $3, $4 FROM proposal p WHERE p.id = $1 AND p.site = $5 "
                "AND p.edge = $6 AND p.alarm = $7 "
                "ON CONFLICT (proposal) DO UPDATE SET digest = $2, at = $3, body = $4 "
                "RETURNING true",
                told.proposal, told.digest, at, msgspec.to_builtins(told), told.site, told.edge,
                told.alarm,
            )
        )  # fmt: skip

    async def four_eyes(self, tx: asyncpg.Connection, /, sites: set[str]) -> list[str]:
        """Those of the sites that ask for two people."""
        rows = await tx.fetch(
            "SELECT site FROM site_policy WHERE four_eyes AND site = ANY($1) ORDER BY site",
            sorted(sites),
        )
        return [row["site"] for row in rows]
