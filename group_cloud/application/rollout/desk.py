"""The desk of the roll-outs: begin, agree, pause, resume, abort; lists and details for people.

Called by the web and by the proposals' desk; what people decide and its audit entry are one
transaction. What follows from it is the drive's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from group_cloud.application.ports import ProposalRow, Transaction
from group_cloud.application.rollout.drive import Drive, PlanStores, sent_of
from group_cloud.application.rollout.figures import factories_of, gate_of, move_dto
from group_cloud.application.rollout.wording import beyond, detail_dto, summary_dto
from group_cloud.domain.rollout_plan import Change, Plan, line_of
from group_cloud.domain.rollout_policy import Policy
from group_cloud.domain.rollout_step import Become, enter, outstanding
from group_cloud.domain.scope import ALL, Scope
from group_cloud.domain.two_people import same_person
from shared.clock import Clock
from shared.errors import Rejected
from shared.ids import uuid7
from shared.web import dto_rollouts as dto

LISTED = 100
Sites = Callable[[Scope], Awaitable[list[str] | None]]
"""The sites within a scope; None: all of them."""
AsksForTwo = Callable[[Transaction, set[str]], Awaitable[list[str]]]


async def _nobody(_: Transaction, __: set[str]) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class Begin:
    """What somebody wants rolled out."""

    proposals: Sequence[ProposalRow]
    policy: str
    reason: str
    actor: str


class RolloutDesk:
    """Where people steer roll-outs."""

    def __init__(
        self, stores: PlanStores, drive: Drive, clock: Clock, policies: Mapping[str, Policy],
        usual: str, sites: Sites,
    ) -> None:  # fmt: skip
        self._stores, self._drive, self._clock, self._sites = stores, drive, clock, sites
        self._policies, self._usual = policies, usual
        self.on_change: Callable[[], None] = lambda: None
        self.four_eyes: AsksForTwo = _nobody
        """Which of some sites ask for a second person, whatever the policy."""

    async def begin(self, tx: Transaction, wanted: Begin) -> Plan | Rejected:
        """A new roll-out of approved proposals, in the caller's transaction."""
        changes = [_change(row) for row in wanted.proposals]
        proposals = tuple(row.id for row in wanted.proposals)
        return await self.begin_changes(
            tx, changes, wanted.policy, wanted.reason, wanted.actor, proposals
        )

    async def begin_changes(
        self, tx: Transaction, changes: Sequence[Change], policy_name: str, reason: str,
        actor: str, proposals: tuple[str, ...] = (),
    ) -> Plan | Rejected:  # fmt: skip
        """A new roll-out of these changes, of proposals or of a person's own push."""
        name = policy_name or self._usual
        policy = self._policies.get(name)
        if policy is None:
            return Rejected("unknown_policy", {"policy": name, "known": sorted(self._policies)})
        wanting = await self.four_eyes(tx, {change.point.site for change in changes})
        if wanting:
            policy = replace(policy, four_eyes=True)
        await self._stores.plans.lock_all(tx)
        for change in changes:
            if await self._stores.rollouts.planned(tx, change.point):
                return Rejected("point_in_rollout", {"point": str(change.point)})
        now = self._clock.now_ms()
        plan = Plan(
            id=uuid7(self._clock), state="waiting", policy_name=name, policy=policy,
            changes=tuple(changes), proposals=proposals, created_at=now, created_by=actor,
            expires_at=now + round(policy.expires_s * 1000), reason=reason, at=now,
        )  # fmt: skip
        await self._stores.plans.insert(tx, plan)
        await self._stores.audit(
            tx, now, actor, "rollout_begun", plan.id,
            {"policy": name, "points": [str(change.point) for change in changes],
             "proposals": list(plan.proposals), "reason": reason, "four_eyes": policy.four_eyes,
             "asked_by_sites": wanting},
        )  # fmt: skip
        if policy.four_eyes:
            return plan
        plan = await self._drive.become(tx, plan, enter(plan, None), actor)
        return await self._drive.move(tx, plan) or plan

    async def act(
        self, plan_id: str, action: str, reason: str, actor: str, scope: Scope = ALL
    ) -> dto.RolloutDetail | Rejected:
        """Agree, pause, resume or abort."""
        sites = await self._sites(scope)
        async with self._stores.records.transaction() as tx:
            plan = await self._stores.plans.get(tx, plan_id)
            if plan is None or not _touches(plan, sites):
                return Rejected("unknown_rollout", {"rollout": plan_id})
            if others := beyond(plan, sites):
                # How many, not which: their names are the other tenants'.
                return Rejected("other_tenant", {"sites": len(others)})
            move = await self._wanted(tx, plan, action, actor)
            if isinstance(move, Rejected):
                return move
            if action == "agree":
                plan = replace(plan, agreed_by=actor)
            try:
                moved = await self._drive.become(tx, plan, move, actor)
            except ValueError:
                return Rejected("rollout_state", {"state": plan.state, "action": action})
            await self._stores.audit(
                tx, moved.at, actor, f"rollout_{action}", plan_id, {"reason": reason}
            )
            answer = await self._detail(tx, moved, sites)
        self._drive.wake()
        self.on_change()
        return answer

    async def _wanted(
        self, tx: Transaction, plan: Plan, action: str, actor: str
    ) -> Become | Rejected:
        """The move that an action asks for."""
        match action:
            case "agree":
                if plan.state != "waiting":
                    return Rejected("rollout_state", {"state": plan.state, "action": action})
                if same_person(actor, plan.created_by):
                    return Rejected("same_person", {"actor": actor})
                return enter(plan, None)
            case "pause":
                return Become("pause")
            case "resume":
                return Become(f"resume_{plan.stage}")
            case _:
                rows = await self._stores.rollouts.of_plan(tx, plan.id)
                changed = outstanding([sent_of(row) for row in rows])
                return Become("fail" if changed else "refuse", "aborted", {"by": actor})

    async def listed(self, scope: Scope = ALL, before: str = "") -> dto.RolloutList:
        """Newest first."""
        sites = await self._sites(scope)
        plans = await self._stores.plans.listed(LISTED, before, sites)
        return dto.RolloutList(rollouts=[summary_dto(plan, sites) for plan in plans])

    async def detail(self, plan_id: str, scope: Scope = ALL) -> dto.RolloutDetail | None:
        """One roll-out with its stages and every edge's result, as far as it may be seen."""
        plan, sites = await self._stores.plans.one(plan_id), await self._sites(scope)
        if plan is None or not _touches(plan, sites):
            return None
        async with self._stores.records.transaction() as tx:
            return await self._detail(tx, plan, sites)

    async def _detail(
        self, tx: Transaction, plan: Plan, sites: list[str] | None
    ) -> dto.RolloutDetail:
        rows, health = await self._stores.rollouts.of_plan(tx, plan.id), self._stores.health
        gate, more = await gate_of(health, tx, plan, rows, sites, self._clock.now_ms())
        whole = not beyond(plan, sites)
        return detail_dto(plan, rows, sites).model_copy(
            update={
                "gate": gate, "gate_more": more,
                "factories": await factories_of(health, tx, plan, sites),
                "moves": [move_dto(each, whole) for each in await health.moves(tx, plan.id)],
            }
        )  # fmt: skip


def _touches(plan: Plan, sites: list[str] | None) -> bool:
    return len(beyond(plan, sites)) < len({change.point.site for change in plan.changes})


def _change(row: ProposalRow) -> Change:
    forecast, said = row.body.get("forecast") or {}, row.body.get("evidence") or {}
    return Change(
        row.point, str(row.body.get("line") or line_of(row.point.alarm)), row.current,
        row.proposed, str(row.body.get("side") or ""), forecast.get("per_day"),
        forecast.get("before_per_day"),
        (int(said.get("true_alarms") or 0), int(said.get("nuisance") or 0)) if said else None,
    )  # fmt: skip
