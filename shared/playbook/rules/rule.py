"""One rule of the linter: how grave it is, and what it says and advises in zh and en."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "advice"]
"""A playbook with an error is not released; advice is shown."""


class Rule(NamedTuple):
    """The texts are filled in with the finding's parameters."""

    severity: Severity
    zh: str
    en: str
    mend_zh: str
    mend_en: str
