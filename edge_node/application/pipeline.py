"""Samples in, transitions out: the kernel's changes, other conditions, delays by the clock.

Called by the engine with every batch and every timer; synchronous and without IO. It never waits,
stores or sends: the engine does that with what it returns.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from struct import pack

from edge_node.application.ipc import Samples, Texts
from edge_node.application.modes import Modes
from edge_node.application.watching import LOOK, Watching, pending_of
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import AlarmUnit, Transition
from edge_node.domain.conditions.filtered import FilteredLimit
from edge_node.domain.conditions.limits import TextCodes, in_kernel, kernel_rule
from edge_node.domain.site_change import AlarmChanges, ended
from edge_node.domain.tags import GOOD, SourceTags, TagTable
from edge_node.kernel import Kernel, Rules, bounded
from shared.alarm.definition import AlarmDefinition
from shared.clock import Clock
from shared.errors import ContractError
from shared.site.states import ChartSpec

BAD = 2


class Pipeline:
    """The edge's rules over its tags."""

    def __init__(
        self, tags: TagTable, book: AlarmBook, clock: Clock, charts: Iterable[ChartSpec] = ()
    ) -> None:
        self.tags, self.book, self._clock = tags, book, clock
        self._wall0, self._mono0 = clock.now_ms(), clock.mono_ms()
        self._began = self._wall0
        self._later: dict[str, int] = {}
        """Tags that came with a change of the site: when, by steady time."""
        self._units: list[AlarmUnit] = []
        """The alarms that the kernel runs, by the number of their rule."""
        self._rules: dict[str, int] = {}
        self._watching = Watching(tags, book, self._index)
        """The alarms with a condition of their own."""
        self.modes = Modes(charts, tags, book, self._index)
        """The equipment's state charts."""
        self._codes = TextCodes()
        self._recheck: list[AlarmUnit] = []
        self.samples = 0
        book.offset_of = self._offset
        book.on_setting = self._recheck.append
        self.kernel = self._build()

    def _build(self) -> Kernel:
        placed: list[tuple[int, int, AlarmUnit]] = []
        filtered = {u.definition.tag for u in self.book.units.values() if u.definition.filters}

        def runs(definition: AlarmDefinition) -> bool:
            # Limits of one tag stay together: what ends comes first, and in reverse.
            beside = definition.kind == "limit" and definition.tag in filtered
            return in_kernel(definition) and not beside

        for unit in self.book.units.values():
            if runs(unit.definition):
                placed.append((self._index(unit.definition.tag), unit.order, unit))
        rules = Rules()
        for index, order, unit in sorted(placed, key=lambda row: row[:2]):
            kind, limit, deadband = kernel_rule(unit.definition, self._codes)
            setting = unit.definition.setting
            self._rules[unit.id] = rules.add(
                index, kind, limit, deadband, setting.on_delay_ms, setting.off_delay_ms, order
            )
            self._units.append(unit)
        kernel = Kernel(len(list(self.tags)), rules)
        self.tags.run_by(kernel)
        for unit in self.book.units.values():
            if not runs(unit.definition):
                self._read(unit, kernel)
        for index in self.modes.indexes:
            kernel.watch(index)
        return kernel

    def _read(self, unit: AlarmUnit, kernel: Kernel) -> None:
        for index in self._watching.add(unit):
            kernel.watch(index)

    def _index(self, tag: str) -> int:
        source, index = self.tags.place(tag)
        return source.base + index

    def steady(self) -> int:
        """Wall time at start plus monotonic time since: never steps as the wall clock may."""
        return self._wall0 + self._clock.mono_ms() - self._mono0

    def reads(self, alarm: str) -> tuple[str, ...]:
        """The tags that an alarm's own condition looks at, beside or instead of its tag."""
        return self._watching.tags_of(alarm)

    def filtered(self) -> list[tuple[AlarmUnit, FilteredLimit]]:
        """The limit alarms that have a filter or may come to have one."""
        return list(self._watching.filtered())

    def start(self) -> list[Transition]:
        """After recovery: take over the alarms' states, arm timers and settle suppression."""
        now = self._begin()
        for rule, unit in enumerate(self._units):
            self.kernel.load(rule, unit.point.beyond, unit.point.raw)
            self._tell(unit, now)
        self._start_time(now, now)
        self.book.settle_all(now)
        return self._end()

    def _start_time(self, now: int, began: int) -> None:
        self._began = began
        tags = [unit.definition.tag for unit in self._units]
        later = {r: self._later[tag] for r, tag in enumerate(tags) if tag in self._later}
        self.kernel.start(began, later)
        self._watching.start(now)
        self.modes.start(now)
        for unit in self.book.units.values():
            self.book.arm_all(unit, now)

    def _begin(self) -> int:
        self.book.now = self.tags.now = now = self.steady()
        self.tags.wall_ahead = self._clock.now_ms() - now
        return now

    def _end(self) -> list[Transition]:
        self._settle_settings()
        return self._watching.after(self.book.take())

    # batches

    def take(self, source_id: str, batch: Samples) -> list[Transition]:
        """One batch of numbers; raises ContractError when it is malformed (nothing is taken)."""
        now = self._begin()
        source = self.tags.sources[source_id]
        base, n, count = source.base, len(source.tags), len(batch.qualities)
        columns = batch.tags, batch.times, batch.values, batch.qualities
        if not count and not (batch.tags or batch.times or batch.values):
            return []
        try:
            newest = self.kernel.newest(*columns, base, n)
        except ValueError as error:
            raise ContractError(f"source {source_id}: {error}") from error
        source.time.observe(newest, now)
        self.samples += count
        offset, scan, done = source.time.offset, self.kernel.scan, 0
        while done < count:
            done = scan(*columns, done, base, n, offset, now)
            self._take_changes()
            self._show(source, batch, done - 1, now)
        self._watching.scan(batch, base, offset, now)
        return self._end()

    def _take_changes(self) -> None:
        units, changed = self._units, self.book.changed
        for rule, present, at, value, quality in self.kernel.take():
            changed(units[rule], present, at, value, quality)
        if self._recheck:
            self._settle_settings()

    def _show(self, source: SourceTags, batch: Samples, last: int, now: int) -> None:
        """Where the scan stopped for its readers, let them see the sample."""
        index = int.from_bytes(batch.tags[4 * last : 4 * last + 4], "little")
        readers = self._watching.readers(source.base + index)
        name = source.tags[index].id
        if not (readers or self.modes.reads(source.base + index) or self.tags.has_windows(name)):
            return
        value = source.value_of(index)
        at = source.time.steady(bounded(source.time_of(index)), now)
        good = source.quality_of(index) == GOOD and not math.isnan(value)
        if good:
            self.tags.feed_window(name, at, value)
        if readers:
            self._watching.show(readers, name, at, value, good)
        self.modes.show(source.base + index, at)

    def take_texts(self, source_id: str, batch: Texts) -> list[Transition]:
        """Rows of strings."""
        now = self._begin()
        source = self.tags.sources[source_id]
        for index, time, value, quality in batch.rows:
            if not 0 <= index < len(source.tags):
                raise ContractError(f"source {source_id}: a tag index is out of range")
            source.texts[index] = (value, quality)
            good, time = quality == GOOD, bounded(time)
            self.kernel.sample(
                source.base + index, time, self._codes.of(value), GOOD if good else BAD,
                source.time.offset, now,
            )  # fmt: skip
            self._take_changes()
            if readers := self._watching.readers(source.base + index):
                at = source.time.steady(time, now)
                self._watching.show(readers, source.tags[index].id, at, value, good)
            self.modes.show(source.base + index, now)
        return self._end()

    # time

    def tick(self) -> list[Transition]:
        """Handle all timers that are due, of the kernel and of the book, in one order."""
        now = self._begin()
        self.kernel.tick(now)
        for rule, present, at, value, quality in self.kernel.take():
            unit = self._units[rule]
            rank = unit.order if present else -unit.order - 1
            for due, kind, other in self.book.due_before(at, rank):
                self._on_timer(due, kind, other, now)
            self.book.changed(unit, present, at, value, quality)
        for due, kind, other in self.book.due_timers(now):
            self._on_timer(due, kind, other, now)
        self.modes.tick(now)
        return self._end()

    def _on_timer(self, at: int, kind: str, unit: AlarmUnit, now: int) -> None:
        if kind == LOOK:
            self._watching.on_timer(at, now)
        else:
            self.book.on_timer(at, kind, unit)

    def next_due_in_ms(self) -> int | None:
        """How long until the next timer; None when none is armed."""
        times = self.kernel.next_due, self.book.next_due, self.modes.next_due
        at = min((at for at in times if at is not None), default=None)
        return None if at is None else max(0, at - self.steady())

    # settings

    def _settle_settings(self) -> None:
        """New settings: the kernel judges the present value by them at once."""
        while self._recheck:
            self._tell(self._recheck.pop(), self.book.now)
            for rule, present, at, value, quality in self.kernel.take():
                self.book.changed(self._units[rule], present, at, value, quality)

    def _tell(self, unit: AlarmUnit, now: int) -> None:
        rule = self._rules.get(unit.id)
        if rule is None:
            self._watching.change(unit)
            return
        setting = unit.definition.setting
        self.kernel.pause(rule, unit.pending is not None)
        _, limit, deadband = kernel_rule(unit.definition, self._codes)
        self.kernel.set_rule(rule, limit, deadband, setting.on_delay_ms, setting.off_delay_ms, now)

    def redefine(self, alarm: str, definition: AlarmDefinition) -> list[Transition]:
        """Give an alarm with a condition of its own another definition, live.

        What it has seen and counted stays; it is judged by the new definition at once. Not for
        other tags than before, and not from or to a condition that the kernel runs.
        """
        self._begin()
        unit = self.book.units[alarm]
        if in_kernel(definition) or in_kernel(unit.definition):
            raise ValueError(f"alarm {alarm}: the kernel's conditions change by their settings")
        unit.definition = definition
        self._watching.change(unit)
        return self._end()

    def take_over(self, old: Pipeline, changes: AlarmChanges) -> list[Transition]:
        """Begin where the pipeline of another version of the site stands, in place of `start`.

        Time goes on, and so do delays under way; present values are judged by the new rules at
        once. A value that was read in another way than now is forgotten: no rule judges it.
        """
        self._wall0, self._mono0, self.samples = old._wall0, old._mono0, old.samples
        known = self.tags.adopt(old.tags)
        self._watching.adopt(old._watching, known)
        self.modes.charts.adopt(old.modes.charts)
        now = self._begin()
        ended(old.book, self.book, changes, now)
        delays = self._load_from(old, known, frozenset(changes.rebuilt), now)
        for source in self.tags.sources.values():
            for index, tag in enumerate(source.tags):
                if tag.id in known:
                    self._recall(source, index, *old.tags.place(tag.id))
        for rule, (at, value, quality) in delays.items():
            self.kernel.resume(rule, at, value, quality)
        for rule, unit in enumerate(self._units):  # only now: what is recalled is no news to them
            if unit.definition.kind == "stale":
                self.kernel.load(rule, unit.point.beyond, unit.point.raw)
        # Tags that never spoke have been silent since then; new ones since now.
        kept = {tag: at for tag, at in old._later.items() if tag in known}
        self._later = kept | {tag: now for tag in self.tags if tag not in known}
        self._start_time(now, old._began)
        self._watching.look_now(lambda unit: unit.internal)
        self.book.settle_all(now, more=True)  # what is hidden from now on is not announced before
        self._take_changes()
        self._watching.look_now(lambda unit: not unit.internal)
        self.book.settle_all(now)
        return self._end()

    def _load_from(
        self, old: Pipeline, known: Container[str], rebuilt: Container[str], now: int
    ) -> dict[int, tuple[int, float, str]]:
        """Load the rules as they stand; the delays under way, by rule."""
        delays: dict[int, tuple[int, float, str]] = {}
        self._watching.load_from(
            {alarm: old.kernel.pending(rule) for alarm, rule in old._rules.items()
             if alarm not in rebuilt and old.book.units[alarm].definition.tag in known}
        )  # fmt: skip
        for rule, unit in enumerate(self._units):
            before, raw = old._rules.get(unit.id), unit.point.raw
            pending = None
            if unit.id not in rebuilt and unit.definition.tag in known:
                pending = old.kernel.pending(before) if before is not None else pending_of(unit)
            if unit.definition.kind != "stale":
                self.kernel.load(rule, raw if pending is None else not raw, raw)
            self._tell(unit, now)
            if pending is not None:
                was, new = old.book.units[unit.id].definition.setting, unit.definition.setting
                longer = new.off_delay_ms - was.off_delay_ms if raw else (
                    new.on_delay_ms - was.on_delay_ms
                )  # fmt: skip
                delays[rule] = (pending[0] + longer, *pending[1:])
        return delays

    def _recall(self, source: SourceTags, index: int, before: SourceTags, at: int) -> None:
        """Put the last value of a tag in its place, as of when it was heard."""
        heard, name = before.heard_of(at), source.tags[index].id
        if heard is None:
            return
        # The source may have another name now: the time is still of the old one's clock.
        time, quality, offset = before.time_of(at), before.quality_of(at), before.time.offset
        if source.tags[index].type == "string":
            source.texts[index] = before.texts.get(at, ("", BAD))
            value: float | str = source.texts[index][0]
            code = self._codes.of(value)
            self.kernel.sample(source.base + index, time, code, quality, offset, heard)
            good = quality == GOOD
        else:
            value = before.value_of(at)
            row = (pack("<i", index), pack("<q", time), pack("<d", value))
            columns = (*row, bytes([quality]))
            self.kernel.scan(*columns, 0, source.base, len(source.tags), offset, heard)
            good = quality == GOOD and not math.isnan(value)
        steady = min(bounded(time) + offset, heard)
        self._watching.recall(source.base + index, name, steady, value, good)

    def settle(self) -> list[Transition]:
        """Transitions made by people or settings since the last call."""
        self._begin()
        return self._end()

    def _offset(self, unit: AlarmUnit) -> int:
        return self.tags.place(unit.definition.tag)[0].time.offset
