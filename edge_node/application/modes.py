"""The equipment's state charts beside the alarms: looked at with their tags and by the clock.

Part of the pipeline. Tells the alarm book which states the equipment is in; the engine stores and
tells what has changed. No IO.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.statechart import LOOK_MS, Chart, StateChange, StateCharts
from edge_node.domain.tags import TagTable
from shared.errors import ConfigError
from shared.expression import ExpressionError
from shared.site.states import ChartSpec
from shared.telemetry import logger

log = logger("pipeline")
STATES = "states"
"""Key of what is remembered of them."""


class Modes:
    """The charts of one edge."""

    def __init__(
        self, specs: Iterable[ChartSpec], tags: TagTable, book: AlarmBook,
        index: Callable[[str], int],
    ) -> None:  # fmt: skip
        self._tags, self._book = tags, book
        self.charts = StateCharts()
        self._readers: dict[int, list[Chart]] = {}
        """By the kernel's index of each tag that a guard names."""
        self._next: int | None = None
        self._changes: list[StateChange] = []
        for spec in specs:
            try:
                chart = self.charts.add(spec, list(tags), tags.watch)
            except ExpressionError as error:
                raise ConfigError(
                    f"chart {spec.id}: column {error.column}: {error.text['en']}",
                    mend="correct the expression",
                ) from error
            for tag in chart.tags:
                self._readers.setdefault(index(tag), []).append(chart)

    @property
    def indexes(self) -> Iterable[int]:
        """The kernel's indexes of the tags whose samples are to be shown."""
        return self._readers

    def reads(self, index: int) -> bool:
        """Whether a guard names that tag."""
        return index in self._readers

    def restore(self, states: Mapping[str, tuple[str, int]]) -> None:
        """The states of the last run, or of another version of the site."""
        self.charts.restore(dict(states))

    def start(self, now: int) -> None:
        """Time begins: tell the book where the equipment stands."""
        if self.charts.charts:
            self._book.enter_states(self.charts.current, now)
            self._next = now + LOOK_MS

    def show(self, index: int, at: int) -> None:
        """A tag has a new value at steady time `at`."""
        if readers := self._readers.get(index):
            self._look(readers, at)

    def tick(self, now: int) -> None:
        """Look by the clock, if it is time."""
        if self._next is not None and now >= self._next:
            self._look(self.charts.charts.values(), now)
            self._next = now + LOOK_MS

    @property
    def next_due(self) -> int | None:
        """When the clock looks next."""
        return self._next

    def _look(self, charts: Iterable[Chart], at: int) -> None:
        self._tags.now = at
        fresh: list[StateChange] = []
        for chart in charts:
            was = chart.unknown
            fresh += chart.look(self._tags, at)
            if chart.unknown != was:
                log.info("chart_unknown" if chart.unknown else "chart_known",
                         chart=chart.spec.id, reason=chart.unknown or None)  # fmt: skip
            due = chart.next_due
            if due is not None and (self._next is None or due < self._next):
                self._next = due
        if fresh:
            self._changes += fresh
            self._book.enter_states(self.charts.current, at)

    def take(self) -> list[StateChange]:
        """The changes since the last call, in order."""
        taken, self._changes = self._changes, []
        return taken
