"""What the edge knows of its tags now: value, quality, when received; one kernel for all.

Written by the pipeline alone; read by expressions, actuation and the sampler. No IO, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from edge_node.domain.source_time import SourceTime
from edge_node.domain.windows import Late, TagWindows
from edge_node.kernel import Kernel, Rules
from shared.expression import AlarmView, Reading, WindowUse
from shared.site.model import SourceSpec, TagSpec

GOOD = 0


@dataclass(slots=True)
class SourceTags:
    """The tags of one source, by the index that its driver child uses."""

    spec: SourceSpec
    tags: list[TagSpec]
    base: int
    """The kernel's index of the first one."""
    kernel: Kernel
    texts: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Index -> (text, quality)."""
    time: SourceTime = field(default_factory=SourceTime)
    up: bool = False
    """Whether the driver says that it is connected."""
    last_frame: int = 0
    malformed: int = 0

    def value_of(self, index: int) -> float:
        """Value of the last sample; NaN before the first."""
        return self.kernel.value(self.base + index)

    def time_of(self, index: int) -> int:
        """Source time of the last sample; 0 before the first."""
        return self.kernel.time(self.base + index)

    def quality_of(self, index: int) -> int:
        """Quality of the last sample; bad before the first."""
        return self.kernel.quality(self.base + index)

    def heard_of(self, index: int) -> int | None:
        """Steady time at which the last sample came, good or bad; None before the first."""
        return self.kernel.heard(self.base + index)


class TagTable:
    """All tags of the edge; the environment of its expressions."""

    def __init__(self, sources: Iterable[SourceSpec], tags: Iterable[TagSpec]) -> None:
        by_source: dict[str, list[TagSpec]] = {}
        for tag in tags:
            by_source.setdefault(tag.source, []).append(tag)
        specs = list(sources)
        self.kernel = Kernel(sum(len(by_source.get(s.id, ())) for s in specs), Rules())
        self.sources: dict[str, SourceTags] = {}
        base = 0
        for spec in specs:
            own = by_source.get(spec.id, [])
            self.sources[spec.id] = SourceTags(spec, own, base, self.kernel)
            base += len(own)
        self._place = {
            tag.id: (source, index)
            for source in self.sources.values()
            for index, tag in enumerate(source.tags)
        }
        self._windows: dict[str, TagWindows] = {}
        self.now = 0
        """Steady time of the evaluation under way; set by the pipeline."""
        self.wall_ahead = 0
        """What to add to steady time for the wall clock; schedules are told by that."""
        self.alarm: Callable[[str], AlarmView | None] = lambda name: None
        """The state of an alarm of this edge; set by the pipeline."""

    def run_by(self, kernel: Kernel) -> None:
        """The kernel that holds the alarms' rules too."""
        self.kernel = kernel
        for source in self.sources.values():
            source.kernel = kernel
        for tag in self._windows:
            self._show_all(tag)

    def _show_all(self, tag: str) -> None:
        """A window takes in every sample, so the kernel stops at each."""
        source, index = self._place[tag]
        self.kernel.watch(source.base + index)

    def place(self, tag: str) -> tuple[SourceTags, int]:
        """Where a tag's values are kept."""
        return self._place[tag]

    def __contains__(self, tag: str) -> bool:
        return tag in self._place

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)

    def time_of(self, tag: str) -> int:
        """Source time of a tag's last sample; 0 before the first."""
        source, index = self._place[tag]
        return source.time_of(index)

    def watch(self, use: WindowUse) -> None:
        """Keep a window of a tag."""
        if use.tag not in self._windows:
            self._windows[use.tag] = TagWindows()
            self._show_all(use.tag)
        self._windows[use.tag].watch(use)

    def has_windows(self, tag: str) -> bool:
        """Whether any window of a tag is kept."""
        return tag in self._windows

    def news_of_late(self) -> dict[str, Late]:
        """Tags of whose windows more samples have come late since the last call."""
        told = {tag: windows.news_of_late() for tag, windows in self._windows.items()}
        return {tag: late for tag, late in told.items() if late is not None}

    def feed_window(self, tag: str, at: int, value: float) -> None:
        """Add one good sample to the tag's window, if it has one."""
        if (window := self._windows.get(tag)) is not None:
            window.add(at, value)

    def adopt(self, old: TagTable) -> frozenset[str]:
        """Take over what `old`, of another version of the site, knows of sources and windows.

        Answers which tags are read as they were: only their past says anything of them now.
        """
        for name, source in self.sources.items():
            if (before := old.sources.get(name)) is not None:
                source.time, source.up = before.time, before.up
                source.last_frame, source.malformed = before.last_frame, before.malformed
        known = frozenset(
            tag for tag in self if tag in old and self._reading(tag) == old._reading(tag)
        )
        for tag, windows in self._windows.items():
            if tag in known and (kept := old._windows.get(tag)) is not None:
                windows.adopt(kept)
        return known

    def _reading(self, tag: str) -> tuple[object, ...]:
        """What decides which number comes from which place."""
        source, index = self._place[tag]
        spec, of = source.tags[index], source.spec
        return (
            of.driver, of.url, of.unit_id, of.options, of.inputs, spec.address, spec.unit_id,
            spec.type, spec.scale, spec.bias, spec.unit,
        )  # fmt: skip

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
        kernel, at = source.kernel, source.base + index
        received = kernel.heard(at)
        if received is None:
            return None
        spec = source.tags[index]
        age = self.now - received
        if age < 0:
            age = 0
        stale = age >= spec.stale_after or not source.up
        if spec.type == "string":
            value, quality = source.texts.get(index, ("", 2))
            return Reading(value, quality == GOOD and not stale, age / 1000, _why(quality))
        number, quality = kernel.value(at), kernel.quality(at)
        good = quality == GOOD and number == number and not stale
        value = bool(number) if spec.type == "boolean" and number == number else number
        return Reading(value, good, age / 1000, "stale" if quality == GOOD else "bad")

    def window(
        self,
        function: str,
        tag: str,
        seconds: float,
        shape: str = "sliding",
        step: float = 0.0,
        argument: float | None = None,
    ) -> object:
        """A windowed figure; None when the tag is not usable now."""
        windows = self._windows.get(tag)
        if windows is None:
            return None
        source, index = self._place[tag]
        kernel, at = source.kernel, source.base + index
        received = kernel.heard(at)
        if received is None or not source.up or kernel.quality(at) != GOOD:
            return None
        if self.now - received >= source.tags[index].stale_after:
            return None
        return windows.figure(function, seconds, self.now, shape, step, argument)


def _why(quality: int) -> str:
    """Why a reading is not good: its last value was bad, or else it is only too old."""
    return "stale" if quality == GOOD else "bad"
