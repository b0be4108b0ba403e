"""Evaluates what an engineer wrote - conditions, texts, data, durations - in a run's environment.

Called by the interpreter only; what cannot be known stays visibly unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from shared.expression import (
    MAX_CHARS_PLAYBOOK,
    Environment,
    Expression,
    Template,
    Unknown,
    compile_data,
    compile_expression,
    compile_template,
    parse_duration,
)
from shared.playbook.ground import ground
from shared.playbook.journal import ROOTS


@lru_cache(maxsize=4096)
def _condition(text: str) -> Expression:
    return compile_expression(text, roots=ROOTS, max_chars=MAX_CHARS_PLAYBOOK)


@lru_cache(maxsize=4096)
def _template(text: str) -> Template:
    return compile_template(text, roots=ROOTS)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a run can see at one moment."""

    env: Environment

    def truth(self, text: str) -> bool | None:
        """True, False, or None while it cannot be known."""
        value = _condition(text).evaluate(self.env)
        return value if isinstance(value, bool) else None

    def render(self, text: str) -> str:
        """A text for people; unknown parts show as a question mark."""
        return _template(text).render(self.env)

    def data(self, value: Any) -> Any:
        """Nested data with its templates evaluated; None when a part is unknown."""
        found = compile_data(value, roots=ROOTS).evaluate(self.env)
        return None if isinstance(found, Unknown) else found

    def duration(self, value: int | str) -> int:
        """Milliseconds of a duration, or of a template that gives one."""
        if isinstance(value, int):
            return value
        found = self.data(value)
        seconds = parse_duration(found) if isinstance(found, str) else found
        return round(float(seconds or 0) * 1000)

    def grounded(self, text: str) -> str:
        """A condition as an edge can evaluate it; raises NotGroundError."""
        return ground(_condition(text), self.env)
