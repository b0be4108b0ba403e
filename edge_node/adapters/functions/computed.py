"""The driver behind every function of the plant: when it is called, what becomes of its answer.

Given a `Function` by the modules `python_function`, `c_library`, `onnx_model` and `river_model`.
A call that fails or takes too long makes the outputs bad and says why; it stops nothing else.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, Protocol

from pydantic import Field

from edge_node.adapters.functions.readings import Reading, Readings, Row, Value
from edge_node.adapters.functions.worker import Hung, Worker, limit_memory, show_last_resort
from edge_node.adapters.sources.port import BAD, GOOD, Options, Point, Sink, Source, emit
from edge_node.application.ipc import Inputs, Write, WriteResult
from shared.clock import Clock
from shared.errors import AndonError, ConfigError
from shared.site.fields import Duration
from shared.telemetry import logger

log = logger("function")
LOAD_S = 30.0
"""A large library takes seconds; many children that start at once on a small machine, many more."""
FAILED_AFTER = 3
"""Failures in a row after which the whole source counts as failed."""
MAX_ROWS = 10_000
HUNG_EXIT = 3
TELL_S = 0.2
"""What is said before the process ends itself gets so long to leave."""
SHORTEST_REPEAT_S, LONGEST_REPEAT_S = 0.2, 5.0


class FunctionOptions(Options):
    """What every function of the plant has."""

    budget: Duration = 100
    """Longest time of one call; a longer one makes the outputs bad."""
    hang_after: Duration = 2_000
    """A call that has not come back by then ends the process; it is started again."""
    on: Literal["sample", "interval"] = "sample"
    """Called when an input comes, or at the source's `interval`."""
    memory_mb: int = Field(default=512, ge=0)
    """What the process may take beyond what it has at start; 0: no limit."""
    require_good: bool = True
    """An input that is bad, stale or missing makes the outputs bad, without a call."""


@dataclass(frozen=True, slots=True)
class Call:
    """What one call is given."""

    readings: Mapping[str, Reading]
    rows: tuple[Row, ...]
    """All samples since the last call, oldest first."""
    at: int
    """Now, UTC in ms."""

    def numbers(self) -> list[float]:
        """The values in the order of `inputs`; NaN for what is no number or is not usable."""
        return [
            float(r.value) if r.quality != BAD and isinstance(r.value, bool | int | float)
            else float("nan")
            for r in self.readings.values()
        ]  # fmt: skip


class Function(Protocol):
    """One function of the plant. Every method runs in the worker's thread."""

    every_sample: bool
    """Whether `Call.rows` is wanted."""

    def load(self) -> None:
        """Get ready; raises ConfigError with the mend."""
        ...

    def call(self, call: Call) -> Mapping[str, Value | None] | Value | None:
        """Address -> value, or the value of the only output; None is bad."""
        ...

    def close(self) -> None:
        """Let go of what `load` took."""
        ...


class ComputedDriver:
    """Calls one function with the newest inputs and hands its outputs over."""

    def __init__(
        self, source: Source, sink: Sink, clock: Clock, function: Function, what: str
    ) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._function, self._what = function, what
        self._options: FunctionOptions = source.options
        self._readings = Readings(source.inputs, clock)
        self._rows: deque[Row] = deque(maxlen=MAX_ROWS)
        self._lost_rows = 0
        self._news = asyncio.Event()
        self._worker: Worker | None = None
        self._outputs: list[tuple[Any, int]] | None = None
        """(value, quality) of each point as last handed over; None before the first call."""
        self._failures = 0
        self._said = ("", "")
        self._repeat_s = repeat_s(source)

    def feed(self, inputs: Inputs) -> None:
        """Take samples; the next call sees them."""
        rows = self._readings.take(inputs)
        if self._function.every_sample:
            # Where things stood at a start was learnt before, if it was good.
            rows = [row for row in rows if row.place not in inputs.ages]
            self._lost_rows += max(0, len(self._rows) + len(rows) - MAX_ROWS)
            self._rows.extend(rows)
        self._news.set()

    async def connect(self) -> None:
        """Load the function, within a bounded time."""
        if self._worker is None:
            _stay_small()
            limit_memory(self._options.memory_mb)
            self._worker = Worker(f"function {self._source.id}")
        try:
            await self._worker.run(self._function.load, LOAD_S, LOAD_S, lambda: None)
        except Hung as hung:
            await self._end(f"{self._what}: loading {hung}")
        self._failures, self._outputs = 0, None
        self._state("connecting", f"{self._what}: waits for its first inputs")

    async def run(self) -> None:
        """Call it for ever."""
        loop = asyncio.get_running_loop()
        next_call = loop.time()
        while True:
            if self._options.on == "sample":
                timely = await self._news_within(self._repeat_s)
            else:
                await asyncio.sleep(min(max(0.0, next_call - loop.time()), self._repeat_s))
                timely = loop.time() >= next_call
                if timely:
                    next_call = max(next_call + self._source.interval_ms / 1000, loop.time())
            self._news.clear()
            quality, why = self._readings.quality()
            if quality == BAD and self._options.require_good:
                self._rows.clear()
                self._all_bad("connected" if self._outputs else "connecting", f"waits: {why}")
            elif timely:
                await self._call(quality if self._options.require_good else GOOD)
            else:
                self._repeat(quality)

    async def _news_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
            return True
        return False

    async def _call(self, quality: int) -> None:
        assert self._worker is not None
        options, budget_s = self._options, self._options.budget / 1000
        call = Call(self._readings.all(), tuple(self._rows), self._clock.now_ms())
        self._rows.clear()
        slow = f"over its budget of {options.budget} ms"
        try:
            hang_s = max(options.hang_after / 1000, budget_s)
            answer, took = await self._worker.run(
                lambda: self._function.call(call), budget_s, hang_s,
                lambda: self._failed(slow, counts=False),
            )  # fmt: skip
        except Hung as hung:
            await self._end(f"{self._what} {hung}")
        except Exception as error:  # whatever the plant's own code raises costs its tags only
            self._failed(explain(error))
            return
        if took > budget_s:
            self._failed(f"{slow} ({took * 1000:.0f} ms)")
            return
        try:
            values = self._values(answer)
        except Exception as error:  # what the function gave is the plant's own, too
            self._failed(explain(error))
            return
        self._failures = 0
        self._outputs = [(value, BAD if value is None else quality) for value in values]
        lost = f"{self._lost_rows} samples came too fast" if self._lost_rows else ""
        self._state("connected", lost)
        self._hand_over()

    def _values(self, answer: Any) -> list[Any]:
        points = self._source.points
        if not isinstance(answer, Mapping):
            if len(points) == 1:
                return [_typed(points[0], answer)]
            raise ConfigError(
                f"gave one value for {len(points)} tags",
                mend="return a dict of tag address -> value",
            )
        unknown = set(answer) - {point.address for point in points}
        if unknown:
            raise ConfigError(
                f"gave {sorted(map(str, unknown))[0]!r}, which is the address of no tag",
                mend=f"give {', '.join(repr(point.address) for point in points[:6])}",
            )
        return [_typed(point, answer.get(point.address)) for point in points]

    def _hand_over(self) -> None:
        now = self._clock.now_ms()
        for point, (value, quality) in zip(self._source.points, self._outputs or (), strict=True):
            emit(self._sink, point, now, value, quality)

    def _repeat(self, quality: int) -> None:
        """Nothing new has come: what was said stays true, and fresh."""
        if self._outputs is not None and not self._failures:
            self._outputs = [(v, q if q == BAD else quality) for v, q in self._outputs]
        if self._outputs is not None:
            self._hand_over()

    def _failed(self, reason: str, *, counts: bool = True) -> None:
        never = self._outputs is None and not self._failures
        self._failures += counts
        worst = self._failures >= FAILED_AFTER or (counts and never)
        self._all_bad("failed" if worst else self._said[0], f"{self._what}: {reason}")

    def _all_bad(self, state: str, why: str) -> None:
        self._outputs = [(None, BAD)] * len(self._source.points)
        self._state(state, why)
        self._hand_over()

    def _state(self, state: str, detail: str) -> None:
        if (state, detail) != self._said and state == "failed":
            log.warning("function_failed", source=self._source.id, detail=detail)
        self._said = (state, detail)
        self._sink.state(state, detail[:500])

    async def _end(self, why: str) -> NoReturn:
        self._all_bad("failed", why)
        await asyncio.sleep(TELL_S)
        os._exit(HUNG_EXIT)

    async def write(self, order: Write) -> WriteResult:
        """A computed tag cannot be written."""
        detail = f"{self._source.id} is computed: write to the device itself"
        return WriteResult(id=order.id, outcome="failed", detail=detail)

    async def close(self) -> None:
        """Let the function save what it keeps."""
        if self._worker is not None:
            with suppress(Hung):
                await self._worker.run(self._function.close, 1.0, 1.5, lambda: None)


def _stay_small() -> None:
    """The plant's own code never takes the processor from the engine."""
    show_last_resort()
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    with suppress(OSError):
        os.nice(5)


def repeat_s(source: Source) -> float:
    """How often the outputs of a computed source are said again, so that they stay fresh."""
    shortest = min((point.stale_ms for point in source.points), default=10_000) / 3000
    return min(max(shortest, SHORTEST_REPEAT_S), LONGEST_REPEAT_S)


def _typed(point: Point, value: Any) -> Any:
    item = getattr(value, "item", None)
    if callable(item) and not isinstance(value, bool | int | float | str):
        value = item()  # numpy's scalars as Python's own
    wanted = str if point.kind == "string" else bool | int | float
    if value is not None and not isinstance(value, wanted):
        raise ConfigError(
            f"gave {value!r:.60} for {point.id}, which is a {point.kind}",
            mend="return a number, a boolean or a text, as the tag's `type` says",
        )
    return value


def explain(error: BaseException) -> str:
    """A fault of the plant's code with the line that raised it."""
    if isinstance(error, AndonError):
        return str(error)
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    where = f" ({os.path.basename(at.tb_frame.f_code.co_filename)}:{at.tb_lineno})" if at else ""
    return f"{type(error).__name__}: {error}{where}"
