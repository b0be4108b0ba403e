"""Evaluates what an engineer wrote - conditions, texts, data, durations - in a run's environment.

Called by the interpreter only; what cannot be known stays visibly unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

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
from shared.expression.tree import TagMember, Window, walk
from shared.playbook.ground import ground
from shared.playbook.journal import ROOTS

_LONGEST_S = 366 * 86_400


@lru_cache(maxsize=4096)
def _condition(text: str) -> Expression:
    return compile_expression(text, roots=ROOTS, max_chars=MAX_CHARS_PLAYBOOK)


@lru_cache(maxsize=4096)
def _template(text: str) -> Template:
    return compile_template(text, roots=ROOTS)


def _is_age(part: object) -> bool:
    return isinstance(part, TagMember) and part.member == "age_s"


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

    def tags(self, text: str) -> tuple[frozenset[str], bool]:
        """The tags that a condition reads, and whether their samples alone can change it."""
        found = _condition(text)
        timed = any(isinstance(part, Window) or _is_age(part) for part in walk(found.tree))
        return found.tags, bool(found.tags) and not timed

    def value(self, text: str) -> Any:
        """What an expression gives; None while it cannot be known."""
        found = _condition(text).evaluate(self.env)
        return None if isinstance(found, Unknown) else found

    def address(self, text: str) -> str | None:
        """The path of an address: what is filled in cannot change the address around it."""
        pieces: list[str] = []
        for part in _template(text).parts:
            if isinstance(part, str):
                pieces.append(part)
                continue
            found = part.evaluate(self.env)
            if isinstance(found, Unknown) or found is None:
                return None
            pieces.append(quote(found if isinstance(found, str) else json.dumps(found), safe=""))
        return "".join(pieces)

    def told(self, value: Any) -> Any:
        """Nested data as others are told it: what is unknown is null, the rest arrives."""
        if isinstance(value, Mapping):
            return {key: self.told(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.told(item) for item in value]
        return self.data(value)

    def data(self, value: Any) -> Any:
        """Nested data with its templates evaluated; None when a part is unknown."""
        found = compile_data(value, roots=ROOTS).evaluate(self.env)
        return None if isinstance(found, Unknown) else found

    def duration(self, value: int | str) -> int | None:
        """Milliseconds of a duration, or of a template that gives one; None if it gives none."""
        if isinstance(value, int):
            return value
        found = self.data(value)
        try:
            seconds = parse_duration(found) if isinstance(found, str) else found
        except ValueError:
            return None
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            return None
        return round(seconds * 1000) if 0 <= seconds < _LONGEST_S else None

    def grounded(self, text: str) -> str:
        """A condition as an edge can evaluate it; raises NotGroundError."""
        return ground(_condition(text), self.env)
