"""The alarm figures of one period, from records in order of time. Pure and one pass.

The command line, the period route and the tests call `figures`; the live figures come from
`shards.py` and end in the same `Figures`. Holds one small state for each alarm, never the journal.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from shared.alarm.kpi.alarm_run import Run, Tally, close, step
from shared.alarm.kpi.floods import Flood, cut, walk
from shared.alarm.kpi.limits import DEFAULT, KpiLimits
from shared.alarm.kpi.records import RAISED, RE_ALARMED, Record


@dataclass(frozen=True, slots=True)
class Period:
    """`[start, end)` in ms; fixed intervals are counted from `start`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Its length in ms."""
        return max(0, self.end - self.start)

    def bins(self, limits: KpiLimits) -> int:
        """How many fixed intervals it has; the last one may be cut."""
        return -(-self.length // limits.window_ms)


@dataclass(frozen=True)
class Figures:
    """All that is counted of a period; every figure is made from it and can be opened by it."""

    period: Period
    alarms: dict[str, Tally]
    floods: list[Flood]
    peak_sliding: int
    max_bin: int
    bins_over: int
    in_order: bool = True
    limits: KpiLimits = field(default=DEFAULT)
    bins: dict[int, int] | None = field(default=None, compare=False)
    """Annunciations by fixed interval, without the empty ones; None where they were not kept."""

    @cached_property
    def annunciations(self) -> int:
        """Annunciations of the period."""
        return sum(tally.annunciations for tally in self.alarms.values())

    @cached_property
    def priorities(self) -> Counter[str]:
        """Annunciations by priority."""
        out: Counter[str] = Counter()
        for tally in self.alarms.values():
            out.update(tally.priorities)
        return out

    @cached_property
    def ranked(self) -> list[tuple[str, int]]:
        """Alarms by annunciations: count descending, then name."""
        counts = [(name, t.annunciations) for name, t in self.alarms.items() if t.annunciations]
        return sorted(counts, key=lambda each: (-each[1], each[0]))

    @property
    def flood_ms(self) -> int:
        """Time in flood."""
        return sum(flood.end - flood.start for flood in self.floods)

    def total(self, name: str) -> int:
        """Sum of one counted thing over all alarms."""
        return sum(int(getattr(tally, name)) for tally in self.alarms.values())

    def standing(self) -> list[tuple[str, int]]:
        """Alarms that stand at the end, with since when; the longest first."""
        held = [(n, t.standing_since) for n, t in self.alarms.items()]
        return sorted(((n, s) for n, s in held if s is not None), key=lambda e: (e[1], e[0]))

    def answers(self) -> dict[str, list[int]]:
        """Times from annunciation to acknowledgement by priority, sorted."""
        out: dict[str, list[int]] = {}
        for tally in self.alarms.values():
            for priority, times in tally.answers.items():
                out.setdefault(priority, []).extend(times)
        return {priority: sorted(times) for priority, times in sorted(out.items())}

    def actions(self) -> Counter[str]:
        """What people changed."""
        out: Counter[str] = Counter()
        for tally in self.alarms.values():
            out.update(tally.actions)
        return out


class Counting:
    """Takes records in order of time; `figures()` ends the period."""

    def __init__(self, period: Period, limits: KpiLimits = DEFAULT) -> None:
        self._period, self._limits = period, limits
        self._runs: dict[str, Run] = {}
        self._tallies: dict[str, Tally] = {}
        self._times = array("q")
        self._bins: Counter[int] = Counter()

    def take(self, record: Record) -> None:
        """One record; what is before the period only tells what stands at its start."""
        if record.time >= self._period.end:
            return
        run = self._runs.get(record.alarm)
        if run is None:
            run = self._runs[record.alarm] = Run()
        if record.time < self._period.start:
            step(run, Tally(), record, self._limits)
            run.last = ()  # windows begin empty where the period begins
            return
        tally = self._tallies.get(record.alarm)
        if tally is None:
            tally = self._tallies[record.alarm] = Tally()
        step(run, tally, record, self._limits)
        if record.kind == RAISED or record.kind == RE_ALARMED:
            self._times.append(record.time)
            self._bins[(record.time - self._period.start) // self._limits.window_ms] += 1

    def figures(self, in_order: bool = True) -> Figures:
        """The period's figures; asked once, at the end."""
        limits, period = self._limits, self._period
        for name, run in self._runs.items():
            tally = self._tallies.setdefault(name, Tally())
            close(run, tally, period.end, limits)
        way = walk(self._times, period.start, period.end, False, limits)
        return Figures(
            period, self._tallies, cut(way.spans, period.start, period.end), way.peak,
            max(self._bins.values(), default=0),
            sum(count > limits.flood_over for count in self._bins.values()), in_order, limits,
            dict(self._bins),
        )  # fmt: skip


def figures(
    records: Iterable[Record], period: Period, limits: KpiLimits = DEFAULT, in_order: bool = True
) -> Figures:
    """Figures of a period from records sorted by time (see `records.in_order`)."""
    counting = Counting(period, limits)
    for record in records:
        counting.take(record)
    return counting.figures(in_order)
