"""A limit that may be held against a filtered signal: a mean of 5 min, or the deviation from a day.

Made by the registry for limits that have a filter or may come to have one, and for the others of
their tags. While a window is not known, samples are held against the engineer's limit.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_node.domain.conditions.port import Answer, Condition, Environment
from shared.alarm.definition import AlarmDefinition
from shared.alarm.filters import Filter, SignalFilter
from shared.alarm.point import beyond


class FilteredLimit:
    """`tag`, seen through the setting's filter, beyond its limit.

    Every filter that the engineer allows is kept going, so that a directive finds it filled.
    """

    __slots__ = ("_definition", "_filters", "_good", "_time_of", "_value", "alarms", "every_ms",
                 "tags", "was")  # fmt: skip

    def __init__(self, definition: AlarmDefinition, time_of: Callable[[], int]) -> None:
        self._definition, self._time_of = definition, time_of
        self.tags: tuple[str, ...] = (definition.tag,)
        self.alarms: tuple[str, ...] = ()
        self.every_ms: int | None = None
        self.was: Callable[[], bool] = lambda: False
        """Whether it was beyond the limit at the last look: the deadband applies to coming back."""
        self._filters: dict[Filter, SignalFilter] = {
            kind: SignalFilter(kind) for kind in definition.filters
        }
        self._value: float | None = None
        self._good = False

    @property
    def filters(self) -> dict[Filter, SignalFilter]:
        """The filters that are kept going."""
        return self._filters

    def sample(self, tag: str, at: int, value: float | str, good: bool) -> None:
        """Take the tag's sample by its own time; bad ones hold what the last good one said."""
        self._good = good and not isinstance(value, str)
        if not self._good:
            return
        self._value, moment = float(value), self._time_of()
        for each in self._filters.values():
            each.take(moment, self._value)

    def look(self, tags: Environment, at: int) -> Answer:
        """The filtered value against the limit; the sample against the engineer's until then."""
        definition = self._definition
        run = self._filters.get(definition.setting.filter)
        filling = run is not None and not run.filled
        if not self._good or self._value is None or definition.side is None:
            reason = "tag_missing" if self._value is None else "tag_bad"
            return Answer(None, reason=reason, filling=filling)
        now = definition.fallback if filling else definition.setting
        seen = self._value if run is None else run.seen(self._value, definition.centre)
        holds = beyond(now, definition.side, self.was(), seen)
        return Answer(holds, seen, under=now, filling=filling)

    def adopt(self, old: Condition) -> None:
        """Keep the last value and all that the filters know."""
        if isinstance(old, FilteredLimit):
            self._value, self._good = old._value, old._good
            for kind in self._filters.keys() & old._filters.keys():
                self._filters[kind] = old._filters[kind]
