"""Tags that report changes only: what differs from the last *reported* value goes on.

Stands between any driver and the batch, for points whose `access` has subscribe and not read. A
slow drift is seen however small its steps, because what was not reported is never the reference.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from edge_node.adapters.sources.port import Point, Sink, Source
from shared.clock import Clock

REPEAT_MS = 2_000


@dataclass(slots=True)
class _Last:
    """What was reported last of one point, and when."""

    deadband: float
    repeat_ms: int
    value: float | str | None = None
    quality: int = -1
    sent_ms: int = field(default=0)


def on_change(sink: Sink, source: Source, clock: Clock) -> Sink:
    """The sink for a source's driver; the sink itself when no tag asks for changes only."""
    wanted = {point.index: _last(point) for point in source.points if point.on_change}
    return OnChange(sink, wanted, clock) if wanted else sink


def _last(point: Point) -> _Last:
    # An unchanged value goes on too, seldom: a tag that nobody hears of would look stale.
    return _Last(point.deadband, max(1, min(REPEAT_MS, point.stale_ms // 3)))


class OnChange:
    """A sink that lets changes through."""

    def __init__(self, sink: Sink, wanted: dict[int, _Last], clock: Clock) -> None:
        self._sink, self._wanted, self._clock = sink, wanted, clock

    def sample(self, index: int, time_ms: int, value: float, quality: int) -> None:
        """A number or a boolean: on, when it is beyond the deadband or of another quality."""
        last = self._wanted.get(index)
        if last is None or self._due(last, quality):
            self._pass(last, index, time_ms, value, quality)
            return
        assert not isinstance(last.value, str)
        assert last.value is not None
        # Two bad readings are both NaN, whose difference is beyond nothing.
        if abs(value - last.value) > last.deadband:
            self._pass(last, index, time_ms, value, quality)

    def _pass(
        self, last: _Last | None, index: int, time_ms: int, value: float, quality: int
    ) -> None:
        if last is not None:
            last.value, last.quality, last.sent_ms = value, quality, self._clock.mono_ms()
        self._sink.sample(index, time_ms, value, quality)

    def columns(self, tags: bytes, times: bytes, values: bytes, qualities: bytes) -> None:
        """Many at once: each for itself."""
        rows = zip(array("i", tags), array("q", times), array("d", values), qualities, strict=True)
        for row in rows:
            self.sample(*row)

    def text(self, index: int, time_ms: int, value: str, quality: int) -> None:
        """A string: on, when it differs."""
        last = self._wanted.get(index)
        if last is not None:
            if not self._due(last, quality) and value == last.value:
                return
            last.value, last.quality, last.sent_ms = value, quality, self._clock.mono_ms()
        self._sink.text(index, time_ms, value, quality)

    def _due(self, last: _Last, quality: int) -> bool:
        waited = self._clock.mono_ms() - last.sent_ms
        return quality != last.quality or waited >= last.repeat_ms

    def state(self, state: str, detail: str = "") -> None:
        """States always go on."""
        self._sink.state(state, detail)
