"""What the edge knows of its tags now: value, quality, when received; one kernel band per source.

Written by the pipeline alone; read by expressions, actuation and the sampler. No IO, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from edge_node.domain.source_time import SourceTime
from edge_node.domain.windows import Window
from edge_node.kernel import QuietBand
from shared.expression import Reading
from shared.site.model import SourceSpec, TagSpec

GOOD = 0


@dataclass(slots=True)
class SourceTags:
    """The tags of one source, by the index that its driver child uses."""

    spec: SourceSpec
    tags: list[TagSpec]
    band: QuietBand = field(init=False)
    received: list[int | None] = field(init=False)
    """Steady time of the last sample of each tag, good or bad; None before the first."""
    texts: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Index -> (text, quality)."""
    time: SourceTime = field(default_factory=SourceTime)
    up: bool = False
    """Whether the driver says that it is connected."""
    last_frame: int = 0
    malformed: int = 0

    def __post_init__(self) -> None:
        self.band = QuietBand(len(self.tags))
        self.received = [None] * len(self.tags)


class TagTable:
    """All tags of the edge; the environment of its expressions."""

    def __init__(self, sources: Iterable[SourceSpec], tags: Iterable[TagSpec]) -> None:
        by_source: dict[str, list[TagSpec]] = {}
        for tag in tags:
            by_source.setdefault(tag.source, []).append(tag)
        self.sources = {s.id: SourceTags(s, by_source.get(s.id, [])) for s in sources}
        self._place = {
            tag.id: (source, index)
            for source in self.sources.values()
            for index, tag in enumerate(source.tags)
        }
        self._windows: dict[str, Window] = {}
        self.now = 0
        """Steady time of the evaluation under way; set by the pipeline."""

    def place(self, tag: str) -> tuple[SourceTags, int]:
        """Where a tag's values are kept."""
        return self._place[tag]

    def __contains__(self, tag: str) -> bool:
        return tag in self._place

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)

    def watch(self, tag: str, seconds: float) -> None:
        """Keep a window of `tag` at least this long."""
        span = int(seconds * 1000)
        present = self._windows.get(tag)
        if present is None or present.span_ms < span:
            self._windows[tag] = Window(span)

    def feed_window(self, tag: str, at: int, value: float) -> None:
        """Add one good sample to the tag's window, if it has one."""
        if (window := self._windows.get(tag)) is not None:
            window.add(at, value)

    # Environment of expressions

    def root(self, name: str) -> object:
        """Edge expressions name no roots."""
        raise KeyError(name)

    def tag(self, name: str) -> Reading | None:
        """The reading of a tag now; None before its first sample."""
        place = self._place.get(name)
        if place is None:
            return None
        source, index = place
        received = source.received[index]
        if received is None:
            return None
        spec = source.tags[index]
        age = max(0, self.now - received)
        stale = age >= spec.stale_after or not source.up
        if spec.type == "string":
            value, quality = source.texts.get(index, ("", 2))
            return Reading(value, quality == GOOD and not stale, age / 1000, _why(stale))
        number = source.band.value(index)
        good = source.band.quality(index) == GOOD and not math.isnan(number) and not stale
        value = bool(number) if spec.type == "boolean" and not math.isnan(number) else number
        return Reading(value, good, age / 1000, _why(stale))

    def window(self, function: str, tag: str, seconds: float) -> object:
        """A windowed figure; None when the tag is not usable now."""
        window = self._windows.get(tag)
        reading = self.tag(tag)
        if window is None or reading is None or not reading.good:
            return None
        return window.figure(function, seconds, self.now)


def _why(stale: bool) -> str:
    return "stale" if stale else "bad"
