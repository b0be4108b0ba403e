"""Proposals as people and the REST interface read them.

Called by the trainer (to write a proposal's body) and the desk (to show it); decides nothing.
"""

from __future__ import annotations

from typing import Any

from group_cloud.application.ports import ProposalRow, RolloutRow
from group_cloud.application.proposal_keeping import source_of
from group_cloud.application.rollout.wording import brief_dto
from group_cloud.domain.evidence import Score, Suggestion
from group_cloud.domain.guardrails import Guardrails
from group_cloud.domain.proposal import Subject, explain
from group_cloud.domain.rollout_plan import Plan
from shared.alarm.definition import Words
from shared.alarm.point import Setting
from shared.alarm.shadow import bounds_data, setting_data, setting_of
from shared.messages.bodies import OutcomeRecord
from shared.web import dto
from shared.web.dto_proposals import FaultLater, ProposalBars, ShadowEvidence, TrendDay

SHOWN = 200
"""Occurrences of an evidence list that are shown."""


def proposal_body(newest: OutcomeRecord, rails: Guardrails, found: Suggestion) -> dict[str, Any]:
    """What a proposal says, as plain data."""
    name = Words(newest.names.get("zh") or newest.alarm, newest.names.get("en") or newest.alarm)
    words = explain(Subject(newest.alarm, name, newest.unit, rails.bounds), found)
    return {
        "name": name.to_dict(),
        "unit": newest.unit,
        "bounds": bounds_data(rails.bounds, rails.step),
        "candidates": [_score(score) for score in found.scores],
        "evidence": {
            "labelled": found.labelled,
            "true_alarms": found.true_alarms,
            "nuisance": found.nuisance,
            "vanish": found.vanish[:SHOWN],
            "later": found.later[:SHOWN],
        },
        "explanation": words.to_dict(),
        "stale_nuisance": found.stale_nuisance,
    }


def _score(score: Score) -> dict[str, Any]:
    return {
        "setting": setting_data(score.setting),
        "false_alarms": score.false_alarms,
        "missed": score.missed,
        "delay_s": score.delay_s,
        "cost": round(score.cost, 3),
    }


def _setting(setting: Setting) -> dto.Setting:
    return dto.Setting.model_validate(setting_data(setting))


def proposal_dto(
    row: ProposalRow, rollout: RolloutRow | None, plan: Plan | None = None,
    sites: list[str] | None = None,
) -> dto.Proposal:  # fmt: skip
    """A proposal with its roll-out and its edge's directive, for who sees these sites."""
    body = row.body
    return dto.Proposal(
        id=row.id,
        site=row.point.site,
        edge=row.point.edge,
        alarm=row.point.alarm,
        name=dto.Text(**body["name"]),
        unit=body["unit"],
        status=row.status,
        created_at=row.created_at,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        reason=row.reason,
        current=_setting(row.current),
        proposed=_setting(row.proposed),
        # A locked point is never proposed: nobody needs to read that this one is not.
        bounds={name: value for name, value in body["bounds"].items() if name != "locked"},
        candidates=[dto.CandidateScore.model_validate(each) for each in body["candidates"]],
        evidence=dto.Evidence.model_validate(body["evidence"]),
        explanation=dto.Text(**body["explanation"]),
        rollout=_rollout(rollout) if rollout else None,
        plan=brief_dto(plan, sites) if plan else None,
        source=source_of(row),
        made_by=str(body.get("by", "")),
        made_because=str(body.get("why", "")),
        bars=_bars(row),
        trend=[_day(each) for each in body.get("trend", [])],
        shadow=_shadow(body.get("shadow")),
    )


def _bars(row: ProposalRow) -> ProposalBars | None:
    told = row.body.get("bars")
    if told is None:  # of judged occurrences only
        by_setting = {
            setting_of(each["setting"]): {
                name: each[name] for name in ("false_alarms", "missed", "delay_s")
            }
            for each in row.body["candidates"]
        }
        told = {
            "now": by_setting.get(row.current, {}), "proposed": by_setting.get(row.proposed, {})
        }  # fmt: skip
    return ProposalBars.model_validate(told)


def _day(told: list[Any]) -> TrendDay:
    return TrendDay(day=told[0], mean=told[1], sigma=told[2], now=told[3], proposed=told[4])


def _shadow(told: dict[str, Any] | None) -> ShadowEvidence | None:
    if told is None:
        return None
    later = [
        FaultLater(fault=fault, at=at, before_s=before, after_s=after)
        for fault, at, before, after in told["later"]
    ]
    return ShadowEvidence.model_validate({**told, "later": later})


def _rollout(row: RolloutRow) -> dto.RolloutState:
    return dto.RolloutState(
        directive=row.directive,
        counter=row.counter,
        status=row.status,
        at=row.at,
        code=row.code,
        params=row.params or {},
    )
