"""Roll-outs as people and the REST interface read them: stages, results, the reason in words.

Called by the desk and the live stream; decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from group_cloud.application.ports import RolloutRow
from group_cloud.domain.rollout_plan import GOING, Change, Plan, assigned, targets_of
from group_cloud.domain.rollout_policy import STAGES, Stage
from shared.alarm.shadow import setting_data
from shared.web import dto_rollouts as dto
from shared.web.dto_base import Text
from shared.web.dto_group import Setting

Sites = list[str] | None
"""What who asks may see; None: all of it."""
_WHY: dict[str, tuple[str, str]] = {
    "rate_above_forecast": (
        "{alarm} 在 {days} 天内报警 {alarms} 次，预测最多 {most} 次",
        "{alarm} told {alarms} times in {days} days; the forecast allows at most {most}",
    ),
    "rate_below_forecast": (
        "{alarm} 在 {days} 天内只报警 {alarms} 次，预测至少 {least} 次",
        "{alarm} told only {alarms} times in {days} days; the forecast says at least {least}",
    ),
    "fault_missed": (
        "{alarm} 漏报了已记录的故障（工程师原设定会报警）：{faults}",
        "{alarm} missed a recorded fault that the engineer's setting tells: {faults}",
    ),
    "no_answer": (
        "{site} 的边缘节点 {edge} 未在规定时间内答复",
        "the edge {edge} of {site} did not answer in time",
    ),
    "edge_took_back": (
        "{site} 的边缘节点 {edge} 自行恢复了原设定",
        "the edge {edge} of {site} went back to its old settings by itself",
    ),
    "not_taken_back": (
        "工厂禁止恢复以下报警点的原设定，它们仍在运行新设定：{alarms}",
        "the plant forbids the old settings of these alarms; they still run the new ones: {alarms}",
    ),
    "aborted": ("由 {by} 中止", "aborted by {by}"),
    "expired": ("超过了有效期", "its time is over"),
}
_WAITS: dict[str, tuple[str, str]] = {
    "second_person": ("等待第二人会签", "waits for a second person to agree"),
    "paused": ("已暂停", "paused"),
    "watching": ("观察中", "being watched"),
    "coverage": ("影子计数的有效数据还不够", "waits for enough good samples in shadow"),
    "no_answer_yet": ("等待 {count} 个边缘节点答复：{edges}", "waits for {count} edges: {edges}"),
    "waits_for_factory": (
        "等待工厂人员批准（{count} 个边缘节点：{edges}）",
        "waits for somebody at the factory to approve ({count} edges: {edges})",
    ),
    "factory_silent": ("等待 {site} 的数据", "waits for the data of {site}"),
    "edges_offline": (
        "{site} 有 {edges} 个边缘节点离线", "{edges} edges of {site} are offline",
    ),
    "taking_back": (
        "正在恢复原设定，等待 {count} 个边缘节点：{edges}",
        "taking it back, waits for {count} edges: {edges}",
    ),
}  # fmt: skip


def why(code: str, params: dict[str, Any]) -> Text | None:
    """The reason in words; None where there is none."""
    if not code:
        return None
    return _filled(
        _WHY.get(code, (f"被工厂拒绝：{code}", f"refused by the factory: {code}")), params
    )


def waits(hold: str, params: dict[str, Any]) -> Text | None:
    """What it waits for, in words."""
    return _filled(_WAITS.get(hold, (hold, hold)), params) if hold else None


def _filled(words: tuple[str, str], params: dict[str, Any]) -> Text:
    zh, en = words
    shown = {
        name: ", ".join(map(str, value)) if isinstance(value, list) else value
        for name, value in params.items()
    }
    return Text(zh=zh.format_map(_Known(shown)), en=en.format_map(_Known(shown)))


class _Known(dict[str, Any]):
    """A parameter that a report does not name is shown as a question mark."""

    def __missing__(self, name: str) -> str:
        return "?"


def beyond(plan: Plan, sites: Sites) -> list[str]:
    """Factories of the roll-out that belong to others than who asks."""
    own = {change.point.site for change in plan.changes}
    return [] if sites is None else sorted(own - set(sites))


def _seen(plan: Plan, sites: Sites) -> Plan:
    """Without the details that may speak of the factories of others."""
    if not beyond(plan, sites):
        return plan
    within = {str(change.point) for change in _own(plan.changes, sites)}
    pairs = zip(plan.proposals, plan.changes, strict=False)
    return replace(
        plan, params={}, hold_params={},
        excluded={point: code for point, code in plan.excluded.items() if point in within},
        # Each change came of the proposal at its place, or none came of any.
        proposals=tuple(name for name, change in pairs if str(change.point) in within),
    )  # fmt: skip


def _own(changes: Iterable[Change], sites: Sites) -> tuple[Change, ...]:
    return tuple(each for each in changes if sites is None or each.point.site in sites)


def brief_dto(plan: Plan, sites: Sites = None) -> dto.RolloutBrief:
    """One line, as far as it may be shown to who sees these sites."""
    return dto.RolloutBrief.model_validate(_brief(_seen(plan, sites)))


def _brief(plan: Plan) -> dict[str, Any]:
    return {
        "id": plan.id, "state": plan.state, "stage": plan.stage, "at": plan.at,
        "hold": plan.hold, "hold_params": dict(plan.hold_params),
        "waits": waits(plan.hold, dict(plan.hold_params)), "code": plan.code,
        "params": dict(plan.params), "why": why(plan.code, dict(plan.params)),
    }  # fmt: skip


def _summary(whole: Plan, sites: Sites) -> dict[str, Any]:
    plan, own = _seen(whole, sites), _own(whole.changes, sites)
    return {
        **_brief(plan), "policy": plan.policy_name, "created_at": plan.created_at,
        "created_by": plan.created_by, "agreed_by": plan.agreed_by,
        "expires_at": plan.expires_at, "reason": plan.reason,
        "proposals": list(plan.proposals),
        "sites": sorted({each.point.site for each in own}), "points": len(own),
        "excluded": dict(plan.excluded),
        "actions": [] if beyond(whole, sites) else _actions(plan),
    }  # fmt: skip


def summary_dto(plan: Plan, sites: Sites = None) -> dto.RolloutSummary:
    """One row of the list."""
    return dto.RolloutSummary.model_validate(_summary(plan, sites))


def _actions(plan: Plan) -> list[str]:
    if plan.state not in GOING:
        return []
    own = {"waiting": ["agree"], "paused": ["resume"]}.get(plan.state, ["pause"])
    return [*own, "abort"]


def detail_dto(plan: Plan, rows: list[RolloutRow], sites: Sites = None) -> dto.RolloutDetail:
    """One roll-out with everything that is known of it at these sites."""
    rows = [row for row in rows if sites is None or row.site in sites]
    return dto.RolloutDetail.model_validate(
        {
            **_summary(plan, sites),
            "stages": [_stage(plan, stage, rows, sites) for stage in STAGES],
            "changes": _changes(plan, sites),
            "results": [_result(row) for row in rows],
        }
    )


def _changes(plan: Plan, sites: Sites) -> list[dto.RolloutChange]:
    # Who goes when is decided over the whole of it.
    waves = assigned(plan.included(), plan.policy)
    return [
        dto.RolloutChange(
            site=each.point.site, edge=each.point.edge, alarm=each.point.alarm, line=each.line,
            old=Setting.model_validate(setting_data(each.old)),
            new=Setting.model_validate(setting_data(each.new)),
            stage=waves.get(each.point, "all"), per_day=each.per_day,
            before_per_day=each.before_per_day,
            excluded=plan.excluded.get(str(each.point), ""),
        )
        for each in _own(plan.changes, sites)
    ]  # fmt: skip


def _stage(
    plan: Plan, stage: Stage, rows: list[RolloutRow], sites: Sites
) -> dto.RolloutStage:  # fmt: skip
    looking = stage in ("dry_run", "shadow")
    changes = _own(plan.included() if looking else plan.wave(stage), sites)
    targets = targets_of(changes)
    kind = "dry_run" if stage == "dry_run" else "settings"
    answered = {
        (row.site, row.edge) for row in rows
        if row.kind == kind and row.stage == stage and row.status == "applied"
    }  # fmt: skip
    return dto.RolloutStage(
        stage=stage, state=_reached(plan, stage, bool(changes)), points=len(changes),
        edges=len(targets), answered=len(answered),
        dwell_s=plan.policy.dwell_ms(stage) / 1000,
    )  # fmt: skip


def _reached(plan: Plan, stage: Stage, has_work: bool) -> Any:
    if stage not in plan.policy.stages or not has_work:
        return "skipped"
    if plan.stage is None:
        return "ahead"
    at, here = STAGES.index(plan.stage), STAGES.index(stage)
    if here < at or plan.state == "done":
        return "passed"
    if here > at:
        return "ahead"
    return "now" if plan.state in GOING else "stopped"


def _result(row: RolloutRow) -> dto.RolloutResult:
    return dto.RolloutResult(
        directive=row.directive, site=row.site, edge=row.edge, kind=row.kind, stage=row.stage,
        counter=row.counter, status=row.status, at=row.at, alarms=sorted(row.changes),
        code=row.code or "", params=row.params or {},
    )  # fmt: skip
