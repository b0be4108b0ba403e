"""History for the factory: what has changed beyond its deadband, in columns, once a second.

Fed by the engine with every batch; bounded. Only tags with `report: true`; never alarms.
"""

from __future__ import annotations

from array import array

from edge_node.application.ipc import Samples
from edge_node.domain.tags import TagTable
from shared.messages.bodies import SampleBatch

MAX_ROWS = 20_000
REPEAT_MS = 60_000
"""An unchanged value is reported again after this time, so that a trend has a beginning."""


class Sampler:
    """Collects what is to be reported."""

    def __init__(self, tags: TagTable) -> None:
        self._names: list[str] = []
        self._deadbands: list[float] = []
        self._index: dict[str, list[int]] = {}
        for source in tags.sources.values():
            places = []
            for tag in source.tags:
                wanted = tag.report and tag.type != "string"
                places.append(len(self._names) if wanted else -1)
                if wanted:
                    self._names.append(tag.id)
                    self._deadbands.append(tag.deadband)
            self._index[source.spec.id] = places
        count = len(self._names)
        self._values: list[float | None] = [None] * count
        self._grades = [3] * count
        self._times = [0] * count
        self.dropped = 0
        self._clear()

    def _clear(self) -> None:
        self._tag, self._time, self._value = array("i"), array("q"), array("d")
        self._quality = bytearray()

    def take(self, source: str, batch: Samples) -> None:
        """Note what differs enough from what was last reported (the batch has been checked)."""
        places = self._index[source]
        columns = zip(
            memoryview(batch.tags).cast("i"), memoryview(batch.times).cast("q"),
            memoryview(batch.values).cast("d"), batch.qualities, strict=True,
        )  # fmt: skip
        for tag, time, value, grade in columns:
            at = places[tag]
            if at < 0:
                continue
            last = self._values[at]
            if (
                last is not None
                and grade == self._grades[at]
                and (grade or abs(value - last) <= self._deadbands[at])
                and time - self._times[at] < REPEAT_MS
            ):
                continue
            self._report(at, time, value, grade)

    def _report(self, at: int, time: int, value: float, grade: int) -> None:
        if len(self._tag) >= MAX_ROWS:
            self.dropped += 1
            return
        self._values[at], self._grades[at], self._times[at] = value, grade, time
        self._tag.append(at)
        self._time.append(time)
        self._value.append(value)
        self._quality.append(grade)

    def flush(self) -> SampleBatch | None:
        """What has gathered, as one event's body; None when there is nothing."""
        if not self._tag:
            return None
        used = sorted(set(self._tag))
        place = {at: index for index, at in enumerate(used)}
        body = SampleBatch(
            names=[self._names[at] for at in used],
            tags=array("i", (place[at] for at in self._tag)).tobytes(),
            times=self._time.tobytes(),
            values=self._value.tobytes(),
            qualities=bytes(self._quality),
        )
        self._clear()
        return body
