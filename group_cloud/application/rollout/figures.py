"""What the health gate sees of a roll-out now, in figures that people can follow; its history.

Called by the desk for one roll-out at a time; judges by the gate's own bands and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from group_cloud.application.ports import RolloutRow, Transaction
from group_cloud.application.rollout.ports import Health, PlanMove, Span
from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout_gate import DAY_MS, band
from group_cloud.domain.rollout_plan import Change, Plan
from shared.web import dto_rollouts as dto

MOST = 200
_WORST = ("missed", "above", "below", "no_data", "good", "ahead")
Sites = list[str] | None
Verdict = Literal["ahead", "no_data", "good", "below", "above", "missed"]


@dataclass(frozen=True, slots=True)
class _Look:
    """A change, where its roll-out has come to with it, and over which time it is judged."""

    change: Change
    phase: Literal["ahead", "shadow", "live", "back"]
    since: int = 0
    until: int = 0

    @property
    def span(self) -> Span:
        return self.change.point, self.since, self.until


async def gate_of(
    health: Health, tx: Transaction, plan: Plan, rows: list[RolloutRow], sites: Sites, now: int
) -> tuple[list[dto.GateFigure], int]:  # fmt: skip
    """The figures of the points at these sites, the worst first, and how many are left out.

    All are judged before any is left out: the one that missed a fault may be the last of the plan.
    """
    own = [each for each in plan.included() if sites is None or each.point.site in sites]
    end = plan.at if plan.ended else now
    looks = [_look(plan, each, rows, end) for each in own]
    figures = await _judged(health, tx, plan, looks)
    found = sorted(
        zip(figures, looks, strict=True),
        key=lambda each: (
            _WORST.index(each[0].verdict), each[0].site, each[0].edge, each[0].alarm
        ),
    )  # fmt: skip
    shown = [await _told(health, tx, *each) for each in found[:MOST]]
    return shown, max(0, len(own) - MOST)


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


def _look(plan: Plan, change: Change, rows: list[RolloutRow], end: int) -> _Look:
    mine = [
        row for row in rows
        if (row.site, row.edge) == change.target and change.point.alarm in row.changes
    ]  # fmt: skip
    ran = [
        row for row in mine if row.kind == "settings" and row.status in ("applied", "rolled_back")
    ]
    backs = [row for row in mine if row.kind == "rollback" and row.status == "applied"]
    if ran:
        return _Look(
            change, "back" if backs else "live", ran[-1].at, backs[-1].at if backs else end
        )
    if plan.state == "shadow":
        return _Look(change, "shadow", plan.stage_at, end)
    return _Look(change, "ahead")


async def _judged(
    health: Health, tx: Transaction, plan: Plan, looks: list[_Look]
) -> list[dto.GateFigure]:
    """Every point's figures and verdict, with two questions for all of them."""
    ran = [each for each in looks if each.phase in ("live", "back")]
    tried = [each for each in looks if each.phase == "shadow"]
    spans = [(point, since, max(since, until)) for point, since, until in (e.span for e in ran)]
    watched = await health.watched_many(tx, spans) if ran else []
    shadowed = await health.shadowed_many(tx, [e.span for e in tried]) if tried else []
    found: dict[Point, dict[str, object]] = {}
    for look, live in zip(ran, watched, strict=True):
        days = max(0, look.until - look.since) / DAY_MS
        found[look.change.point] = {
            "days": days,
            "alarms": live.alarms,
            "missed": list(live.missed),
        }
    need = plan.policy.min_coverage * plan.policy.dwell_ms("shadow") / DAY_MS
    for each in shadowed:
        found[each.point] = {
            "days": each.coverage_days, "alarms": each.alarms, "missed": list(each.missed),
            "needed_days": need,
        }  # fmt: skip
    return [_figure(plan, each, found.get(each.change.point, {})) for each in looks]


def _figure(plan: Plan, look: _Look, seen: dict[str, object]) -> dto.GateFigure:
    point, change = look.change.point, look.change
    place = {"site": point.site, "edge": point.edge, "alarm": point.alarm, "phase": look.phase}
    if look.phase == "ahead":
        return dto.GateFigure.model_validate(place)
    time = {"since": look.since, "until": look.until}
    figure = dto.GateFigure.model_validate({**place, **time, **seen})
    least, most = band(change, figure.days, plan.policy)
    usual = change.per_day if change.per_day is not None else change.before_per_day
    return figure.model_copy(
        update={
            "least": least, "most": most, "verdict": _verdict(figure, least, most),
            "expected": None if usual is None else round(usual * figure.days, 3),
        }
    )  # fmt: skip


async def _told(
    health: Health, tx: Transaction, figure: dto.GateFigure, look: _Look
) -> dto.GateFigure:
    if look.phase == "ahead":
        return figure
    told = await health.told(tx, *look.span)
    return figure.model_copy(update={"faults": told.faults, "engineer_only": told.engineer_only})


def _verdict(figure: dto.GateFigure, least: int, most: int | None) -> Verdict:
    if figure.missed:
        return "missed"
    if most is not None and figure.alarms > most:
        return "above"
    if figure.days <= 0:
        return "no_data"
    return "below" if figure.alarms < least else "good"
