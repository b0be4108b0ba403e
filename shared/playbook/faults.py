"""What keeps a text from being a playbook at all: faults of YAML and of the schema, with a mend.

Used by `loader.py`. Every fault has a code, file:line:column and both languages, as lint has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, NodeEvent

from shared.errors import ConfigError
from shared.playbook.keys import hint
from shared.site.wording import phrase
from shared.site.yaml_file import MAX_BYTES, position

Path = tuple[str | int, ...]


class Fault(ConfigError):
    """One fault with its code and both languages."""

    def __init__(
        self, code: str, where: str, message: tuple[str, str], mend: tuple[str, str]
    ) -> None:
        self.code = code
        self.words = {"zh": message[0], "en": message[1]}
        self.mends = {"zh": mend[0], "en": mend[1]}
        super().__init__(_both(message), where=where, mend=_both(mend))

    def document(self) -> dict[str, Any]:
        """The fault for machines, as a finding of lint."""
        return {
            "code": self.code, "severity": "error", "where": self.where, "message": self.words,
            "mend": self.mends,
        }  # fmt: skip


class PlaybookFaults(ConfigError):
    """All faults of a playbook at once."""

    def __init__(self, faults: Sequence[ConfigError]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(str(fault) for fault in faults))


def documented(error: ConfigError) -> dict[str, Any]:
    """Any fault of a file as a finding of lint."""
    if isinstance(error, Fault):
        return error.document()
    message, mend = error.message, error.mend
    return Fault("bad_file", error.where, (message, message), (mend, mend)).document()


def _both(words: tuple[str, str]) -> str:
    return words[0] if words[0] == words[1] else f"{words[0]} / {words[1]}"


_PLAIN = {
    "yaml_alias": (
        ("不允许别名 *name", "aliases (*name) are not allowed"),
        ("把值写出来", "write the value out"),
    ),
    "yaml_anchor": (
        ("不允许锚点 &name", "anchors (&name) are not allowed"),
        ("删除 &name", "remove &name"),
    ),
    "yaml_tag": (
        ("不允许标签 !name", "tags (!name) are not allowed"),
        ("删除标签，数字与文字按原样写", "remove it; write numbers and texts as they are"),
    ),
    "yaml_documents": (
        ("一个文件只写一个预案", "a file holds one playbook"),
        ("拆成几个文件", "split it into several files"),
    ),
}


_SUSPECT = re.compile(
    r"""(?m)^(?:---|\.\.\.|%)|(?:^|[\s,\[{])"""
    r"""(?:&[^\s&,\[\]{}]+|\*[^\s*,\[\]{}]+|![\w!:/<>%.-]*(?=[\s,\]}"'\[{]|$))"""
)
"""Where there may be a tag, an anchor, an alias or a second document."""


_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML itself does not allow."""


DEEPEST = 100
"""Brackets within brackets; a reader's time grows with the square of their number."""
_BRACKETS = re.compile(r"[\[\]{}]")


def _too_deep(text: str) -> int | None:
    """Where brackets are nested beyond sense; those in texts are counted too, and come in pairs."""
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth = depth + 1 if found[0] in "[{" else max(depth - 1, 0)
        if depth > DEEPEST:
            return found.start()
    return None


def text_faults(text: str, name: str) -> Iterator[Fault]:
    """The first fault of a text as YAML, and every tag, anchor and alias in it."""
    if len(text.encode()) > MAX_BYTES:
        line = text.encode()[:MAX_BYTES].count(b"\n") + 1
        limit = MAX_BYTES // 1024
        yield Fault(
            "yaml_too_large",
            f"{name}:{line}:1",
            (f"大于 {limit} KiB", f"larger than {limit} KiB"),
            ("拆成几个预案，用 call 相连", "split it into playbooks that `call` each other"),
        )
        return
    if (odd := _UNPRINTABLE.search(text)) is not None:
        at = odd.start()
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        where, letter = f"{name}:{line}:{column}", f"U+{ord(odd[0]):04X}"
        said = f"不允许的字符 {letter}", f"the character {letter} is not allowed"
        yield Fault("yaml_character", where, said, ("删除它", "remove it"))
        return
    if (deep := _too_deep(text)) is not None:
        line, column = text.count("\n", 0, deep) + 1, deep - text.rfind("\n", 0, deep)
        said = f"嵌套超过 {DEEPEST} 层", f"nested more than {DEEPEST} deep"
        mend = "少套几层，或补上缺少的括号", "nest less, or close the brackets that stand open"
        yield Fault("yaml_value", f"{name}:{line}:{column}", said, mend)
        return
    if not _SUSPECT.search(text):
        return  # most texts: they need not be read twice
    documents = 0
    try:
        for event in YAML(typ="rt").parse(text):
            documents += type(event).__name__ == "DocumentStartEvent"
            code = "yaml_documents" if documents > 1 else _plain_fault(event)
            if code:
                mark = event.start_mark
                yield Fault(code, f"{name}:{mark.line + 1}:{mark.column + 1}", *_PLAIN[code])
            if documents > 1:
                return
    except MarkedYAMLError as error:
        yield marked(error, name)


def _plain_fault(event: Any) -> str:
    if isinstance(event, AliasEvent):
        return "yaml_alias"
    if not isinstance(event, NodeEvent):
        return ""
    if getattr(event, "tag", None) is not None:
        return "yaml_tag"
    return "yaml_anchor" if event.anchor is not None else ""


def marked(error: MarkedYAMLError, name: str) -> Fault:
    """A fault of the YAML itself."""
    mark = error.problem_mark or error.context_mark
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else f"{name}:1:1"
    problem = " ".join(str(error.problem or error.context or "not valid YAML").split())
    if "duplicate key" in problem:
        key = problem.partition('"')[2].partition('"')[0]
        return Fault(
            "yaml_duplicate_key",
            where,
            (f"键 {key} 重复", f"the key {key!r} stands twice"),
            ("删除其中一个", "remove one of them"),
        )
    if "'\\t'" in problem or "tab" in problem.lower():
        return Fault(
            "yaml_tab",
            where,
            ("不能用制表符缩进", "a tab cannot indent"),
            ("改用空格", "use spaces"),
        )
    if "got '{'" in problem or "got '}'" in problem:
        return Fault(
            "yaml_unquoted",
            where,
            ("{…} 里的文字含有 ${…} 却没有引号", "a text with ${…} inside {…} has no quotes"),
            ('写作 "…${…}…"', 'write it as "…${…}…"'),
        )
    return Fault(
        "yaml_syntax",
        where,
        (f"不是有效的 YAML：{problem}", f"not valid YAML: {problem}"),
        ("改正此处：引号、冒号、缩进", "look at quotes, colons and indentation here"),
    )


def schema_faults(error: ValidationError, document: Any, name: str) -> Iterator[Fault]:
    """Each complaint of the model at its place; one complaint for each place."""
    places: dict[Path, list[Any]] = {}
    for fault in error.errors():
        places.setdefault(_path(document, fault), []).append(fault)
    for path, faults in places.items():
        where = position(document, path, name)
        label = ".".join(str(part) for part in path)
        unknown = [fault for fault in faults if fault["type"] == "extra_forbidden"]
        if unknown:
            *place, key = unknown[0]["loc"]
            yield _unknown_key(str(key), where, place)
        elif faults[0]["type"] == "missing":
            yield _missing_key(str(faults[0]["loc"][-1]), where)
        else:
            yield _wrong(faults, label, where)


def _path(document: Any, fault: Any) -> Path:
    """Where it is: without the parts that only name a member of a union."""
    path: list[str | int] = []
    node = document
    for part in fault["loc"]:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            break
        path.append(part)
    if fault["type"] == "missing" and fault["loc"]:
        path.append(fault["loc"][-1])
    return tuple(path)


def _unknown_key(key: str, where: str, place: Sequence[str | int]) -> Fault:
    said = (f"未知的键 {key!r}", f"unknown key {key!r}")
    return Fault("unknown_key", where, said, hint(key, place))


def _missing_key(key: str, where: str) -> Fault:
    return Fault(
        "missing_key",
        where,
        (f"缺少键 {key!r}", f"the key {key!r} is missing"),
        (f"加上 {key}", f"add {key!r}"),
    )


_OURS = (
    ("is not a duration", "时长要带单位", "write for example 10s, 5m, 1h30m",
     "例如 10s、5m、1h30m"),
    ("with its unit", "时长要带单位", "write for example 10s, 5m, 1h30m",
     "例如 10s、5m、1h30m"),
    ("exactly one verb", "每个步骤恰有一个动作", "leave one verb in the step, or make two steps",
     "只留一个动作，或拆成两个步骤"),
    ("choose one", "retry 的两种写法只能选一种", "keep `schedule` or the rule, not both",
     "schedule 与规则二选一"),
    ("needs `max` or `schedule`", "retry 要有 max 或 schedule", "add `max: 3`", "加上 max: 3"),
    ("`max_delay` is shorter", "max_delay 比 delay 短", "make `max_delay` no shorter than `delay`",
     "使 max_delay 不短于 delay"),
    ("must not go back", "schedule 必须递增", "write the times in their order", "按先后排列"),
    ("throttle needs one", "throttle 只写一种", "write one of the three words", "三个词中写一个"),
    ("`count` belongs", "count 只与 accumulate_within 同用", "write both or neither",
     "两个一起写，或都不写"),
    ("a trigger needs one", "触发器恰有一种", "write one of alarm, incident, event, cron, manual",
     "alarm、incident、event、cron、manual 写一个"),
    ("belong to an `alarm`", "transition 与 for 只用于告警触发", "remove them, or use `alarm`",
     "删除，或改用 alarm"),
    ("has one run of a key", "该模式每个 key 只有一个流程", "leave `max` out", "删除 max"),
    ("must have at most 512 characters", "条件至多 512 个字符",
     "shorten it, or compute a part in a `set` step before", "缩短，或先用 set 步骤算出一部分"),
    ("`compensate` needs exactly one", "compensate 恰有一个动作",
     "write one of command, http, webhook", "command、http、webhook 写一个"),
)  # fmt: skip
"""What our own complaints say in Chinese, and their mends."""


def _wrong(faults: list[Any], label: str, where: str) -> Fault:
    phrases = list(dict.fromkeys(phrase(fault) for fault in faults))
    zh, en = "；或".join(each[0] for each in phrases), "; or ".join(each[1] for each in phrases)
    expected = faults[0].get("ctx", {}).get("expected")
    mend = ("改正该值", "correct the value")
    if expected:
        mend = (f"写 {expected} 之一", f"write one of {expected}")
    for part, ours, how, how_zh in _OURS:
        if part in en:
            zh, mend = f"{ours}（{en}）", (how_zh, how)
            break
    head = f"{label}: " if label else ""
    return Fault("bad_value", where, (head + zh, head + en), mend)
