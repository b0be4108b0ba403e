"""Alignment along a line: by time, or by belt speed and distance.

A place on the material has one coordinate, `distance run - position of the sensor`; each sample is
kept at its coordinate, so that a row of the last sensor only looks its coordinate up. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_node.domain.alignment.rows import (
    Counters,
    InOrder,
    Item,
    Mark,
    Row,
    Stream,
    Value,
)

CAPACITY = 4096
"""Samples kept for each stream, rows kept waiting."""


@dataclass(slots=True)
class Belt:
    """The distance a belt has run, from its speed in metres a second (held between samples)."""

    speed: str
    """The stream of the speed."""
    scale: float = 1.0
    """Metres a second for one unit of the stream (0.0167 for m/min)."""
    max_gap_ms: int = 10_000
    """So long a speed is held; after a longer silence nothing before can be placed any more."""
    reversed: int = 0
    """Samples of negative speed, counted as standing still."""
    _time: int | None = None
    _metres: float = 0.0
    _rate: float = 0.0

    def feed(self, time: int, value: float) -> bool:
        """Take a speed; false when the distance since the last one is unknown."""
        known = self._time is None or time - self._time <= self.max_gap_ms
        if self._time is not None and known:
            self._metres += self._rate * (time - self._time) / 1000
        self._time = time
        self.reversed += value < 0
        self._rate = max(0.0, value * self.scale)
        return known

    def place(self, time: int) -> float | None:
        """Metres run at `time`, not before the last speed; None while that is unknown."""
        if self._time is None or time - self._time > self.max_gap_ms:
            return None
        return self._metres + self._rate * (time - self._time) / 1000


@dataclass(frozen=True, slots=True)
class _Point:
    place: float
    value: Value
    late: bool


class Along:
    """One row for each sample of the sensor furthest down the line."""

    def __init__(
        self, streams: Sequence[Stream], *, belt: Belt | None = None, lateness_ms: int = 0
    ) -> None:
        if len({stream.name for stream in streams}) != len(streams) or len(streams) < 2:
            raise ValueError("an alignment needs two streams or more, each named once")
        self.counters = Counters()
        self._streams = {stream.name: stream for stream in streams}
        self._last = max(reversed(streams), key=lambda stream: stream.at)
        self._others = [stream for stream in streams if stream is not self._last]
        self._belt = belt
        self._order = InOrder(self.counters, lateness_ms)
        self._tracks: dict[str, deque[_Point]] = {s.name: deque() for s in self._others}
        self._waiting: deque[tuple[int, _Point]] = deque()
        self._here = 0.0
        """The newest coordinate of the last sensor."""

    def feed(self, stream: str, time: int, value: Value, quality: int) -> list[Row]:
        """Take one sample; the rows that it completes."""
        self.counters.samples += 1
        spec = self._streams.get(stream)
        if spec is None and (self._belt is None or stream != self._belt.speed):
            raise KeyError(stream)
        if not (spec or Stream(stream)).accepts(value, quality):
            self.counters.invalid += 1
            return []
        return self._run(self._order.push(stream, time, value))

    def tick(self, now: int) -> list[Row]:
        """Let time pass: rows that wait for nothing any more."""
        return self._run(self._order.pass_to(now))

    def _run(self, items: Iterable[Item]) -> list[Row]:
        rows: list[Row] = []
        for item in items:
            self._step(item, rows)
            self._flush(rows)
        return rows

    def _step(self, item: Item, rows: list[Row]) -> None:
        if self._belt is not None and item.stream == self._belt.speed:
            speed = item.value
            if not isinstance(speed, float | int):
                self.counters.invalid += 1
            elif not self._belt.feed(item.time, float(speed)):
                self._forget(rows)
            return
        run = float(item.time) if self._belt is None else self._belt.place(item.time)
        if run is None:
            self.counters.unplaced += 1
            return
        point = _Point(run - self._streams[item.stream].at, item.value, item.late)
        if item.stream == self._last.name:
            self._here = point.place
            self._keep(self._waiting, (item.time, point))
            return
        track = self._tracks[item.stream]
        if track and track[-1].place == point.place:  # the belt stands: the newest counts
            track[-1] = point
        else:
            self._keep(track, point)

    def _keep(self, track: deque, thing: object) -> None:
        if len(track) >= CAPACITY:
            _ = track.popleft()
            self.counters.overflowed += 1
        track.append(thing)

    def _forget(self, rows: list[Row]) -> None:
        """The distance run is unknown: finish what waits, keep nothing from before."""
        self._flush(rows, force=True)
        for track in self._tracks.values():
            self.counters.unplaced += len(track)
            track.clear()

    def _flush(self, rows: list[Row], force: bool = False) -> None:
        while self._waiting and (force or self._ready(self._waiting[0][1].place)):
            time, point = self._waiting.popleft()
            rows.append(self._row(time, point))

    def _ready(self, place: float) -> bool:
        """Whether no linear filling at `place` may still get its next sample."""
        for stream in self._others:
            if stream.fill != "linear" or self._here - place > stream.max_gap:
                continue
            track = self._tracks[stream.name]
            if not track or track[-1].place < place:
                return False
        return True

    def _row(self, time: int, point: _Point) -> Row:
        values: dict[str, Value | None] = {self._last.name: point.value}
        marks: dict[str, Mark] = {self._last.name: "late" if point.late else ""}
        for stream in self._others:
            value, mark = self._at(stream, point.place)
            values[stream.name], marks[stream.name] = value, mark
            self.counters.filled += mark == "filled"
            self.counters.missing += mark == "missing"
        self.counters.rows += 1
        return Row(time, "", values, marks)

    def _at(self, stream: Stream, place: float) -> tuple[Value | None, Mark]:
        track = self._tracks[stream.name]
        while len(track) > 1 and track[1].place <= place:
            _ = track.popleft()
        if not track or track[0].place > place:
            return None, "missing"
        before = track[0]
        gap = place - before.place
        if gap <= stream.tolerance:
            return before.value, "late" if before.late else ""
        if stream.fill in ("hold", None) and gap <= stream.max_gap:
            return before.value, "filled"
        if stream.fill == "linear" and len(track) > 1:
            after = track[1]
            numbers = isinstance(before.value, float | int) and isinstance(after.value, float | int)
            if numbers and after.place - before.place <= stream.max_gap:
                share = gap / (after.place - before.place)
                return before.value + share * (after.value - before.value), "filled"  # pyright: ignore[reportOperatorIssue]
        return None, "missing"
