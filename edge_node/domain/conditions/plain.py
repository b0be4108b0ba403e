"""Limits, states, silence and bad quality as conditions, for where they are counted or scheduled.

Made by the registry; alone these kinds are run by the kernel. Also: lists of states.
"""

from __future__ import annotations

from edge_node.domain.conditions.port import Answer, Condition, Environment
from shared.alarm.definition import AlarmDefinition
from shared.alarm.point import beyond


class PlainCondition:
    """A condition of the alarm's own tag alone."""

    __slots__ = ("_beyond", "_definition", "_good", "_started", "_value", "alarms", "every_ms",
                 "tags")  # fmt: skip

    def __init__(self, definition: AlarmDefinition) -> None:
        self._definition = definition
        self.tags: tuple[str, ...] = (definition.tag,)
        self.alarms: tuple[str, ...] = ()
        self.every_ms: int | None = 1000 if definition.kind == "stale" else None
        self._value: float | str | None = None
        self._good = True
        self._beyond: bool | None = None
        self._started: int | None = None

    def sample(self, tag: str, at: int, value: float | str, good: bool) -> None:
        """Take the tag's sample; bad ones hold what the last good one said."""
        self._good = good
        if good:
            self._value = value
            self._beyond = self._holds(value)

    def look(self, tags: Environment, at: int) -> Answer:
        """The condition now."""
        kind = self._definition.kind
        number = self._value if isinstance(self._value, float) else None
        if kind == "stale":
            return self._stale(tags, at)
        if kind == "bad_quality":
            return Answer(not self._good, number)
        if not self._good or self._beyond is None:
            return Answer(None, reason="tag_bad" if not self._good else "tag_missing")
        return Answer(self._beyond, number)

    def _stale(self, tags: Environment, at: int) -> Answer:
        if self._started is None:
            self._started = at
        reading = tags.tag(self._definition.tag)
        heard = self._started if reading is None else at - round(reading.age_s * 1000)
        deadline = heard + self._definition.stale_after_ms
        return Answer(at >= deadline, again_at=deadline if at < deadline else None)

    def _holds(self, value: float | str) -> bool | None:
        definition, spec = self._definition, self._definition.condition
        if definition.kind == "limit" and definition.side is not None:
            if isinstance(value, str):
                return None
            return beyond(definition.setting, definition.side, self._beyond is True, value)
        if definition.kind != "discrete":
            return None
        if spec is not None and (spec.any_of or spec.none_of):
            listed = any(same(value, one) for one in spec.any_of or spec.none_of)
            return listed == bool(spec.any_of)
        return definition.equals is not None and same(value, definition.equals)

    def adopt(self, old: Condition) -> None:
        """Judge the last value by the new setting at once."""
        if isinstance(old, PlainCondition):
            self._value, self._good, self._started = old._value, old._good, old._started
            self._beyond = old._beyond
            if self._value is not None:
                self._beyond = self._holds(self._value)


def same(value: float | str, wanted: bool | float | str) -> bool:
    """Whether a tag has a value written in YAML; `true` is 1."""
    if isinstance(value, str) or isinstance(wanted, str):
        return value == wanted
    return value == float(wanted)
