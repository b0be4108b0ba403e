"""Deviation: how far a tag is from its set-point, a tag or a fixed number.

Made by the registry; a bad set-point or value makes it unknown.
"""

from __future__ import annotations

from edge_node.domain.conditions.band import outside
from edge_node.domain.conditions.port import Answer, Condition, Environment
from shared.alarm.condition import ConditionSpec
from shared.alarm.definition import AlarmDefinition


class DeviationCondition:
    """`tag` - set-point beyond `limit` on the stated side."""

    __slots__ = ("_setting", "_spec", "_tag", "_was", "alarms", "every_ms", "tags")

    def __init__(self, definition: AlarmDefinition, spec: ConditionSpec) -> None:
        self._spec, self._tag, self._setting = spec, definition.tag, definition.setting
        self.tags: tuple[str, ...] = tuple(
            dict.fromkeys(t for t in (definition.tag, spec.against) if t)
        )
        self.alarms: tuple[str, ...] = ()
        self.every_ms: int | None = None
        self._was = False

    def sample(self, tag: str, at: int, value: float | str, good: bool) -> None:
        """The tag table keeps what is compared."""

    def look(self, tags: Environment, at: int) -> Answer:
        """The deviation now."""
        value, reason = number_of(tags, self._tag)
        target = self._spec.target
        if not reason and target is None:
            target, reason = number_of(tags, self._spec.against)
        if reason or value is None or target is None:
            return Answer(None, reason=reason)
        off = value - target
        setting = self._setting
        self._was = outside(off, setting.limit, setting.deadband, self._spec.direction, self._was)
        return Answer(self._was, off, params={"value": value, "setpoint": target})

    def adopt(self, old: Condition) -> None:
        """Keep the side of the deadband."""
        if isinstance(old, DeviationCondition):
            self._was = old._was


def number_of(tags: Environment, name: str) -> tuple[float | None, str]:
    """A tag's good number, or why there is none."""
    reading = tags.tag(name)
    if reading is None:
        return None, "tag_missing"
    if not reading.good:
        return None, "tag_stale" if reading.reason == "stale" else "tag_bad"
    value = reading.value
    return (float(value), "") if isinstance(value, float | int) else (None, "tag_no_value")
