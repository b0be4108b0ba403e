"""What a message says, in the reader's language. Pure.

Facts are stored with the message; words are made when it is sent, for whoever then reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

Language = Literal["zh", "en"]
_HEAD = {
    "zh": {
        "alarm": "【{p}级报警】{name}", "reminder": "【提醒 · {p}级】{name} 仍未确认",
        "still_there": "【{p}级报警】{name} 已确认但仍未消除", "over": "【恢复】{name}",
        "summary": "【报警汇总】{total} 条", "playbook": "【处置流程】{name}",
        "test": "【测试】安灯通知",
    },
    "en": {
        "alarm": "[Priority {p}] {name}", "reminder": "[Reminder, priority {p}] {name}: not yet "
        "acknowledged", "still_there": "[Priority {p}] {name}: acknowledged, still there",
        "over": "[Over] {name}", "summary": "[Alarm summary] {total} alarms",
        "playbook": "[Playbook] {name}", "test": "[Test] Andon notification",
    },
}  # fmt: skip
_LINES = {
    "zh": {
        "value": "数值", "limit": "限值", "place": "位置", "time": "发生时间", "action": "处置",
        "contact": "联系", "ack": "确认", "console": "控制台", "by": "{n} 条 {p} 级",
        "standing": "仍存在", "gone": "已恢复", "more": "另有 {n} 条", "colon": "：",
        "over": "报警已结束，无需再处理", "test": "收到此消息说明此通道可用",
    },
    "en": {
        "value": "Value", "limit": "limit", "place": "Place", "time": "Since", "action": "To do",
        "contact": "Contact", "ack": "Acknowledge", "console": "Console",
        "by": "{n} of priority {p}", "standing": "standing", "gone": "over",
        "more": "and {n} more", "colon": ": ", "over": "The alarm is over, nothing is left to do",
        "test": "If you read this, this channel works",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Worded:
    """A message as a person reads it."""

    title: str
    text: str


def worded(
    kind: str, facts: Mapping[str, Any], language: Language, zone: ZoneInfo,
    ack_url: str = "", console_url: str = "",
) -> Worded:  # fmt: skip
    """The message of `kind` with these facts."""
    words = _LINES[language]
    title = _HEAD[language][kind].format(
        p=facts.get("priority", ""), name=said(facts.get("name"), language),
        total=facts.get("total", ""),
    )  # fmt: skip
    if kind == "summary":
        lines = _summary(facts, language)
    elif kind == "playbook":
        lines = [said(facts.get("message"), language)]
    elif kind == "test":
        lines = [words["test"]]
    else:
        lines = _alarm(facts, language, zone)
        lines += [words["over"]] if kind == "over" else _response(facts, language)
    colon = words["colon"]
    if ack_url and kind != "over":
        lines.append(f"{words['ack']}{colon}{ack_url}")
    if console_url:
        lines.append(f"{words['console']}{colon}{console_url}")
    return Worded(title, "\n".join(line for line in lines if line))


def said(names: Any, language: Language) -> str:
    """A text in a language, or in the other where it is not given."""
    if not isinstance(names, Mapping):
        return ""
    other = "en" if language == "zh" else "zh"
    return str(names.get(language) or names.get(other) or "")


def number(value: Any, unit: str) -> str:
    """A value with its unit, without a tail of digits."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return ""
    return f"{value:.6g} {unit}".strip()


def _alarm(facts: Mapping[str, Any], language: Language, zone: ZoneInfo) -> list[str]:
    words, colon = _LINES[language], _LINES[language]["colon"]
    unit = str(facts.get("unit") or "")
    value, limit = number(facts.get("value"), unit), number(facts.get("limit"), unit)
    lines: list[str] = []
    if value:
        told = f"{words['value']}{colon}{value}"
        if limit:
            told += f"（{words['limit']} {limit}）" if language == "zh" else f" (limit {limit})"
        lines.append(told)
    place = " / ".join(said(each, language) for each in facts.get("place", []))
    asset = str(facts.get("asset") or "")
    lines.append(f"{words['place']}{colon}{place} ({asset})" if place else asset)
    if raised := facts.get("raised_at"):
        when = datetime.fromtimestamp(raised / 1000, zone)
        lines.append(f"{words['time']}{colon}{when:%Y-%m-%d %H:%M:%S} ({zone.key})")
    return lines


def _response(facts: Mapping[str, Any], language: Language) -> list[str]:
    words = _LINES[language]
    found = [(key, said(facts.get(key), language)) for key in ("action", "contact")]
    return [f"{words[key]}{words['colon']}{text}" for key, text in found if text]


def _summary(facts: Mapping[str, Any], language: Language) -> list[str]:
    words = _LINES[language]
    counts = sorted((int(p), n) for p, n in facts.get("by_priority", {}).items())
    lines = ["，".join(words["by"].format(n=n, p=p) for p, n in counts)]
    if language == "en":
        lines = [", ".join(words["by"].format(n=n, p=p) for p, n in counts)]
    top = facts.get("top", [])
    for each in top:
        state = words["standing"] if each.get("standing") else words["gone"]
        value = number(each.get("value"), str(each.get("unit") or ""))
        parts = [said(each.get("name"), language), value, str(each.get("asset") or ""), state]
        lines.append(f"P{each['priority']} " + " · ".join(part for part in parts if part))
    rest = int(facts.get("total", 0)) - len(top)
    return [*lines, words["more"].format(n=rest)] if rest > 0 else lines


def spoken(name: Mapping[str, str], priority: int) -> dict[str, str]:
    """One alarm as the console says it aloud."""
    return {
        "zh": f"{priority}级报警，{said(name, 'zh')}", "en": f"Priority {priority}: "
        f"{said(name, 'en')}",
    }  # fmt: skip


def more_spoken(count: int) -> dict[str, str]:
    """The rest of a flurry, as the console says it aloud."""
    return {
        "zh": f"另有 {count} 条新报警",
        "en": f"{count} more new alarm" + ("s" if count > 1 else ""),
    }
