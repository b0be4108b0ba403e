"""What the health gate sees of a roll-out now, in figures that people can follow; its history.

Called by the desk for one roll-out at a time; judges by the gate's own bands and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from group_cloud.application.ports import RolloutRow, Transaction
from group_cloud.application.rollout.ports import Health, PlanMove
from group_cloud.domain.rollout_gate import DAY_MS, band
from group_cloud.domain.rollout_plan import Change, Plan
from shared.web import dto_rollouts as dto

MOST = 200
_WORST = ("missed", "above", "below", "no_data", "good", "ahead")
Sites = list[str] | None
Verdict = Literal["ahead", "no_data", "good", "below", "above", "missed"]


async def gate_of(
    health: Health, tx: Transaction, plan: Plan, rows: list[RolloutRow], sites: Sites, now: int
) -> tuple[list[dto.GateFigure], int]:  # fmt: skip
    """The figures of the points at these sites, the worst first, and how many are left out."""
    own = [each for each in plan.included() if sites is None or each.point.site in sites]
    end = plan.at if plan.ended else now
    found = [await _figure(health, tx, plan, each, rows, end) for each in own[:MOST]]
    found.sort(key=lambda each: (_WORST.index(each.verdict), each.site, each.edge, each.alarm))
    return found, max(0, len(own) - MOST)


async def factories_of(
    health: Health, tx: Transaction, plan: Plan, sites: Sites
) -> list[dto.SiteHealth]:
    """How far each factory has told its events."""
    names = sorted({each.point.site for each in plan.included()})
    found: list[dto.SiteHealth] = []
    for site in names:
        if sites is None or site in sites:
            each = await health.factory(tx, site)
            found.append(
                dto.SiteHealth(site=site, heard_until=each.heard_until, edges_down=each.edges_down)
            )
    return found


def move_dto(move: PlanMove, whole: bool) -> dto.RolloutMove:
    """One audited move; without what it says of others' factories unless all may be seen."""
    said: Mapping[str, object] = move.data
    params = said.get("params")
    return dto.RolloutMove(
        at=move.at, actor=move.actor, action=move.action, state=str(said.get("state") or ""),
        came_from=str(said.get("from") or ""), code=str(said.get("code") or ""),
        params=dict(params) if whole and isinstance(params, dict) else {}, reason=move.why,
    )  # fmt: skip


async def _figure(
    health: Health, tx: Transaction, plan: Plan, change: Change, rows: list[RolloutRow], end: int
) -> dto.GateFigure:
    point = change.point
    mine = [
        row for row in rows
        if (row.site, row.edge) == change.target and point.alarm in row.changes
    ]  # fmt: skip
    ran = [
        row for row in mine if row.kind == "settings" and row.status in ("applied", "rolled_back")
    ]
    backs = [row for row in mine if row.kind == "rollback" and row.status == "applied"]
    if ran:
        until = backs[-1].at if backs else end
        return await _live(health, tx, plan, change, (ran[-1].at, until, bool(backs)))
    if plan.state == "shadow":
        return await _shadow(health, tx, plan, change, end)
    return dto.GateFigure(
        site=point.site, edge=point.edge, alarm=point.alarm, phase="ahead"
    )  # fmt: skip


async def _live(
    health: Health, tx: Transaction, plan: Plan, change: Change, time: tuple[int, int, bool]
) -> dto.GateFigure:
    since, until, back = time
    seen = await health.watched(tx, change.point, since, max(since, until))
    days = max(0, until - since) / DAY_MS
    return await _judged(
        health, tx, plan, change, "back" if back else "live",
        since=since, until=until, days=days, alarms=seen.alarms, missed=list(seen.missed),
    )  # fmt: skip


async def _shadow(
    health: Health, tx: Transaction, plan: Plan, change: Change, end: int
) -> dto.GateFigure:
    seen = await health.shadowed(tx, change.point, plan.stage_at, end)
    need = plan.policy.min_coverage * plan.policy.dwell_ms("shadow") / DAY_MS
    return await _judged(
        health, tx, plan, change, "shadow", since=plan.stage_at, until=end,
        days=seen.coverage_days, alarms=seen.alarms, missed=list(seen.missed), needed_days=need,
    )  # fmt: skip


async def _judged(
    health: Health, tx: Transaction, plan: Plan, change: Change, phase: str, **seen: object
) -> dto.GateFigure:
    point = change.point
    figure = dto.GateFigure.model_validate(
        {"site": point.site, "edge": point.edge, "alarm": point.alarm, "phase": phase, **seen}
    )
    least, most = band(change, figure.days, plan.policy)
    told = await health.told(tx, point, figure.since, figure.until)
    usual = change.per_day if change.per_day is not None else change.before_per_day
    return figure.model_copy(
        update={
            "least": least, "most": most, "faults": told.faults,
            "engineer_only": told.engineer_only,
            "expected": None if usual is None else round(usual * figure.days, 3),
            "verdict": _verdict(figure, least, most),
        }
    )  # fmt: skip


def _verdict(figure: dto.GateFigure, least: int, most: int | None) -> Verdict:
    if figure.missed:
        return "missed"
    if most is not None and figure.alarms > most:
        return "above"
    if figure.days <= 0:
        return "no_data"
    return "below" if figure.alarms < least else "good"
