"""Proposals that rest on shadow counts, or on a person's wish, as plain data and in sentences.

Called by the limit trainer and by the desk where people propose; decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from group_cloud.domain.evidence import Costs
from group_cloud.domain.limit_evidence import PointEvidence
from group_cloud.domain.limit_proposals import Bar, LimitFound
from group_cloud.domain.proposal import Subject, bounds_en, bounds_zh, change_en, change_zh
from group_cloud.domain.rollout_plan import line_of
from shared.alarm.definition import Words
from shared.alarm.point import Setting
from shared.alarm.shadow import bounds_of, setting_data


def limit_body(point: PointEvidence, found: LimitFound) -> dict[str, Any]:
    """What a proposal from shadow counts says."""
    subject = subject_of(point.point.alarm, point.names, point.unit, point.bounds)
    return {
        **plain_body(subject, point.bounds, point.side, point.line),
        "candidates": [
            candidate(found.current, found.now), candidate(found.proposed, found.then)
        ],
        "evidence": {
            "labelled": point.true_alarms + point.nuisance, "true_alarms": point.true_alarms,
            "nuisance": point.nuisance, "vanish": [], "later": [],
        },
        "explanation": _explained(subject, found).to_dict(),
        "bars": {"now": found.now.to_dict(), "proposed": found.then.to_dict()},
        "forecast": {"per_day": found.per_day, "before_per_day": found.before_per_day},
        "trend": [list(each) for each in found.trend],
        "shadow": {
            "days": found.days, "faults": found.faults, "group_faults": found.group_faults,
            "caught": list(found.caught), "lost": list(found.lost),
            "later": [
                [each.fault, each.at, round(each.before_min * 60), round(each.after_min * 60)]
                for each in found.later
            ],
            "supposes": list(found.supposes),
        },
    }  # fmt: skip


def subject_of(
    alarm: str, names: Mapping[str, str], unit: str, bounds: Mapping[str, float]
) -> Subject:
    """What the sentences speak of."""
    name = Words(names.get("zh") or alarm, names.get("en") or alarm)
    return Subject(alarm, name, unit, bounds_of(dict(bounds)))


def plain_body(
    subject: Subject, bounds: Mapping[str, float], side: str, line: str
) -> dict[str, Any]:
    """What every proposal says."""
    return {
        "name": subject.name.to_dict(), "unit": subject.unit, "bounds": dict(bounds),
        "side": side, "line": line or line_of(subject.alarm), "stale_nuisance": 0,
    }  # fmt: skip


def candidate(setting: Setting, bar: Bar) -> dict[str, Any]:
    """One setting with its figures, as the table of candidates shows it."""
    delay_s = None if bar.delay_min is None else bar.delay_min * 60
    return {
        "setting": setting_data(setting), "false_alarms": round(bar.false_per_day, 3),
        "missed": bar.missed, "delay_s": delay_s,
        "cost": round(Costs().of(bar.false_per_day, bar.missed, delay_s or 0.0), 3),
    }  # fmt: skip


def _explained(subject: Subject, found: LimitFound) -> Words:
    now, then = found.now, found.then
    zh = (
        f"{subject.name.zh}（{subject.alarm}）在 {found.days} 个有人判定的日子和 {found.faults} 次"
        f"已记录故障上做了影子计数。若将{change_zh(found.current, found.proposed, subject.unit)}，"
        f"误报由每天 {now.false_per_day:.1f} 次变为 {then.false_per_day:.1f} 次，"
        f"漏报的故障由 {now.missed} 次变为 {then.missed} 次。"
        f"{_later_zh(found)}{bounds_zh(subject)}"
    )
    en = (
        f"{subject.name.en} ({subject.alarm}) was counted in shadow over {found.days} judged days "
        f"and {found.faults} recorded faults. "
        f"With {change_en(found.current, found.proposed, subject.unit)}, false alarms go from "
        f"{now.false_per_day:.1f} to {then.false_per_day:.1f} a day and missed faults from "
        f"{now.missed} to {then.missed}. {_later_en(found)}{bounds_en(subject)}"
    )
    return Words(zh, en)


def _later_zh(found: LimitFound) -> str:
    if not found.later:
        return "没有故障会更晚被报出；"
    most = max(each.after_min - each.before_min for each in found.later)
    return f"{len(found.later)} 次故障会更晚被报出，最多晚 {most:.0f} 分钟；"


def _later_en(found: LimitFound) -> str:
    if not found.later:
        return "No fault would be told later; "
    most = max(each.after_min - each.before_min for each in found.later)
    return f"{len(found.later)} faults would be told later, by {most:.0f} min at the most; "


def wish_words(subject: Subject, current: Setting, proposed: Setting, actor: str) -> Words:
    """What a person's proposal says where nothing was counted for it yet."""
    zh = (
        f"{actor} 建议对{subject.name.zh}（{subject.alarm}）"
        f"{change_zh(current, proposed, subject.unit)}。"
        f"请先看工厂历史上的试算结果再决定。{bounds_zh(subject)}"
    )
    en = (
        f"{actor} proposes for {subject.name.en} ({subject.alarm}) "
        f"{change_en(current, proposed, subject.unit)}. Look at what it would have done over the "
        f"factory's history before you decide. {bounds_en(subject)[:1].upper()}"
        f"{bounds_en(subject)[1:]}"
    )
    return Words(zh, en)
