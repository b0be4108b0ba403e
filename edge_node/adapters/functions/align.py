"""The driver `align`: rows of samples that speak of the same material become tags of their own.

Loaded by name from the registry; `edge_node.domain.alignment` decides, this file only feeds it and
hands its rows over.
"""

from __future__ import annotations

import asyncio
import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from edge_node.adapters.functions.computed import repeat_s
from edge_node.adapters.functions.readings import Readings
from edge_node.adapters.sources.port import (
    BAD,
    GOOD,
    UNCERTAIN,
    Driver,
    DriverInfo,
    Options,
    Sink,
    Source,
    emit,
)
from edge_node.application.ipc import Inputs, Write, WriteResult
from edge_node.domain.alignment import (
    Aligner,
    Along,
    Belt,
    ByGate,
    ByUnit,
    Fill,
    Row,
    Step,
    Stream,
    Take,
)
from shared.clock import Clock
from shared.errors import ConfigError
from shared.site.fields import Duration, parse_duration

TICK_S = 0.1
MARK = "mark:"
SPECIAL = ("key", "complete", "timed_out")


class Part(BaseModel):
    """Strict, so that a typing slip shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _gap(given: Any) -> Any:
    return float(parse_duration(given)) if isinstance(given, str) else given


Gap = Annotated[float, BeforeValidator(_gap), Field(ge=0)]
"""Metres on a belt, else a duration."""


class StreamOptions(Part):
    """One input that is aligned."""

    tag: str
    at: float = 0.0
    """Metres down the belt (`by: belt`)."""
    delay: Duration = 0
    """How much later the material gets here (`by: time`)."""
    fill: Fill | None = None
    max_gap: Gap = math.inf
    tolerance: Gap = 0.0
    low: float = -math.inf
    high: float = math.inf
    take: Take = "last"


class BeltOptions(Part):
    """The belt's speed and what it is measured in."""

    speed: str
    scale: float = 1.0
    """Metres a second for one unit of the tag (0.0167 for m/min)."""
    max_gap: Duration = 10_000


class StepOptions(Part):
    """One process step and the tag that reads the unit's id there."""

    name: str
    unit: str
    streams: list[StreamOptions] = Field(min_length=1)


class AlignOptions(Options):
    """`options:` of an `align` source."""

    by: Literal["time", "belt", "unit", "gate"]
    streams: list[StreamOptions] = Field(default=[])
    belt: BeltOptions | None = None
    steps: list[StepOptions] = Field(default=[])
    gate: str = ""
    lateness: Duration = 0
    """So long late samples are waited for."""
    timeout: Duration = Field(default=3_600_000, ge=1)
    """After it a unit's row comes as it is."""
    hold: Duration = 60_000
    """So long after it the last row stays the present one."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        wanted = {"belt": bool(self.belt), "unit": bool(self.steps), "gate": bool(self.gate)}
        for name, given in wanted.items():
            if given != (self.by == name):
                key = "steps" if name == "unit" else name
                raise ValueError(f"`{key}` belongs to `by: {name}`, and that needs it")
        if (self.by == "unit") == bool(self.streams):
            raise ValueError("`streams` belong to every way but `by: unit`, which has `steps`")
        return self

    def tags(self) -> list[str]:
        """Every tag that is aligned."""
        streams = [*self.streams, *(stream for step in self.steps for stream in step.streams)]
        return [stream.tag for stream in streams]

    def all_tags(self) -> set[str]:
        """Every tag that is needed."""
        more = {self.gate} if self.gate else {step.unit for step in self.steps}
        return {*self.tags(), *more, *({self.belt.speed} if self.belt else ())}


def aligner_of(options: AlignOptions) -> Aligner:
    """The alignment that the options describe; raises ValueError."""
    lateness, timeout = options.lateness, options.timeout
    streams = [_stream(stream, options.by) for stream in options.streams]
    if options.by == "unit":
        steps = [
            Step(step.name, step.unit, tuple(_stream(s, "unit") for s in step.streams))
            for step in options.steps
        ]
        return ByUnit(steps, timeout_ms=timeout, lateness_ms=lateness)
    if options.by == "gate":
        return ByGate(streams, gate=options.gate, timeout_ms=timeout, lateness_ms=lateness)
    belt = options.belt and Belt(
        options.belt.speed, scale=options.belt.scale, max_gap_ms=options.belt.max_gap
    )
    return Along(streams, belt=belt, lateness_ms=lateness)


def _stream(given: StreamOptions, by: str) -> Stream:
    return Stream(
        given.tag, at=given.at if by == "belt" else float(given.delay), fill=given.fill,
        max_gap=given.max_gap, tolerance=given.tolerance, low=given.low, high=given.high,
        take=given.take,
    )  # fmt: skip


class AlignDriver:
    """Feeds the alignment as samples come, and by the clock."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._options: AlignOptions = source.options
        self._readings = Readings(source.inputs, clock)
        self._aligner = aligner_of(self._options)
        self._row: Row | None = None
        self._row_at = 0
        self._repeat_s = repeat_s(source)

    def feed(self, inputs: Inputs) -> None:
        """Align a batch; rows go out at once."""
        for sample in self._readings.take(inputs):
            stood = sample.place in inputs.ages and sample.quality != BAD
            if stood:  # where things stood at a start is no new sample; that it is lost is
                continue
            name = self._source.inputs[sample.place].id
            value = sample.value if isinstance(sample.value, str) else float(sample.value)
            self._hand_over(self._aligner.feed(name, sample.time, value, sample.quality))

    async def connect(self) -> None:
        """Ready at once."""
        self._sink.state("connected", "no row yet")

    async def run(self) -> None:
        """Let time pass for the alignment; keep the last row fresh."""
        loop = asyncio.get_running_loop()
        repeat_at = loop.time()
        while True:
            await asyncio.sleep(TICK_S)
            self._hand_over(self._aligner.tick(self._clock.now_ms()))
            if loop.time() >= repeat_at:
                repeat_at = loop.time() + self._repeat_s
                self._repeat()

    def _hand_over(self, rows: list[Row]) -> None:
        for row in rows:
            self._row, self._row_at = row, self._clock.mono_ms()
            self._emit(row, row.at)

    def _repeat(self) -> None:
        now, row = self._clock.now_ms(), self._row
        if row is not None and self._clock.mono_ms() - self._row_at < self._options.hold:
            self._emit(row, now)
        else:
            for point in self._source.points:
                emit(self._sink, point, now, None, BAD)
        self._sink.state("connected", self._told())

    def _emit(self, row: Row, at: int) -> None:
        for point in self._source.points:
            value, quality = _output(row, point.address)
            emit(self._sink, point, at, value, quality)

    def _told(self) -> str:
        """What was dropped or filled, for the driver's state."""
        counters = self._aligner.counters
        told = (
            ("samples invalid", counters.invalid), ("too late", counters.too_late),
            ("of no unit or place", counters.unplaced), ("overflowed", counters.overflowed),
            ("values filled", counters.filled), ("missing", counters.missing),
        )  # fmt: skip
        return "; ".join([f"{counters.rows} rows", *(f"{n} {what}" for what, n in told if n)])

    async def write(self, order: Write) -> WriteResult:
        """An aligned tag cannot be written."""
        return WriteResult(id=order.id, outcome="failed", detail="an aligned tag is only read")

    async def close(self) -> None:
        """Nothing to let go of."""


def _output(row: Row, address: str) -> tuple[Any, int]:
    if address in SPECIAL:
        return getattr(row, address), GOOD
    if address.startswith(MARK):
        return row.marks[address.removeprefix(MARK)] or "measured", GOOD
    value = row.values[address]
    if value is None:
        return None, BAD
    return value, UNCERTAIN if row.marks[address] == "filled" else GOOD


def check_address(address: str, kind: str) -> str:
    """A tag of the alignment, `mark:TAG`, `key`, `complete` or `timed_out`."""
    texts = address == "key" or address.startswith(MARK)
    if texts and kind != "string":
        return f"{address!r} is a text: use the type string"
    return "" if address else "write the aligned tag, mark:TAG, key, complete or timed_out"


def verify(source: Source) -> None:
    """Whether inputs, options and tags speak of the same streams."""
    options: AlignOptions = source.options
    inputs = {point.id for point in source.inputs}
    for tag in sorted(options.all_tags() ^ inputs):
        raise ConfigError(
            f"source {source.id}: {tag!r} is in "
            + (
                "`inputs` but not in its `options`"
                if tag in inputs
                else "`options`, not in `inputs`"
            ),
            mend="write the same tags in both",
        )
    for point in source.points:
        tag = point.address.removeprefix(MARK)
        if tag not in options.tags() and point.address not in SPECIAL:
            raise ConfigError(
                f"source {source.id}: the address {point.address!r} is no aligned tag",
                mend=f"write one of {', '.join((*options.tags(), *SPECIAL))}",
            )
    try:
        aligner_of(options)
    except ValueError as error:
        raise ConfigError(f"source {source.id}: {error}", mend="correct `options`") from error


def build(source: Source, sink: Sink, clock: Clock) -> Driver:
    """The driver of one alignment."""
    verify(source)
    return AlignDriver(source, sink, clock)


DRIVER = DriverInfo(
    name="align", options=AlignOptions, build=build, check_address=check_address, computed=True,
    verify=verify,
)  # fmt: skip
