"""What an early warning is called and what its response sheet says, in both languages. Pure.

Read by the warnings, the details and the list. It promises nothing: the confidence is a share of
windows like these, and the alarm's place is below every real one.
"""

from __future__ import annotations

from collections.abc import Sequence

from factory_brain.domain.system_words import is_system
from shared.web.dto import ResponseSheet, Text

PREFIX = "early_warning."
CLASS = "early_warning"
PRIORITY = 4
"""The lowest; it never sounds and no real alarm stands behind it."""


def alarm_of(line: str) -> str:
    """The id of a line's early warning in the alarm list."""
    return f"{PREFIX}{line}"


def is_warning(alarm: str) -> bool:
    """Whether an alarm or occurrence of the list is an early warning."""
    return alarm.startswith(PREFIX)


def is_own(alarm: str) -> bool:
    """Whether Andon itself says it: no alarm of the plant, so that no figure counts it."""
    return is_system(alarm) or is_warning(alarm)


def name_of(line: str, confidence: float, tags: Sequence[str], outside: int, many: int) -> Text:
    """What the list says: how sure, what speaks for it, and what it was never trained on."""
    percent = round(100 * confidence)
    zh, en = f"早期预警 {line}（置信度 {percent}%", f"early warning {line} ({percent} % confident"
    if tags:
        zh += f"；主要信号 {'、'.join(tags)}"
        en += f"; mostly {', '.join(tags)}"
    if outside:
        zh += f"；{many} 个信号中有 {outside} 个超出训练范围，置信度不可靠"
        en += f"; {outside} of {many} tags outside what it learnt from: not to be relied on"
    return Text(zh=zh + "）", en=en + ")")


SHEET = ResponseSheet(
    cause=Text(
        zh="各信号之间的关系与以往记录为故障的时段相似；尚无限值报警说明原因",
        en="the tags together look as they did in recorded faults; no limit alarm says why",
    ),
    consequence=Text(
        zh="可能是故障的开始，也可能什么也没有：置信度是这类时段中确属故障的比例",
        en="a fault may be beginning, or nothing may be: the confidence is the share of windows "
        "like these that were in a fault",
    ),
    action=Text(
        zh="查看所列信号的趋势；确认后标注“真实”或“误报”，标注会成为学习的依据",
        en="look at the trends of the named tags; then say whether it was true or nuisance: that "
        "is what it learns from",
    ),
)


def sheet_of_warning(alarm: str) -> ResponseSheet | None:
    """The response sheet of an early warning."""
    return SHEET if is_warning(alarm) else None
