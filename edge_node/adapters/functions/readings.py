"""What a computed source knows of its inputs: the newest reading of each tag, and its age.

Filled by a computed driver from `Inputs` frames; read by the plant's functions. No IO.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_node.adapters.sources.port import BAD, GOOD, InputPoint
from edge_node.application.ipc import Inputs
from shared.clock import Clock
from shared.errors import ContractError

Value = bool | float | str


@dataclass(frozen=True, slots=True)
class Reading:
    """One tag now."""

    value: Value | None
    """None before the first sample."""
    good: bool
    """Of good quality and younger than the tag's `stale_after`."""
    age: float
    """Seconds since it came."""
    time: int
    """The device's own time, UTC in ms; 0 before the first sample."""
    quality: int = BAD
    """0 good, 1 uncertain, 2 bad (also: stale, never came)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One sample of an input as it came."""

    place: int
    time: int
    value: Value
    quality: int


NEVER = Reading(None, False, math.inf, 0)


class Readings:
    """The newest sample of each input, by its place in `inputs`."""

    def __init__(self, points: Sequence[InputPoint], clock: Clock) -> None:
        self.points, self._clock = tuple(points), clock
        self._newest: list[tuple[Row, int] | None] = [None] * len(points)
        """(sample, monotonic ms of its arrival)."""

    def take(self, inputs: Inputs) -> list[Row]:
        """Keep what is newest; all rows in order. Raises ContractError on a malformed frame."""
        now = self._clock.mono_ms()
        rows = list(_rows(inputs))
        for row in rows:
            if not 0 <= row.place < len(self.points):
                raise ContractError(f"input {row.place} is not below {len(self.points)}")
        typed = [
            Row(r.place, r.time, r.value > 0.5, r.quality)
            if self.points[r.place].kind == "boolean" and isinstance(r.value, float) else r
            for r in rows
        ]  # fmt: skip
        for row in typed:
            self._newest[row.place] = (row, now - inputs.ages.get(row.place, 0))
        return typed

    def at(self, place: int) -> Reading:
        """The reading of one input now."""
        newest = self._newest[place]
        if newest is None:
            return NEVER
        row, came = newest
        age = max(0, self._clock.mono_ms() - came)
        stale = age >= self.points[place].stale_ms
        quality = BAD if stale else row.quality
        return Reading(row.value, quality == GOOD, age / 1000, row.time, quality)

    def all(self) -> dict[str, Reading]:
        """Every input by its tag."""
        return {point.id: self.at(place) for place, point in enumerate(self.points)}

    def quality(self) -> tuple[int, str]:
        """The worst quality of all inputs, and which one it is of (with why)."""
        worst, why = GOOD, ""
        for place, point in enumerate(self.points):
            reading = self.at(place)
            if reading.quality > worst:
                worst = reading.quality
                why = f"{point.id} {_fault(reading, point)}"
        return worst, why


def _fault(reading: Reading, point: InputPoint) -> str:
    if reading.value is None:
        return "has not come yet"
    if reading.age * 1000 >= point.stale_ms:
        return "is stale"
    return "is bad" if reading.quality == BAD else "is uncertain"


def _rows(inputs: Inputs) -> Iterator[Row]:
    columns = (array("i"), array("q"), array("d"))
    try:
        for column, raw in zip(columns, (inputs.tags, inputs.times, inputs.values), strict=True):
            column.frombytes(raw)
        for row in zip(*columns, inputs.qualities, strict=True):
            place, time, value, quality = row
            yield Row(place, time, value, BAD if math.isnan(value) else quality)
    except ValueError as error:
        raise ContractError("columns of a batch differ in length") from error
    for row in inputs.texts:
        yield Row(*row)
