"""A proposed setting put into words: three sentences in both languages, with their figures.

Called when a suggestion becomes a proposal; decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from group_cloud.domain.evidence import Suggestion
from shared.alarm.definition import Bounds, Words
from shared.alarm.filters import Filter
from shared.alarm.point import Setting

ProposalStatus = Literal["open", "approved", "rejected", "superseded"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What the proposal speaks of."""

    alarm: str
    name: Words
    unit: str
    bounds: Bounds


def explain(subject: Subject, found: Suggestion) -> Words:
    """What was seen, what would change, what it costs."""
    now, new = found.current, found.proposed
    zh = (
        f"{subject.name.zh}（{subject.alarm}）有 {found.labelled} 次已判定的报警："
        f"{found.nuisance} 次误报，{found.true_alarms} 次真报警。"
        f"若将{change_zh(now.setting, new.setting, subject.unit)}，"
        f"误报由 {now.false_alarms} 次变为 {new.false_alarms} 次，"
        f"漏报由 {now.missed} 次变为 {new.missed} 次。"
        f"{_delay_zh(found)}{bounds_zh(subject)}"
    )
    en = (
        f"{subject.name.en} ({subject.alarm}) has {found.labelled} judged alarms: "
        f"{found.nuisance} nuisance, {found.true_alarms} true. "
        f"With {change_en(now.setting, new.setting, subject.unit)}, "
        f"false alarms go from {now.false_alarms} to {new.false_alarms} "
        f"and missed alarms from {now.missed} to {new.missed}. "
        f"{_delay_en(found)}{bounds_en(subject)}"
    )
    return Words(zh, en)


FILTER_WORDS: dict[Filter, Words] = {
    "raw": Words("原始采样值", "raw samples"),
    "mean5min": Words("5 分钟均值", "their mean of 5 minutes"),
    "day": Words("相对一天均值的偏差", "the deviation from the mean of a day"),
}
"""What a limit is held against, as people read it."""


def _seconds(ms: int) -> str:
    return f"{ms / 1000:g} s"


def change_zh(now: Setting, new: Setting, unit: str) -> str:
    """What changes, in Chinese."""
    parts = []
    if new.limit != now.limit:
        parts.append(f"限值由 {now.limit:g} 改为 {new.limit:g} {unit}".rstrip())
    if new.deadband != now.deadband:
        parts.append(f"死区由 {now.deadband:g} 改为 {new.deadband:g} {unit}".rstrip())
    if new.on_delay_ms != now.on_delay_ms:
        parts.append(f"报警延时由 {_seconds(now.on_delay_ms)} 改为 {_seconds(new.on_delay_ms)}")
    if new.off_delay_ms != now.off_delay_ms:
        parts.append(f"返回延时由 {_seconds(now.off_delay_ms)} 改为 {_seconds(new.off_delay_ms)}")
    if new.filter != now.filter:
        parts.append(f"信号滤波由{FILTER_WORDS[now.filter].zh}改为{FILTER_WORDS[new.filter].zh}")
    return "、".join(parts)


def change_en(now: Setting, new: Setting, unit: str) -> str:
    """What changes, in English."""
    parts = []
    if new.limit != now.limit:
        parts.append(f"the limit at {new.limit:g} {unit}".rstrip() + f" instead of {now.limit:g}")
    if new.deadband != now.deadband:
        parts.append(
            f"the deadband at {new.deadband:g} {unit}".rstrip() + f" instead of {now.deadband:g}"
        )
    if new.on_delay_ms != now.on_delay_ms:
        parts.append(
            f"an on-delay of {_seconds(new.on_delay_ms)} instead of {_seconds(now.on_delay_ms)}"
        )
    if new.off_delay_ms != now.off_delay_ms:
        parts.append(
            f"an off-delay of {_seconds(new.off_delay_ms)} instead of {_seconds(now.off_delay_ms)}"
        )
    if new.filter != now.filter:
        parts.append(
            f"the limit held against {FILTER_WORDS[new.filter].en} instead of "
            f"{FILTER_WORDS[now.filter].en}"
        )
    return " and ".join(parts)


def _delay_zh(found: Suggestion) -> str:
    if not found.later:
        return "没有真报警会更晚；"
    return (
        f"{len(found.later)} 次真报警会更晚，平均延迟由 {found.current.delay_s or 0:.1f} s "
        f"变为 {found.proposed.delay_s or 0:.1f} s；"
    )


def _delay_en(found: Suggestion) -> str:
    if not found.later:
        return "No true alarm would come later; "
    return (
        f"{len(found.later)} true alarms would come later, on average "
        f"{found.current.delay_s or 0:.1f} s becomes {found.proposed.delay_s or 0:.1f} s; "
    )


def bounds_zh(subject: Subject) -> str:
    """That it stays inside the bounds, in Chinese."""
    span = _span(subject)
    return f"新值在工程师限定的 {span} 之内。" if span else "限值不变，新值在工程师限定之内。"


def bounds_en(subject: Subject) -> str:
    """That it stays inside the bounds, in English."""
    span = _span(subject)
    if span:
        return f"the new values stay inside the engineer's bounds of {span}."
    return "the new values stay inside the engineer's bounds."


def _span(subject: Subject) -> str:
    low, high = subject.bounds.limit_min, subject.bounds.limit_max
    if low is not None and high is not None:
        return f"{low:g} - {high:g} {subject.unit}".rstrip()
    if low is not None:
        return f">= {low:g} {subject.unit}".rstrip()
    return f"<= {high:g} {subject.unit}".rstrip() if high is not None else ""
