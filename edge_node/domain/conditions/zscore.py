"""Z-score: how many standard deviations a tag is from its own exponentially weighted mean.

Made by the registry. What is abnormal moves the mean only as far as the limit, so that a fault does
not become the new normal at once.
"""

from __future__ import annotations

from edge_node.domain.conditions.band import outside
from edge_node.domain.conditions.port import Answer, Condition, Environment
from edge_node.kernel import Spread
from edge_node.kernel.spread import BOTH, DOWNWARD, UPWARD
from shared.alarm.condition import ConditionSpec
from shared.alarm.definition import AlarmDefinition

SIDES = {"both": BOTH, "high": UPWARD, "low": DOWNWARD}


def watch(spread: Spread, row: int, tag: int, definition: AlarmDefinition) -> None:
    """Let a row of the arrays run a z-score alarm."""
    spec, setting = definition.condition or ConditionSpec(), definition.setting
    spread.configure(
        row, tag, spec.half_life_ms, setting.limit, setting.deadband, spec.least_spread,
        spec.min_samples, SIDES[spec.direction],
    )  # fmt: skip


class ZScoreCondition:
    """|z| of `tag` beyond `limit`."""

    __slots__ = ("_definition", "_good", "_score", "_setting", "_spec", "_spread", "_was",
                 "alarms", "every_ms", "tags")  # fmt: skip

    def __init__(self, definition: AlarmDefinition, spec: ConditionSpec) -> None:
        self._spec, self._setting, self._definition = spec, definition.setting, definition
        self.tags: tuple[str, ...] = (definition.tag,)
        self.alarms: tuple[str, ...] = ()
        self.every_ms: int | None = None
        self._spread = Spread(1, 1)
        watch(self._spread, 0, 0, definition)
        self._score, self._good, self._was = 0.0, False, False

    def sample(self, tag: str, at: int, value: float | str, good: bool) -> None:
        """Score the tag's sample, then learn from it."""
        self._good = good and not isinstance(value, str)
        if self._good:
            self._score = self._spread.update(0, at, float(value))

    def look(self, tags: Environment, at: int) -> Answer:
        """The score of the last sample; unknown while too few have been seen."""
        if not self._good:
            return Answer(None, reason="tag_bad")
        if self._spread.count(0) <= self._spec.min_samples:
            return Answer(None, reason="warming_up")
        setting = self._setting
        self._was = outside(
            self._score, setting.limit, setting.deadband, self._spec.direction, self._was
        )
        return Answer(self._was, self._score)

    def adopt(self, old: Condition) -> None:
        """Keep what was learnt, if it was learnt at the same pace."""
        if isinstance(old, ZScoreCondition):
            self._score, self._good, self._was = old._score, old._good, old._was
            self._spread = old._spread
            watch(self._spread, 0, 0, self._definition)
