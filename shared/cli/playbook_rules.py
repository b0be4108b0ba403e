"""`docs/reference/playbook-lint.md`: every rule of the linter, from the rules themselves.

Called by `andon gen reference`; words nothing of its own.
"""

from __future__ import annotations

import re

from shared.playbook.rules import GROUPS, Rule

_PARAMETER = re.compile(r"\{(\w+)[^{}]*\}")
_TITLES = {
    "names": "Names / 名称", "expressions": "Expressions / 表达式", "flow": "Order / 顺序",
    "verbs": "Verbs / 动作", "document": "Head of the playbook / 预案本身", "calls": "Calls / 调用",
    "offline": "Offline part / 离线片段", "syntax": "Syntax of expressions / 表达式语法",
}  # fmt: skip
_HEAD = """An `error` keeps a playbook from being released; `advice` is shown, and counts with
`--strict`. Faults of the YAML itself (`yaml_…`) and of the document's form (`unknown_key`,
`missing_key`, `bad_value`) are told in the same way.
"""


def rules_text(made: str) -> str:
    """The whole document."""
    text = "# Rules of `andon playbook lint`\n\n" + made + _HEAD
    for group, rules in GROUPS.items():
        text += f"\n## {_TITLES[group]}\n\n| code | | what | mend |\n| --- | --- | --- | --- |\n"
        text += "".join(_row(code, rule) for code, rule in rules.items())
    return text


def _row(code: str, rule: Rule) -> str:
    mend = f"{_plain(rule.mend_zh)}<br>{_plain(rule.mend_en)}"
    if not mend.replace("…", "").replace("<br>", ""):
        mend = "给出最接近的名称<br>the nearest name that there is"
    cells = (f"`{code}`", rule.severity, f"{_plain(rule.zh)}<br>{_plain(rule.en)}", mend)
    return "| " + " | ".join(cells) + " |\n"


def _plain(text: str) -> str:
    """A text with its parameters as an ellipsis, fit for a cell of a table."""
    shown = _PARAMETER.sub("…", text.replace("{{", "\0").replace("}}", "\1"))
    shown = shown.replace("\0", "{").replace("\1", "}")
    return shown.replace("|", "\\|").replace("<", "&lt;")
