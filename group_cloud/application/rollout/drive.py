"""Moves roll-outs on: one small move, one transaction, until there is nothing to do but wait.

Woken by reports, decisions and the clock; its only state is the database, so that it may be killed
at any point and goes on where it was. What to do is decided in `domain/rollout_step.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from group_cloud.application.ports import Audit, Records, RolloutRow, Rollouts, Transaction
from group_cloud.application.rollout.ports import Health, Plans
from group_cloud.application.rollouts import Dispatch, Order, alarm_setting
from group_cloud.domain.rollout_gate import Factory
from group_cloud.domain.rollout_plan import Plan, advance
from group_cloud.domain.rollout_policy import STAGES, Stage
from group_cloud.domain.rollout_step import (
    Become,
    Exclude,
    Hold,
    Move,
    Seen,
    Sent,
    Sign,
    next_move,
    outstanding,
)
from shared.clock import Clock
from shared.messages.directive_about import ABOUT, About, AboutPoint, told
from shared.telemetry import logger

log = logger("rollout")
LOOK_EVERY_S = 15.0
SOONEST_S = 0.2
MANY = 50
MOST_MOVES = 10_000
"""Moves of one roll-out in one round; more is a fault in its rules, not work."""


@dataclass(frozen=True, slots=True)
class PlanStores:
    """The tables that roll-outs touch."""

    records: Records
    plans: Plans
    rollouts: Rollouts
    health: Health
    audit: Audit


class Drive:
    """The roll-outs' loop."""

    def __init__(self, stores: PlanStores, dispatch: Dispatch, clock: Clock) -> None:
        self._stores, self._dispatch, self._clock = stores, dispatch, clock
        self._wake = asyncio.Event()
        self._due: int | None = None
        self._seen: dict[str, tuple[int, int, Seen]] = {}
        self.on_change: Callable[[], None] = lambda: None
        self.at_commit: Callable[[str], None] = lambda point: None
        """Called before and after each commit; a test that raises here is a crash at that point."""

    def wake(self) -> None:
        """Something may have changed."""
        self._wake.set()

    async def run(self) -> None:
        """Drive for ever."""
        while True:
            self._wake.clear()
            await self.drive_all()
            try:
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _pause(self) -> float:
        if self._due is None:
            return LOOK_EVERY_S
        return min(LOOK_EVERY_S, max(SOONEST_S, (self._due - self._clock.now_ms()) / 1000))

    async def drive_all(self) -> None:
        """Bring every roll-out as far as it goes now."""
        self._due = None
        for plan in await self._stores.plans.going():
            moves = 0
            while await self._step(plan):
                moves += 1
                if moves >= MOST_MOVES:
                    log.error("rollout_runs_in_a_circle", plan=plan)
                    break

    async def _step(self, plan_id: str) -> bool:
        async with self._stores.records.transaction() as tx:
            plan = await self._stores.plans.free(tx, plan_id)
            if plan is None or plan.ended:
                return False
            moved = await self.move(tx, plan)
            self.at_commit("before")
        self.at_commit("after")
        if moved is not None:
            self._dispatch.wake()
            self.on_change()
        return moved is not None

    async def move(self, tx: Transaction, plan: Plan) -> Plan | None:
        """Make one move in the caller's transaction; None: there is only waiting left."""
        now = self._clock.now_ms()
        rows = await self._stores.rollouts.of_plan(tx, plan.id)
        sent = [sent_of(row) for row in rows]
        seen = await self._seen_of(tx, plan, sent, now)
        move = next_move(plan, sent, seen, now)
        if isinstance(move, Hold):
            await self._hold(tx, plan, move)
            return None
        return await self._do(tx, plan, move, now)

    async def _do(self, tx: Transaction, plan: Plan, move: Move, now: int) -> Plan:
        if isinstance(move, Sign):
            await self._dispatch.sign(tx, self._order(plan, move))
            moved = replace(plan, at=now)
            await self._stores.plans.save(tx, moved)
            return moved
        if isinstance(move, Exclude):
            gone = {str(point): move.code for point in move.points}
            moved = replace(
                plan, excluded={**plan.excluded, **gone}, params={**move.params}, at=now
            )
            await self._stores.plans.save(tx, moved)
            await self._audit(tx, moved, "rollout_part_left_out", {**gone, "why": move.params})
            return moved
        assert isinstance(move, Become)
        return await self.become(tx, plan, move, "group")

    async def become(self, tx: Transaction, plan: Plan, move: Become, actor: str) -> Plan:
        """Move the life cycle; raises ValueError where the machine does not allow it."""
        state, now = advance(plan.state, move.trigger), self._clock.now_ms()
        if state is None:
            raise ValueError(f"{move.trigger} has no meaning in {plan.state}")
        moved = replace(plan, state=state, at=now, hold="", hold_params={})
        if move.trigger.startswith("enter_"):
            stage: Stage = next(each for each in STAGES if each == state)
            moved = replace(moved, stage=stage, stage_at=now)
        if move.code:
            moved = replace(moved, code=move.code, params=dict(move.params))
        await self._stores.plans.save(tx, moved)
        data = {"from": plan.state, "code": move.code, "params": dict(move.params)}
        await self._audit(tx, moved, f"rollout_{_did(move.trigger, state)}", data, actor)
        log.info("rollout_moved", plan=plan.id, state=state, code=move.code)
        return moved

    async def _hold(self, tx: Transaction, plan: Plan, hold: Hold) -> None:
        due = hold.until
        if due is not None and (self._due is None or due < self._due):
            self._due = due
        if (plan.hold, dict(plan.hold_params)) != (hold.code, dict(hold.params)):
            held = replace(plan, hold=hold.code, hold_params=dict(hold.params))
            await self._stores.plans.save(tx, held)
            self.on_change()

    async def _seen_of(self, tx: Transaction, plan: Plan, sent: list[Sent], now: int) -> Seen:
        """A large change set is looked at once a second, however many edges wait."""
        if len(plan.changes) <= MANY:
            return await self._look(tx, plan, sent, now)
        applied = sum(each.status == "applied" for each in sent)
        at, then, found = self._seen.get(plan.id, (0, -1, Seen()))
        if then != applied or not at <= now < at + 1000:
            found = await self._look(tx, plan, sent, now)
            self._seen = {plan.id: (now, applied, found)}
        return found

    async def _look(self, tx: Transaction, plan: Plan, sent: list[Sent], now: int) -> Seen:
        """What the gate needs in this state, and no more."""
        health = self._stores.health
        if plan.state == "shadow":
            shadowed = {
                each.point: await health.shadowed(tx, each.point, plan.stage_at, now)
                for each in plan.included()
            }
            return Seen(shadowed=shadowed)
        if not outstanding(sent) or plan.state == "rolling_back":
            return Seen()
        since = {
            (each.target, alarm): each.at
            for each in sent if each.kind == "settings" and each.status == "applied"
            for alarm in each.alarms
        }  # fmt: skip
        watched = {
            each.point: await health.watched(
                tx, each.point, since[each.target, each.point.alarm], now
            )
            for each in plan.included() if (each.target, each.point.alarm) in since
        }  # fmt: skip
        factories: dict[str, Factory] = {}
        for site in {each.point.site for each in plan.included()}:
            factories[site] = await health.factory(tx, site)
        return Seen(watched=watched, factories=factories)

    def _order(self, plan: Plan, move: Sign) -> Order:
        back = move.kind == "rollback"
        return Order(
            plan=plan.id, stage=plan.stage or "", kind=move.kind, site=move.target[0],
            edge=move.target[1],
            changes={e.point.alarm: e.old if back else e.new for e in move.changes},
            proposals=plan.proposals,
            actor=", ".join(filter(None, (plan.created_by, plan.agreed_by))),
            expires_at=None if back else plan.expires_at,
            why={"why": {"code": plan.code, "params": dict(plan.params)}} if back else {
                ABOUT: told(_about(plan, move))
            },
        )  # fmt: skip

    async def _audit(
        self, tx: Transaction, plan: Plan, action: str, data: Mapping[str, Any],
        actor: str = "group",
    ) -> None:  # fmt: skip
        full = {"state": plan.state, "stage": plan.stage, "proposals": list(plan.proposals), **data}
        await self._stores.audit(tx, plan.at, actor, action, plan.id, full)


def _about(plan: Plan, move: Sign) -> About:
    """What the person at the factory reads who is to let it pass."""
    points = [
        AboutPoint(
            alarm=each.point.alarm, old=alarm_setting(each.point.alarm, each.old),
            per_day=each.per_day, before_per_day=each.before_per_day,
            true_alarms=each.labels[0] if each.labels else None,
            nuisance=each.labels[1] if each.labels else None,
        )
        for each in move.changes
    ]  # fmt: skip
    return About(reason=plan.reason, points=points)


def _did(trigger: str, state: str) -> str:
    """The audit's word for a move."""
    return {"enter": "entered", "resume": "resumed"}.get(trigger.partition("_")[0], state)


def sent_of(row: RolloutRow) -> Sent:
    """A directive as the rules see it."""
    stage: Stage | None = next((each for each in STAGES if each == row.stage), None)
    return Sent(
        (row.site, row.edge), stage, row.kind, row.status, row.at, frozenset(row.changes),
        row.code or "", row.params or {}, row.expires_at,
    )  # fmt: skip
