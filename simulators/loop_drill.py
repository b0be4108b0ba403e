"""The drill of the learning loop: flood, labels, proposal, roll-out, a bad change taken back.

Run by the drill command against a running system; all it does could be done in the two consoles.
What is right is said here, in one line of score for each claim.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.clock import Clock
from shared.errors import ContractError, TransportError
from shared.web.dto import AlarmDetail, Proposal, Setting
from shared.web.dto_dispatch import PushPoint, PushPreview
from shared.web.dto_rollouts import RolloutDetail
from simulators.drill import DrillError, Line
from simulators.loop_clients import FactoryClient, GroupClient
from simulators.loop_plant import LoopPlant
from simulators.loop_record import Figures, LoopScore, Scene

ENDED = ("rolled_back", "done", "refused", "expired")
FLOOD_PER_MIN = 10.0
"""One alarm every six seconds: more than anybody can act on."""
GONE_SHARE = 0.1
"""The flood counts as gone when at most this share of it is left."""
TOLD_S = 20.0
QUIET_S = 8.0
"""So long the bad change is given to tell of the fault; the right one needs half of it."""
PROPOSED_S = 60.0
KNOWN_S = 60.0
ROLLED_S = 120.0
TAKEN_BACK_S = 80.0
LINES = 10
"""Of a score in which everything is reached."""
Told = Callable[[str], None]


class LoopDrill:
    """One run of the learning loop."""

    def __init__(
        self, scene: Scene, plant: LoopPlant, brain: FactoryClient, group: GroupClient,
        clock: Clock, window_s: float,
    ) -> None:  # fmt: skip
        self._scene, self._plant, self._brain = scene, plant, brain
        self._group, self._clock = group, clock
        self._figures = Figures(window_s=window_s)
        self._lines: list[Line] = []
        self._told: Told = lambda text: None
        self._fault = ""

    async def run(self, told: Told) -> LoopScore:
        """Every step in order; ends early where the next has nothing to stand on."""
        self._told, started = told, self._clock.now_ms()
        try:
            await self._prepare()
            started = self._clock.now_ms()
            if await self._learn():
                await self._bad_change()
        except (TransportError, ContractError) as error:
            raise DrillError(str(error)) from error
        finally:
            await self._leave()
        seconds = (self._clock.now_ms() - started) / 1000
        return LoopScore(
            self._scene, tuple(self._lines), self._figures, started, seconds, LINES
        )  # fmt: skip

    def _score(
        self, what: str, passed: bool, seconds: float | None, within: float, why: str = ""
    ) -> bool:
        self._lines.append(Line(what, passed, seconds, within, "" if passed else why))
        took = "" if seconds is None else f" ({seconds:.1f} s)"
        self._told(f"{'ok  ' if passed else 'FAIL'} {what}{took} {'' if passed else why}".rstrip())
        return passed

    # before and after

    async def _prepare(self) -> None:
        """The engineer's own setting in force, nothing pending, a healthy plant."""
        await self._plant.reset()
        for rollout in (await self._group.rollouts()).rollouts:
            if rollout.state in ENDED:
                continue
            found = await self._group.rollout(rollout.id)
            if self._scene.alarm in {change.alarm for change in found.changes}:
                if "abort" in found.actions:
                    await self._group.abort(rollout.id)
                await self._ended(rollout.id, ROLLED_S)
        for each in await self._group.proposals():
            if each.alarm == self._scene.alarm and each.status == "open":
                await self._group.decide(each.id, "reject", "drill")
        await self._plant.calm()
        await self._engineers_own()

    async def _leave(self) -> None:
        """Healthy plants, and the engineer's setting, also when the drill broke off."""
        try:
            await self._plant.reset()
            if self._fault:
                await self._brain.withdraw_fault(self._fault)
            await self._engineers_own()
            await self._plant.calm()
        except (TransportError, ContractError) as error:
            self._told(f"FAIL not put back: {error}")

    async def _engineers_own(self) -> None:
        """Bring the engineer's setting back where another one runs; raises DrillError."""
        scene, limit = self._scene, self._scene.limit
        seen = await self._plant.until(self._known, KNOWN_S)
        if seen is None:
            raise DrillError(f"the group knows no alarm point {scene.alarm} that may be moved")
        now, step = seen[0].current, _number(seen[0].proposed) - _number(seen[0].current)
        back = self._push(
            limit_steps=(limit - _number(now)) / step, on_delay_s=scene.on_delay_s,
            policy="direct",
        )  # fmt: skip
        look = await self._group.preview(back)
        if not look.points:
            return
        begun = await self._group.push({**back, "expect": look.digest})
        ended = await self._ended(begun.rollout, ROLLED_S)
        if ended is None or ended.state != "done":
            raise DrillError("the engineer's setting could not be put back")
        if await self._runs(limit, scene.on_delay_s) is None:
            raise DrillError("the edge does not report the engineer's setting")

    async def _known(self) -> list[PushPoint] | None:
        """The alarm point as the group knows it; a factory tells of its points when it starts."""
        return (await self._group.preview(self._push(limit_steps=1.0))).points or None

    # the loop

    async def _learn(self) -> bool:
        """A flood, what people say of it, the proposal, its roll-out, the same noise again."""
        scene, figures = self._scene, self._figures
        caught = await self._fault_told("true fault is told by the engineer's setting")
        figures.fault_before_s = caught[1]
        flood = await self._plant.flood(figures.window_s)
        figures.before_alarms = len(flood)
        rate = figures.per_minute(len(flood)) or 0.0
        self._score(
            f"flood: {rate:g} alarms/min", rate >= FLOOD_PER_MIN, None, figures.window_s,
            f"fewer than {FLOOD_PER_MIN:g}",
        )  # fmt: skip
        begun = self._clock.now_ms()
        for occurrence in flood:
            await self._brain.label(occurrence, "nuisance", scene.noise_cause)
        if caught[0]:
            await self._brain.label(caught[0], "true", scene.fault_cause)
        figures.labelled = {"nuisance": len(flood), "true": int(bool(caught[0]))}
        offered = await self._plant.until(lambda: self._offer(len(flood)), PROPOSED_S)
        if offered is not None:
            figures.engineer = offered.current.model_dump()
            figures.proposed = offered.proposed.model_dump()
            figures.proposal_after_s = self._since(begun)
        if not self._score(
            f"proposal {_words(offered)}", offered is not None, figures.proposal_after_s,
            PROPOSED_S, "none came",
        ) or offered is None:  # fmt: skip
            return False
        return await self._roll_out(offered) and await self._again(offered.proposed)

    async def _offer(self, nuisance: int) -> Proposal | None:
        """The proposal, once it rests on all that was labelled."""
        for each in await self._group.proposals():
            if (each.site, each.alarm) != (self._scene.site, self._scene.alarm):
                continue
            if each.status == "open" and each.evidence.nuisance >= min(nuisance, 3):
                return each
        return None

    async def _roll_out(self, offered: Proposal) -> bool:
        """Approve and watch the stages."""
        begun = self._clock.now_ms()
        approved = await self._group.decide(offered.id, "approve", "drill")
        if approved.plan is None:
            return self._score("roll-out", False, None, ROLLED_S, "none began")
        plan = await self._ended(approved.plan.id, ROLLED_S, begun)
        new = offered.proposed
        runs = await self._runs(new.limit or 0.0, new.on_delay_s)
        done = plan is not None and plan.state == "done" and runs is not None
        stages = " -> ".join(self._figures.stages_s)
        state = plan.state if plan else "not ended"
        return self._score(f"roll-out {stages}", done, self._since(begun), ROLLED_S, state)

    async def _again(self, new: Setting) -> bool:
        """The same noise and the same fault under the learnt setting."""
        figures = self._figures
        flood = await self._plant.flood(figures.window_s)
        figures.after_alarms = len(flood)
        rate = figures.per_minute(len(flood)) or 0.0
        most = GONE_SHARE * (figures.before_alarms or 0)
        self._score(
            f"the flood is gone: {rate:g} alarms/min", len(flood) <= most, None, figures.window_s,
            f"{len(flood)} alarms",
        )  # fmt: skip
        caught = await self._fault_told("a later true fault is told")
        figures.fault_after_s = caught[1]
        return bool(caught[0])

    async def _fault_told(self, what: str) -> tuple[str, float | None]:
        """A true fault comes: (the occurrence that tells of it, after how many seconds)."""
        since, row = await self._plant.true_fault(TOLD_S)
        seconds = None if row is None else (row.raised_at - since) / 1000
        self._score(what, row is not None, seconds, TOLD_S, "not told")
        await self._plant.calm()
        return (row.occurrence, seconds) if row is not None else ("", None)

    # the bad change

    async def _bad_change(self) -> None:
        """A person forces a limit so high that the fault stays below it; nobody steps in."""
        before, figures = await self._plant.in_force(), self._figures
        look = await self._plant.until(lambda: self._look(before), ROLLED_S)
        if before is None or look is None:
            raise DrillError("the group does not see the setting in force")
        bad = look.points[0].proposed
        figures.bad = bad
        begun = await self._group.push(
            {**self._push(limit_steps=self._scene.bad_steps), "expect": look.digest}
        )
        at = self._clock.now_ms()
        runs = await self._runs(_number(bad), bad.get("on_delay_s") or 0.0)
        forced = self._clock.now_ms()
        if not self._score(
            "a bad change is forced to its canary line", runs is not None, self._since(at),
            ROLLED_S, "it never came into force",
        ):  # fmt: skip
            return
        start, row = await self._plant.true_fault(QUIET_S)
        self._score("under it the fault stays untold", row is None, None, QUIET_S, "it was told")
        recorded = self._clock.now_ms()
        scene = self._scene
        fault = await self._brain.record_fault(scene.asset, start, recorded, scene.fault_cause)
        self._fault = fault.id
        plan = await self._ended(begun.rollout, TAKEN_BACK_S)
        figures.rollback_after_fault_s = self._since(recorded)
        figures.bad_in_force_s = self._since(forced)
        await self._taken_back(plan, before)

    async def _look(self, before: AlarmDetail | None) -> PushPreview | None:
        """The bad change as the group shows it, once it starts from what the edge really runs."""
        look = await self._group.preview(self._push(limit_steps=self._scene.bad_steps))
        if before is None or not look.points or look.points[0].refused:
            return None
        now = look.points[0].current
        same = (_number(now), now.get("on_delay_s")) == (before.limit, before.on_delay_s)
        return look if same else None

    async def _taken_back(self, plan: RolloutDetail | None, before: AlarmDetail) -> None:
        """It went back by itself, for the right reason, whole; and the fault is told again."""
        figures = self._figures
        state = plan.state if plan else "still under way"
        if plan is not None:
            figures.rollback_code = plan.code
            figures.rollback_why = plan.why.model_dump() if plan.why else {}
        back = await self._runs(before.limit or 0.0, before.on_delay_s)
        whole = plan is not None and _whole(plan) and back is not None
        self._score(
            f"it is taken back by itself: {figures.rollback_code}",
            state == "rolled_back" and figures.rollback_code == "fault_missed" and whole,
            figures.rollback_after_fault_s, TAKEN_BACK_S, state,
        )  # fmt: skip
        figures.fault_again_s = (await self._fault_told("the fault is told again"))[1]

    # small things

    def _push(self, **more: Any) -> dict[str, Any]:
        scene = self._scene
        return {
            "sites": [scene.site], "alarm": scene.alarm, "policy": scene.policy,
            "reason": "drill", **more,
        }  # fmt: skip

    async def _ended(
        self, rollout: str, within: float, since: int | None = None
    ) -> RolloutDetail | None:
        """Wait for the end of a roll-out; with `since` its stages are noted."""

        async def look() -> RolloutDetail | None:
            found = await self._group.rollout(rollout)
            if since is not None:
                self._note(found, since)
            return found if found.state in ENDED else None

        return await self._plant.until(look, within)

    def _note(self, plan: RolloutDetail, since: int) -> None:
        stages = self._figures.stages_s
        for result in plan.results:
            if result.stage and result.status == "applied" and result.kind != "rollback":
                stages.setdefault(result.stage, (result.at - since) / 1000)
        stages.setdefault(plan.state, (plan.at - since) / 1000)

    async def _runs(self, limit: float, on_delay_s: float) -> AlarmDetail | None:
        """Wait until the factory reports these numbers in force."""

        async def look() -> AlarmDetail | None:
            found = await self._plant.in_force()
            if found is None or found.limit is None:
                return None
            same = abs(found.limit - limit) < 1e-6 and abs(found.on_delay_s - on_delay_s) < 1e-6
            return found if same else None

        return await self._plant.until(look, ROLLED_S / 4)

    def _since(self, at: int) -> float:
        return (self._clock.now_ms() - at) / 1000


def _number(setting: dict[str, float | None]) -> float:
    return setting.get("limit") or 0.0


def _words(offered: Proposal | None) -> str:
    return offered.explanation.en if offered else ""


def _whole(plan: RolloutDetail) -> bool:
    """Every edge that was changed has taken its old setting up again."""
    changed = {(r.site, r.edge) for r in plan.results if r.kind == "settings"}
    back = {
        (r.site, r.edge) for r in plan.results if r.kind == "rollback" and r.status == "applied"
    }
    return bool(changed) and changed == back
