"""Every rule of the linter by its code, from which findings and the reference are worded."""

from __future__ import annotations

from shared.expression.messages import COMPILE_TEXTS
from shared.playbook.rules.document import DOCUMENT
from shared.playbook.rules.expressions import EXPRESSIONS
from shared.playbook.rules.flow import CALLS, FLOW, OFFLINE
from shared.playbook.rules.names import REFERENCES
from shared.playbook.rules.rule import Rule, Severity
from shared.playbook.rules.verbs import VERBS

__all__ = ["GROUPS", "RULES", "Rule", "Severity"]
_MEND = ("改正表达式", "correct the expression")
_MENDS = {
    "too_long": ("拆成几个 set 步骤或缩短", "shorten it, or compute a part in a `set` step"),
    "nested_comprehension": ("先用 set 步骤算出内层", "compute the inner one in a `set` step"),
    "unterminated_template": ("补上 }}", "close it with }}"),
    "unterminated_string": ("补上引号", "close the quote"),
    "fullwidth_character": ("改用半角字符", "type the half-width character"),
}
_NAMES = {"unknown_root", "unknown_member", "unknown_tag", "unknown_function", "unknown_method"}


def _expression(code: str, zh: str, en: str) -> Rule:
    """A fault of an expression, worded by the evaluator itself."""
    mend = ("{mend_zh}", "{mend}") if code in _NAMES else _MENDS.get(code, _MEND)
    return Rule("error", f"第 {{at}} 列：{zh}", f"column {{at}}: {en}", *mend)


GROUPS: dict[str, dict[str, Rule]] = {
    "names": REFERENCES,
    "expressions": EXPRESSIONS,
    "flow": FLOW,
    "verbs": VERBS,
    "document": DOCUMENT,
    "calls": CALLS,
    "offline": OFFLINE,
    "syntax": {f"expression_{code}": _expression(code, *texts)
               for code, texts in COMPILE_TEXTS.items()},
}  # fmt: skip
"""The rules by what they look at, for the reference document."""
RULES: dict[str, Rule] = {code: rule for group in GROUPS.values() for code, rule in group.items()}
