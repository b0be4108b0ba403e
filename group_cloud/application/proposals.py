"""The desk where people decide on proposals.

Called by the web; a decision, its signed directive and its audit entry are one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from group_cloud.application.ports import ProposalRow, Proposals, RolloutRow, Transaction
from group_cloud.application.rollouts import Dispatch, Stores
from group_cloud.application.wording import proposal_dto
from group_cloud.domain.guardrails import Guardrails
from group_cloud.domain.proposal import ProposalStatus
from shared.alarm.shadow import bounds_of
from shared.clock import Clock
from shared.errors import Rejected
from shared.web import dto

LISTED = 100


class ProposalDesk:
    """Lists proposals and takes decisions."""

    def __init__(self, stores: Stores, dispatch: Dispatch, clock: Clock) -> None:
        self._stores, self._dispatch, self._clock = stores, dispatch, clock
        self._proposals: Proposals = stores.proposals
        self.on_change: Callable[[], None] = lambda: None

    async def listed(self) -> dto.ProposalList:
        """Newest proposals first."""
        rows = await self._proposals.listed(LISTED)
        return dto.ProposalList(proposals=[proposal_dto(row, rollout) for row, rollout in rows])

    async def decide(
        self, proposal: str, decision: str, reason: str, actor: str
    ) -> dto.Proposal | Rejected:
        """Approve or reject; the same person's same decision again changes nothing."""
        async with self._stores.records.transaction() as tx:
            row = await self._proposals.get(tx, proposal)
            if row is None:
                return Rejected("unknown_proposal", {"proposal": proposal})
            wanted: ProposalStatus = "approved" if decision == "approve" else "rejected"
            if row.status == wanted and row.decided_by == actor:
                return proposal_dto(row, await self._rollout(tx, row))
            if row.status != "open":
                return Rejected(
                    "already_decided", {"status": row.status, "by": row.decided_by or ""}
                )
            if decision == "approve" and (refusal := self._refusal(row)):
                return refusal
            decided = await self._store(tx, row, wanted, reason, actor)
            rollout = await self._dispatch.sign(tx, row, actor) if decision == "approve" else None
            answer = proposal_dto(decided, rollout)
        self._dispatch.wake()
        self.on_change()
        return answer

    @staticmethod
    def _refusal(row: ProposalRow) -> Rejected | None:
        """The guardrails once more, at the moment of signing."""
        bounds = row.body["bounds"]
        rails = Guardrails(bounds_of(bounds), float(bounds.get("step", 0.0)))
        return rails.refuse(row.current, row.proposed)

    async def _store(
        self, tx: Transaction, row: ProposalRow, status: ProposalStatus, reason: str, actor: str
    ) -> ProposalRow:
        now = self._clock.now_ms()
        decided = replace(row, status=status, decided_at=now, decided_by=actor, reason=reason)
        await self._proposals.save(tx, decided)
        await self._stores.audit(
            tx, now, actor, f"proposal_{status}", row.id,
            {"point": str(row.point), "reason": reason, "fingerprint": row.fingerprint},
        )  # fmt: skip
        return decided

    async def _rollout(self, tx: Transaction, row: ProposalRow) -> RolloutRow | None:
        found = await self._stores.rollouts.newest_of(tx, row.point)
        return found if found is not None and found.proposal == row.id else None
