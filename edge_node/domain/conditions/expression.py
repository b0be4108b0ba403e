"""A condition written as an expression over tags, their windows and other alarms, three-valued.

Made by the registry, shown samples and looked at by the pipeline. Compiles once, at load; no IO,
no clock.
"""

from __future__ import annotations

from collections.abc import Collection

from edge_node.domain.conditions.port import Answer, Condition, Environment, Names
from shared.alarm.definition import AlarmDefinition
from shared.errors import ConfigError
from shared.expression import Expression, ExpressionError, compile_expression, is_unknown

EVERY_MS = 1000
"""Expressions with windows or ages change without a sample: they are looked at this often too."""


class ExpressionCondition:
    """`when` of one alarm."""

    __slots__ = ("_fast", "_shown", "alarms", "every_ms", "tags")

    def __init__(
        self, definition: AlarmDefinition, names: Names, alarms: Collection[str] = ()
    ) -> None:
        expression = _compile(definition, names, alarms)
        self._fast = expression.compile_to_python()
        self._shown = definition.tag
        self.tags: tuple[str, ...] = tuple(sorted(expression.tags))
        self.alarms: tuple[str, ...] = tuple(sorted(expression.alarms))
        self.every_ms: int | None = EVERY_MS
        for use in expression.windows:
            names.watch(use)

    def sample(self, tag: str, at: int, value: float | str, good: bool) -> None:
        """The tag table keeps what expressions read."""

    def look(self, tags: Environment, at: int) -> Answer:
        """The expression's value now."""
        tags.now = at
        answer = self._fast(tags)
        if is_unknown(answer):
            return Answer(None, reason=getattr(answer, "code", "unknown"))
        if not isinstance(answer, bool):
            return Answer(None, reason="not_boolean")
        reading = tags.tag(self._shown)
        shown = reading.value if reading is not None else None
        return Answer(answer, float(shown) if isinstance(shown, int | float) else None)

    def adopt(self, old: Condition) -> None:
        """Nothing: what it looks at is kept by the tag table."""


def _compile(definition: AlarmDefinition, names: Names, alarms: Collection[str]) -> Expression:
    try:
        return compile_expression(definition.when, tags=list(names), alarms=list(alarms))
    except ExpressionError as error:
        raise ConfigError(
            f"alarm {definition.id}: `when` column {error.column}: {error.text['en']}",
            mend="correct the expression",
        ) from error
