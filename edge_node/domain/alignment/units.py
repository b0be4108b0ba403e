"""Alignment by what a unit's samples have in common: its id at each step, or an open gate.

A sample belongs to the unit that its step holds at its time. A row comes when every step is done
with the unit, or at the time-out. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edge_node.domain.alignment.rows import (
    Counters,
    InOrder,
    Item,
    Mark,
    Row,
    Stream,
    Value,
)

CAPACITY = 1000
"""Units on their way at once."""


@dataclass(frozen=True, slots=True)
class Step:
    """One process step: the stream that brings the unit's id there, and what is measured."""

    name: str
    unit: str
    streams: tuple[Stream, ...]


@dataclass(slots=True)
class _Cell:
    """What one stream has said of one unit."""

    value: Value
    late: bool
    count: int = 1

    def add(self, stream: Stream, item: Item) -> None:
        new, old = item.value, self.value
        self.count += 1
        self.late = self.late or item.late
        if stream.take == "first":
            return
        if stream.take == "last" or isinstance(new, str) or isinstance(old, str):
            self.value = new
        elif stream.take == "mean":
            self.value = old + (new - old) / self.count
        else:
            self.value = min(old, new) if stream.take == "min" else max(old, new)


@dataclass(slots=True)
class _Unit:
    first_at: int
    last_at: int
    cells: dict[str, _Cell] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)


class ByUnit:
    """Joins what several steps measured of the same unit."""

    def __init__(
        self, steps: Sequence[Step], *, timeout_ms: int = 3_600_000, lateness_ms: int = 0
    ) -> None:
        self.counters = Counters()
        self._steps = {step.name: step for step in steps}
        self._of = {stream.name: (step, stream) for step in steps for stream in step.streams}
        self._ids = {step.unit: step for step in steps}
        names = [*self._of, *self._ids]
        if not self._of or len(set(names)) != sum(len(s.streams) + 1 for s in steps):
            raise ValueError("every step needs streams, and every stream belongs to one step")
        if any(stream.fill == "linear" for _, stream in self._of.values()):
            raise ValueError("between units nothing can be filled linearly; write hold or none")
        if timeout_ms <= 0:
            raise ValueError("the time-out is longer than nothing")
        self._timeout = timeout_ms
        self._order = InOrder(self.counters, lateness_ms)
        self._current: dict[str, str] = {}
        self._units: OrderedDict[str, _Unit] = OrderedDict()
        self._before: dict[str, tuple[int, Value]] = {}
        """Stream -> time and value in the last row, for `hold`."""

    def feed(self, stream: str, time: int, value: Value, quality: int) -> list[Row]:
        """Take one sample; the rows that it completes."""
        self.counters.samples += 1
        known = self._of.get(stream)
        if known is None and stream not in self._ids:
            raise KeyError(stream)
        accepts = (known[1] if known else Stream(stream)).accepts(value, quality)
        if not accepts and known is not None:
            self.counters.invalid += 1
            return []
        # An id that cannot be read ends the unit before it: what follows belongs to nobody.
        return self._run(self._order.push(stream, time, value if accepts else ""))

    def tick(self, now: int) -> list[Row]:
        """Let time pass: rows that wait for nothing any more."""
        rows = self._run(self._order.pass_to(now))
        self._time_out(now, rows)
        return rows

    def _run(self, items: Iterable[Item]) -> list[Row]:
        rows: list[Row] = []
        for item in items:
            self._time_out(item.time, rows)
            if item.stream in self._ids:
                self._move(self._ids[item.stream], item, rows)
            else:
                self._measure(item, rows)
        return rows

    def _key(self, step: Step, item: Item) -> str:
        """The id as text; empty where nothing lies."""
        if isinstance(item.value, str):
            return item.value.strip()
        return "" if item.value == 0 else f"{item.value:.15g}"

    def _move(self, step: Step, item: Item, rows: list[Row]) -> None:
        key, old = self._key(step, item), self._current.get(step.name, "")
        if key == old:
            return
        self._current[step.name] = key
        if old and old in self._units:
            self._finish(step, old, item.time, rows)
        if key and key not in self._units:
            if len(self._units) >= CAPACITY:
                oldest = next(iter(self._units))
                self.counters.overflowed += 1
                rows.append(self._row(oldest, timed_out=True))
            self._units[key] = _Unit(item.time, item.time)

    def _measure(self, item: Item, rows: list[Row]) -> None:
        step, stream = self._of[item.stream]
        key = self._current.get(step.name, "")
        unit = self._units.get(key) if key else None
        if unit is None:
            self.counters.unplaced += 1
            return
        unit.last_at = max(unit.last_at, item.time)
        cell = unit.cells.get(item.stream)
        if cell is None:
            unit.cells[item.stream] = _Cell(item.value, item.late)
        else:
            cell.add(stream, item)
        # First values cannot change any more: the step need not wait for the unit to leave.
        if all(s.take == "first" and s.name in unit.cells for s in step.streams):
            self._finish(step, key, item.time, rows)

    def _finish(self, step: Step, key: str, at: int, rows: list[Row]) -> None:
        unit = self._units[key]
        unit.done.add(step.name)
        unit.last_at = max(unit.last_at, at)
        if len(unit.done) == len(self._steps):
            rows.append(self._row(key, timed_out=False))

    def _time_out(self, now: int, rows: list[Row]) -> None:
        while self._units:
            key, unit = next(iter(self._units.items()))
            if unit.first_at + self._timeout > now:
                return
            rows.append(self._row(key, timed_out=True))

    def _row(self, key: str, timed_out: bool) -> Row:
        unit = self._units.pop(key)
        values: dict[str, Value | None] = {}
        marks: dict[str, Mark] = {}
        for name, (_, stream) in self._of.items():
            cell = unit.cells.get(name)
            if cell is not None:
                values[name], marks[name] = cell.value, "late" if cell.late else ""
                self._before[name] = (unit.last_at, cell.value)
                continue
            at, held = self._before.get(name, (0, None))
            fills = stream.fill == "hold" and held is not None
            fills = fills and unit.last_at - at <= stream.max_gap
            values[name], marks[name] = (held, "filled") if fills else (None, "missing")
            self.counters.filled += fills
            self.counters.missing += not fills
        self.counters.rows += 1
        self.counters.timed_out += timed_out
        return Row(unit.last_at, key, values, marks, timed_out)


class ByGate(ByUnit):
    """One row for each time a Boolean signal was true; each opening is a unit by itself."""

    def __init__(
        self,
        streams: Sequence[Stream],
        *,
        gate: str,
        timeout_ms: int = 3_600_000,
        lateness_ms: int = 0,
    ) -> None:
        step = Step("gate", gate, tuple(streams))
        super().__init__([step], timeout_ms=timeout_ms, lateness_ms=lateness_ms)
        self._opened = 0

    def _key(self, step: Step, item: Item) -> str:
        is_open = bool(item.value) and item.value != "false"
        if not is_open:
            return ""
        if not self._current.get(step.name):
            self._opened += 1
        return str(self._opened)
