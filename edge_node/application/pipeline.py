"""Samples in, transitions out: kernel scan, conditions, delays, expressions, staleness.

Called by the engine with every batch and every timer; synchronous and without IO. It never waits,
stores or sends: the engine does that with what it returns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from edge_node.application.ipc import Samples, Texts
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import AlarmUnit, Transition
from edge_node.domain.conditions.limits import NOTHING, holds, narrow, quiet_band
from edge_node.domain.tags import GOOD, SourceTags, TagTable
from shared.clock import Clock
from shared.errors import ConfigError, ContractError
from shared.expression import Expression, ExpressionError, compile_expression, is_unknown
from shared.telemetry import logger

log = logger("pipeline")
STALE, EXPRESSION = "stale", "expression"
EXPRESSION_EVERY_MS = 1000
"""Expressions with windows or ages change without a sample: they are looked at this often too."""


class Pipeline:
    """The edge's rules over its tags."""

    def __init__(self, tags: TagTable, book: AlarmBook, clock: Clock) -> None:
        self.tags, self.book, self._clock = tags, book, clock
        self._wall0, self._mono0 = clock.now_ms(), clock.mono_ms()
        self._by_tag: dict[tuple[str, int], list[AlarmUnit]] = {}
        self._readers: dict[tuple[str, int], list[AlarmUnit]] = {}
        self._compiled: dict[str, Callable[[TagTable], object]] = {}
        self._recheck: list[AlarmUnit] = []
        self.samples = 0
        self.excursions = 0
        book.offset_of = self._offset
        book.on_setting = self._recheck.append
        for unit in book.units.values():
            self._register(unit)

    def steady(self) -> int:
        """Wall time at start plus monotonic time since: never steps as the wall clock may."""
        return self._wall0 + self._clock.mono_ms() - self._mono0

    def _register(self, unit: AlarmUnit) -> None:
        source, index = self.tags.place(unit.definition.tag)
        if unit.definition.kind != "expression":
            self._by_tag.setdefault((source.spec.id, index), []).append(unit)
            return
        expression = self._compile(unit)
        self._compiled[unit.id] = expression.compile_to_python()
        for use in expression.windows:
            self.tags.watch(use.tag, use.seconds)
        for tag in expression.tags:
            source, index = self.tags.place(tag)
            self._readers.setdefault((source.spec.id, index), []).append(unit)

    def _compile(self, unit: AlarmUnit) -> Expression:
        try:
            return compile_expression(unit.definition.when, tags=list(self.tags))
        except ExpressionError as error:
            raise ConfigError(
                f"alarm {unit.id}: `when` column {error.column}: {error.text['en']}",
                mend="correct the expression",
            ) from error

    def start(self) -> list[Transition]:
        """After recovery: arm timers and settle suppression."""
        now = self._begin()
        for unit in self.book.units.values():
            kind = unit.definition.kind
            if kind == "stale":
                self.book.arm(now + unit.definition.stale_after_ms, STALE, unit)
            elif kind == "expression":
                self.book.arm(now + EXPRESSION_EVERY_MS, EXPRESSION, unit)
            if unit.state.shelved_until is not None:
                self.book.arm(max(now, unit.state.shelved_until), "shelf", unit)
            if unit.definition.re_alarm_ms and unit.state.active:
                self.book.arm(now + unit.definition.re_alarm_ms, "re_alarm", unit)
            self.book.settle_suppression(unit, now)
        return self._end()

    def _begin(self) -> int:
        self.book.now = self.tags.now = now = self.steady()
        return now

    def _end(self) -> list[Transition]:
        while self._recheck:
            self._look_again(self._recheck.pop())
        return self.book.take()

    # batches

    def take(self, source_id: str, batch: Samples) -> list[Transition]:
        """One batch of numbers; raises ContractError when it is malformed (nothing is taken)."""
        now = self._begin()
        source = self.tags.sources[source_id]
        times, values, qualities = self._columns(source, batch)
        count = len(qualities)
        if not count:
            return []
        source.time.observe(max(times), now)
        tags = memoryview(batch.tags).cast("i")
        for index in set(tags):
            source.received[index] = now
        self.samples += count
        scan = source.band.scan
        at = scan(batch.tags, batch.times, batch.values, batch.qualities, 0)
        while at < count:
            self._excursion(source, tags[at], times[at], values[at], qualities[at], now)
            at = scan(batch.tags, batch.times, batch.values, batch.qualities, at + 1)
        return self._end()

    def _columns(
        self, source: SourceTags, batch: Samples
    ) -> tuple[Sequence[int], Sequence[float], bytes]:
        count = len(batch.qualities)
        sizes = (len(batch.tags), len(batch.times), len(batch.values))
        if sizes != (4 * count, 8 * count, 8 * count):
            raise ContractError(f"source {source.spec.id}: columns of a batch differ in length")
        indexes = memoryview(batch.tags).cast("i")
        if count and not 0 <= min(indexes) <= max(indexes) < len(source.tags):
            raise ContractError(f"source {source.spec.id}: a tag index is out of range")
        return (
            memoryview(batch.times).cast("q"),
            memoryview(batch.values).cast("d"),
            batch.qualities,
        )

    def _excursion(
        self, source: SourceTags, index: int, time: int, value: float, quality: int, now: int
    ) -> None:
        self.excursions += 1
        good = quality == GOOD and not math.isnan(value)
        at = source.time.steady(time, now)
        self._apply(source, index, at, value, good)
        self._set_band(source, index)

    def take_texts(self, source_id: str, batch: Texts) -> list[Transition]:
        """Rows of strings."""
        now = self._begin()
        source = self.tags.sources[source_id]
        for index, time, value, quality in batch.rows:
            if not 0 <= index < len(source.tags):
                raise ContractError(f"source {source_id}: a tag index is out of range")
            source.received[index] = now
            source.texts[index] = (value, quality)
            self._apply(source, index, source.time.steady(time, now), value, quality == GOOD)
        return self._end()

    def _apply(
        self, source: SourceTags, index: int, at: int, value: float | str, good: bool
    ) -> None:
        key = (source.spec.id, index)
        number = value if isinstance(value, float) and not math.isnan(value) else None
        units = self._by_tag.get(key, ())
        self.book.elapse_all(units, at)
        answers = [(unit, holds(unit.definition, unit.point, value, good)) for unit in units]
        # What ends comes first and in reverse, so that nothing comes out of hiding that has ended.
        ends = [pair for pair in reversed(answers) if pair[1] is False]
        for unit, answer in ends + [pair for pair in answers if pair[1]]:
            was = unit.point.beyond
            self.book.follow(unit, bool(answer), at, number, "good" if good else "bad")
            if unit.definition.kind == "stale" and was:
                self.book.arm(self.book.now + unit.definition.stale_after_ms, STALE, unit)
        if good and number is not None:
            self.tags.feed_window(source.tags[index].id, at, number)
        for unit in self._readers.get(key, ()):
            self._evaluate(unit, at)

    def _set_band(self, source: SourceTags, index: int) -> None:
        key = (source.spec.id, index)
        value = source.band.value(index)
        if source.band.quality(index) != GOOD or math.isnan(value) or key in self._readers:
            # While it is bad, its return to good must show; expressions see every sample.
            source.band.set_band(index, *NOTHING)
            return
        bands = (quiet_band(u.definition, u.point, value) for u in self._by_tag.get(key, ()))
        source.band.set_band(index, *narrow(bands))

    # time

    def tick(self) -> list[Transition]:
        """Handle all timers that are due."""
        now = self._begin()
        for at, kind, unit in self.book.due_timers(now):
            if kind == STALE:
                self._check_stale(unit, now)
            elif kind == EXPRESSION:
                self._evaluate(unit, now)
                self.book.arm(now + EXPRESSION_EVERY_MS, EXPRESSION, unit)
            else:
                self.book.on_timer(at, kind, unit)
            self._refresh_band(unit)
        return self._end()

    def next_due_in_ms(self) -> int | None:
        """How long until the next timer; None when none is armed."""
        at = self.book.next_due
        return None if at is None else max(0, at - self.steady())

    def _check_stale(self, unit: AlarmUnit, now: int) -> None:
        source, index = self.tags.place(unit.definition.tag)
        heard = source.received[index]
        deadline = (self._wall0 if heard is None else heard) + unit.definition.stale_after_ms
        if deadline <= now:
            self.book.follow(unit, True, deadline, None, "stale")
        else:
            self.book.arm(deadline, STALE, unit)

    def _evaluate(self, unit: AlarmUnit, at: int) -> None:
        self.tags.now = at
        answer = self._compiled[unit.id](self.tags)
        reason = ""
        if is_unknown(answer):
            reason = getattr(answer, "code", "unknown")
        elif isinstance(answer, bool):
            reading = self.tags.tag(unit.definition.tag)
            shown = reading.value if reading is not None else None
            number = float(shown) if isinstance(shown, int | float) else None
            self.book.follow(unit, answer, at, number)
        else:
            reason = "not_boolean"
        if reason != unit.unknown:  # unknown keeps the state, and says so
            log.info("condition_unknown" if reason else "condition_known",
                     alarm=unit.id, reason=reason or None)  # fmt: skip
            unit.unknown = reason

    # settings

    def _look_again(self, unit: AlarmUnit) -> None:
        """A new setting: judge the present value by it, then narrow the band to it."""
        source, index = self.tags.place(unit.definition.tag)
        value, good = source.band.value(index), source.band.quality(index) == GOOD
        if unit.definition.kind == "limit" and source.received[index] is not None:
            answer = holds(unit.definition, unit.point, value, good and not math.isnan(value))
            if answer is not None:
                self.book.follow(unit, answer, self.book.now, value)
        self._refresh_band(unit)

    def _refresh_band(self, unit: AlarmUnit) -> None:
        source, index = self.tags.place(unit.definition.tag)
        if source.received[index] is not None:
            self._set_band(source, index)

    def settle(self) -> list[Transition]:
        """Transitions made by people or settings since the last call."""
        self._begin()
        return self._end()

    def _offset(self, unit: AlarmUnit) -> int:
        return self.tags.place(unit.definition.tag)[0].time.offset
