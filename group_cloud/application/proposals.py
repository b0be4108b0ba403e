"""The desk where people decide on proposals.

Called by the web; a decision, its signed directive and its audit entry are one transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from group_cloud.application.ports import ProposalRow, Proposals, RolloutRow, Transaction
from group_cloud.application.rollout.desk import Begin, RolloutDesk
from group_cloud.application.rollout.ports import Plans
from group_cloud.application.rollout.wording import summary_dto
from group_cloud.application.rollouts import Stores, in_force
from group_cloud.application.wording import proposal_dto
from group_cloud.domain.guardrails import Guardrails
from group_cloud.domain.proposal import ProposalStatus
from group_cloud.domain.rollout_plan import Plan
from group_cloud.domain.scope import ALL, Scope
from shared.alarm.shadow import bounds_of
from shared.clock import Clock
from shared.errors import Rejected
from shared.web import dto
from shared.web.dto_rollouts import RolloutRequest, RolloutSummary

LISTED = 100
LAG_MS = 600_000
"""How old a factory's own word on a setting may be when a proposal starts from it."""
Sites = Callable[[Scope], Awaitable[list[str] | None]]
"""The sites within a scope; None: all of them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a change set is to be rolled out, why, and who says so."""

    policy: str
    reason: str
    actor: str


class ProposalDesk:
    """Lists proposals and takes decisions."""

    def __init__(
        self, stores: Stores, plans: Plans, rollouts: RolloutDesk, clock: Clock, sites: Sites
    ) -> None:
        self._stores, self._plans, self._rollouts = stores, plans, rollouts
        self._clock, self._sites = clock, sites
        self._proposals: Proposals = stores.proposals
        self.on_change: Callable[[], None] = lambda: None
        self.on_begun: Callable[[], None] = lambda: None
        """A roll-out has begun: there is something to send, and more to do."""

    async def listed(self, scope: Scope = ALL) -> dto.ProposalList:
        """Newest proposals first, those within a scope."""
        sites = await self._sites(scope)
        rows = await self._proposals.listed(LISTED, sites)
        plans = await self._plans.of_proposals([row.id for row, _ in rows])
        return dto.ProposalList(
            proposals=[proposal_dto(row, sent, plans.get(row.id), sites) for row, sent in rows]
        )

    async def one(self, proposal: str, scope: Scope = ALL) -> dto.Proposal | Rejected:
        """One proposal within a scope."""
        sites = await self._sites(scope)
        async with self._stores.records.transaction() as tx:
            row = await self._proposals.get(tx, proposal)
            if row is None or not _within(row, sites):
                return Rejected("unknown_proposal", {"proposal": proposal})
            plans = await self._plans.of_proposals([row.id])
            return proposal_dto(row, await self._rollout(tx, row), plans.get(row.id), sites)

    async def decide(
        self, proposal: str, decision: str, reason: str, actor: str, scope: Scope = ALL
    ) -> dto.Proposal | Rejected:
        """Approve or reject; the same person's same decision again changes nothing."""
        sites = await self._sites(scope)
        async with self._stores.records.transaction() as tx:
            row = await self._proposals.get(tx, proposal)
            if row is None or not _within(row, sites):
                return Rejected("unknown_proposal", {"proposal": proposal})
            wanted: ProposalStatus = "approved" if decision == "approve" else "rejected"
            if row.status == wanted and row.decided_by == actor:
                plans = await self._plans.of_proposals([row.id])
                return proposal_dto(row, await self._rollout(tx, row), plans.get(row.id), sites)
            if row.status != "open":
                return _decided(row)
            if decision != "approve":
                rejected = await self._store(tx, row, wanted, reason, actor)
                answer = proposal_dto(rejected, None, None)
            else:
                begun = await self._approve(tx, [row], Wanted("", reason, actor))
                if isinstance(begun, Rejected):
                    return begun
                [approved], plan = begun
                answer = proposal_dto(approved, await self._rollout(tx, approved), plan)
        self.on_begun()
        self.on_change()
        return answer

    async def roll_out(
        self, request: RolloutRequest, actor: str, scope: Scope = ALL
    ) -> RolloutSummary | Rejected:
        """Approve several open proposals and roll them out as one change set, or none of them."""
        sites = await self._sites(scope)
        async with self._stores.records.transaction() as tx:
            rows: list[ProposalRow] = []
            for proposal in sorted(set(request.proposals)):  # one order of locks for everybody
                row = await self._proposals.get(tx, proposal)
                if row is None or not _within(row, sites):
                    return Rejected("unknown_proposal", {"proposal": proposal})
                if row.status != "open":
                    return _decided(row)
                rows.append(row)
            wanted = Wanted(request.policy, request.reason, actor)
            begun = await self._approve(tx, rows, wanted)
            if isinstance(begun, Rejected):
                return begun
        self.on_begun()
        self.on_change()
        return summary_dto(begun[1])

    async def _approve(
        self, tx: Transaction, rows: list[ProposalRow], wanted: Wanted
    ) -> tuple[list[ProposalRow], Plan] | Rejected:
        """Begin the roll-out first: what cannot begin is not approved."""
        for row in rows:
            if refusal := self._refusal(row) or await self._stale(tx, row):
                return refusal
        begin = Begin(rows, wanted.policy, wanted.reason, wanted.actor)
        plan = await self._rollouts.begin(tx, begin)
        if isinstance(plan, Rejected):
            return plan
        return [
            await self._store(tx, row, "approved", wanted.reason, wanted.actor) for row in rows
        ], plan

    @staticmethod
    def _refusal(row: ProposalRow) -> Rejected | None:
        """The guardrails once more, at the moment of signing."""
        bounds = row.body["bounds"]
        rails = Guardrails(bounds_of(bounds), float(bounds.get("step", 0.0)))
        return rails.refuse(row.current, row.proposed)

    async def _stale(self, tx: Transaction, row: ProposalRow) -> Rejected | None:
        """Whether the point has been changed since: the step was measured from, and a rollback
        would go back to, a setting that no longer runs."""
        sent = await self._stores.rollouts.of_edge(tx, row.point.site, row.point.edge)
        since = row.created_at - LAG_MS
        now = in_force([each for each in sent if each.at > since]).get(row.point.alarm)
        if now is None or now == row.current:
            return None
        return Rejected("proposal_stale", {"point": str(row.point), "proposal": row.id})

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
        return found if found is not None and row.id in found.proposals else None


def _within(row: ProposalRow, sites: list[str] | None) -> bool:
    return sites is None or row.point.site in sites


def _decided(row: ProposalRow) -> Rejected:
    return Rejected("already_decided", {"status": row.status, "by": row.decided_by or ""})
