"""What goes up to the factory's history: changes, all or windows of each tag, in columns.

Fed by the engine with every batch and emptied once a second; bounded. The factory may ask for a
tag's every sample for a time. Never alarms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from edge_node.application.ipc import Samples
from edge_node.domain.tags import SourceTags, TagTable
from edge_node.kernel.report import CHANGE, OFF, RAW, STATS, WINDOW, Reporter
from shared.clock import Clock
from shared.messages.bodies import SampleBatch
from shared.messages.control import SampleAnswer, SampleRequest
from shared.site.model import TagSpec
from shared.site.reporting import WindowReport, own_figure, report_name

MAX_ROWS = 4_000
"""Rows of one event; more make several: none holds up the live loop or the disk for long."""
MAX_WAITING = 100_000
"""Rows of one source that may wait for the next second; more are dropped and counted."""
REPEAT_MS = 60_000
"""An unchanged value is reported again after this time, so that a trend has a beginning."""
GRACE_MS = 1_000
"""A window ends this long after its time when no later sample has ended it."""
MAX_ASKED = 200
MAX_ASKED_MS = 60 * 60_000


@dataclass(slots=True)
class _Source:
    tags: SourceTags
    reporter: Reporter
    names: dict[int, str] = field(default_factory=dict)
    """Output -> the name it goes up under."""


class Sampler:
    """Collects what is to be reported."""

    def __init__(self, tags: TagTable, clock: Clock) -> None:
        self._tags, self._clock = tags, clock
        self._sources: dict[str, _Source] = {}
        for name, source in tags.sources.items():
            reporter = Reporter(len(source.tags), MAX_WAITING, REPEAT_MS)
            self._sources[name] = made = _Source(source, reporter)
            for index, tag in enumerate(source.tags):
                _configure(made, index, tag)
        self.asked: dict[str, int] = {}
        """Tag -> steady time until which its every sample goes up."""
        self.reported = 0
        self._before = 0
        """Rows dropped under earlier sites."""

    @property
    def dropped(self) -> int:
        """Rows that found no room."""
        return self._before + sum(source.reporter.dropped for source in self._sources.values())

    def renewed(self, tags: TagTable) -> Sampler:
        """The sampler of another site: its counters and the factory's wishes go on."""
        after = Sampler(tags, self._clock)
        after.reported, after._before = self.reported, self.dropped
        mono = self._clock.mono_ms()
        for tag, until in self.asked.items():
            after.ask(SampleRequest(id="", tag=tag, ttl_ms=until - mono))
        return after

    def take(self, source: str, batch: Samples) -> tuple[int, int]:
        """Note what is to be reported of a checked batch; the span of its source times."""
        reporter = self._sources[source].reporter
        reporter.take(batch.tags, batch.times, batch.values, batch.qualities)
        return reporter.first, reporter.last

    def ask(self, request: SampleRequest) -> SampleAnswer:
        """The factory wants a tag's every sample for a time, or no longer (0 s)."""
        if request.tag not in self._tags:
            return SampleAnswer(id=request.id, accepted=False, code="unknown_tag")
        source, index = self._tags.place(request.tag)
        if source.tags[index].type == "string":
            return SampleAnswer(id=request.id, accepted=False, code="not_a_number")
        length = min(request.ttl_ms, MAX_ASKED_MS)
        if length <= 0:
            self._end(request.tag)
            return SampleAnswer(id=request.id, accepted=True)
        if request.tag not in self.asked and len(self.asked) >= MAX_ASKED:
            return SampleAnswer(id=request.id, accepted=False, code="too_many_requests")
        if request.tag not in self.asked:
            made = self._sources[source.spec.id]
            made.names[4 * index + 3] = request.tag
            made.reporter.set_mode(index, RAW)
        self.asked[request.tag] = self._clock.mono_ms() + length
        return SampleAnswer(id=request.id, accepted=True, ttl_ms=length)

    def _end(self, tag: str) -> None:
        if self.asked.pop(tag, None) is not None:
            source, index = self._tags.place(tag)
            _configure(self._sources[source.spec.id], index, source.tags[index])

    def flush(self) -> Iterator[SampleBatch]:
        """What has gathered until now, as bodies of events; one is made when it is asked for."""
        mono = self._clock.mono_ms()
        for tag in [tag for tag, until in self.asked.items() if until <= mono]:
            self._end(tag)
        for source in self._sources.values():
            # A window is of the device's time: its end is when the device's clock says so.
            offset = source.tags.time.offset
            source.reporter.close(self._clock.now_ms() - offset - GRACE_MS)
            left = len(source.reporter)
            # What waits may also be taken by somebody else in between.
            while left > 0 and len(source.reporter):
                body = _body(source, min(left, MAX_ROWS))
                left -= len(body.qualities)
                self.reported += len(body.qualities)
                yield body


def _body(source: _Source, rows: int) -> SampleBatch:
    used, tags, times, values, qualities = source.reporter.drain(rows)
    names = [source.names.get(out, "") for out in used]
    return SampleBatch(names=names, tags=tags, times=times, values=values, qualities=qualities)


def _configure(source: _Source, index: int, tag: TagSpec) -> None:
    """The tag as the site wants it reported."""
    wanted = False if tag.type == "string" else tag.report
    reporter = source.reporter
    source.names[4 * index + 3] = tag.id
    if isinstance(wanted, WindowReport):
        figures = wanted.window.of
        own = own_figure(figures)
        stats = 0
        for figure in figures:
            place = STATS.index(figure)
            stats |= 1 << place
            source.names[4 * index + place] = report_name(tag.id, figure, own)
        reporter.set_mode(index, WINDOW, every=wanted.window.every, stats=stats)
    elif wanted == "raw":
        reporter.set_mode(index, RAW)
    elif wanted == "change" or wanted is True:
        reporter.set_mode(index, CHANGE, tag.deadband)
    else:
        reporter.set_mode(index, OFF)
