"""Rate of change: how much a tag has changed over the last span, per second or minute.

Made by the registry. Looked at by the clock as well: a value that no longer changes has rate 0.
"""

from __future__ import annotations

from edge_node.domain.conditions.band import outside
from edge_node.domain.conditions.port import Answer, Condition, Environment
from edge_node.domain.windows import Late, Sliding
from shared.alarm.condition import ConditionSpec
from shared.alarm.definition import AlarmDefinition

EVERY_MS = 1000


class RateCondition:
    """Change of `tag` over `span` beyond `limit` in `per`."""

    __slots__ = ("_good", "_setting", "_spec", "_was", "_window", "alarms", "every_ms", "tags")

    def __init__(self, definition: AlarmDefinition, spec: ConditionSpec) -> None:
        self._spec, self._setting = spec, definition.setting
        self.tags: tuple[str, ...] = (definition.tag,)
        self.alarms: tuple[str, ...] = ()
        self.every_ms: int | None = EVERY_MS
        self._window = Sliding(spec.span_ms, Late())
        self._was, self._good = False, False

    def sample(self, tag: str, at: int, value: float | str, good: bool) -> None:
        """Take the tag's sample."""
        self._good = good and not isinstance(value, str)
        if self._good:
            self._window.add(at, float(value))

    def look(self, tags: Environment, at: int) -> Answer:
        """The rate now; unknown until samples span half the span."""
        reading = tags.tag(self.tags[0])
        if not self._good or reading is None or not reading.good:
            return Answer(None, reason="tag_bad" if reading is not None else "tag_missing")
        change = self._change(at)
        if change is None:
            return Answer(None, reason="window_empty")
        rate = change * self._spec.per_ms
        setting = self._setting
        self._was = outside(rate, setting.limit, setting.deadband, self._spec.direction, self._was)
        return Answer(self._was, rate)

    def _change(self, at: int) -> float | None:
        """Change for each millisecond."""
        held, last = self._window.figure("lag", at), self._window.figure("last", at)
        if held is not None and last is not None:
            return (last - held) / self._spec.span_ms
        count, first_at, first, last_at, newest = self._window.ends()
        spanned = last_at - first_at
        if not count or spanned < self._spec.span_ms / 2:
            return None
        return (newest - first) / spanned

    def adopt(self, old: Condition) -> None:
        """Keep the samples, if the span is the same."""
        if isinstance(old, RateCondition):
            self._was, self._good = old._was, old._good
            if old._spec.span_ms == self._spec.span_ms:
                self._window = old._window
