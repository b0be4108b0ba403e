"""The figures in pieces of time that can be put together: `joined` pieces equal the whole.

The live figures keep a piece for each interval and make only those anew whose records changed, so
late data costs one piece. Called by the brain's live figures and by tests. Pure.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

from shared.alarm.kpi.alarm_run import UNKNOWN, Run, Tally, close, step
from shared.alarm.kpi.figures import Figures, Period
from shared.alarm.kpi.flood_shards import FloodShard
from shared.alarm.kpi.limits import DEFAULT, KpiLimits
from shared.alarm.kpi.records import RAISED, RE_ALARMED, Record


@dataclass(slots=True)
class AlarmPiece:
    """One alarm in one piece: what depends on the piece before it is kept as records."""

    prefix: list[Record] = field(default_factory=list)
    run: Run = field(default_factory=lambda: Run(since=UNKNOWN, pending=UNKNOWN))
    tally: Tally | None = None
    """Counted from where nothing earlier matters; None while everything still does."""

    def take(self, record: Record, limits: KpiLimits) -> None:
        """The next record."""
        if self.tally is not None:
            step(self.run, self.tally, record, limits)
            return
        self.prefix.append(record)
        step(self.run, Tally(), record, limits)
        if self.run.known(limits):
            self.tally = Tally()

    def copy(self) -> AlarmPiece:
        """An independent copy."""
        run = Run(self.run.since, self.run.pending, self.run.last, self.run.priority)
        return AlarmPiece(list(self.prefix), run, self.tally.copy() if self.tally else None)

    def then(self, later: AlarmPiece, limits: KpiLimits) -> None:
        """Take in the next piece, which stays as it is."""
        for record in later.prefix:
            self.take(record, limits)
        if later.tally is None:
            return
        assert self.tally is not None, "what settles the later piece settles both"
        self.tally.add(later.tally)
        run = later.run
        self.run = Run(run.since, run.pending, run.last, run.priority)

    def ended(self, before: Run, limits: KpiLimits) -> tuple[Run, Tally]:
        """Counted, knowing where the alarm stood before."""
        tally = Tally()
        run = Run(before.since, before.pending, (), before.priority)
        for record in self.prefix:
            step(run, tally, record, limits)
        if self.tally is not None:
            tally.add(self.tally)
            run = Run(self.run.since, self.run.pending, self.run.last, self.run.priority)
        return run, tally


@dataclass(slots=True)
class Shard:
    """All alarms in one piece of time; whole windows long."""

    floods: FloodShard
    alarms: dict[str, AlarmPiece]
    max_bin: int
    bins_over: int

    @classmethod
    def of(
        cls, records: Iterable[Record], begin: int, end: int, limits: KpiLimits = DEFAULT
    ) -> Shard:
        """One interval, or any number of them; records sorted by time, all in `[begin, end)`."""
        making = Making(begin, end, limits)
        for record in records:
            making.take(record)
        return making.shard()

    def joined(self, later: Shard, limits: KpiLimits = DEFAULT) -> Shard:
        """This piece and its next neighbour as one; both stay as they are."""
        return join([self, later], limits)


class Making:
    """Makes a piece record by record; holds a number for each annunciation, not the records."""

    def __init__(self, begin: int, end: int, limits: KpiLimits = DEFAULT) -> None:
        self._begin, self._end, self._limits = begin, end, limits
        self._times = array("q")
        self._alarms: dict[str, AlarmPiece] = {}
        self._bins: dict[int, int] = {}

    def take(self, record: Record) -> None:
        """The next record by time."""
        self._alarms.setdefault(record.alarm, AlarmPiece()).take(record, self._limits)
        if record.kind in (RAISED, RE_ALARMED):
            self._times.append(record.time)
            place = (record.time - self._begin) // self._limits.window_ms
            self._bins[place] = self._bins.get(place, 0) + 1

    def shard(self) -> Shard:
        """What was made."""
        over = sum(count > self._limits.flood_over for count in self._bins.values())
        flood = FloodShard.of(self._times, self._begin, self._end, self._limits)
        return Shard(flood, self._alarms, max(self._bins.values(), default=0), over)


def join(shards: list[Shard], limits: KpiLimits = DEFAULT) -> Shard:
    """Neighbours, in order, as one piece; none of them is changed. At least one."""
    flood = shards[0].floods
    alarms = {name: piece.copy() for name, piece in shards[0].alarms.items()}
    for shard in shards[1:]:
        flood = flood.joined(shard.floods, limits)
        for name, piece in shard.alarms.items():
            held = alarms.get(name)
            if held is None:
                alarms[name] = piece.copy()
            else:
                held.then(piece, limits)
    worst = max(shard.max_bin for shard in shards)
    return Shard(flood, alarms, worst, sum(shard.bins_over for shard in shards))


def standing(records: Iterable[Record], limits: KpiLimits = DEFAULT) -> dict[str, Run]:
    """Where alarms stand after records that lie before a period, sorted by time."""
    runs: dict[str, Run] = {}
    for record in records:
        step(runs.setdefault(record.alarm, Run()), Tally(), record, limits)
    return runs


def figures_of(
    shard: Shard, until: int, before: dict[str, Run] | None = None, limits: KpiLimits = DEFAULT
) -> Figures:
    """Figures of a shard up to `until`; `before`: where alarms stood at its beginning."""
    before = before or {}
    tallies: dict[str, Tally] = {}
    for name, piece in shard.alarms.items():
        run, tally = piece.ended(before.get(name, Run()), limits)
        close(run, tally, until, limits)
        tallies[name] = tally
    for name, run in before.items():
        if name not in tallies:
            tallies[name] = Tally()
            close(run, tallies[name], until, limits)
    found, worst = shard.floods.ended(until, limits)
    return Figures(
        Period(shard.floods.begin, until), tallies, found, worst, shard.max_bin, shard.bins_over,
        limits=limits,
    )  # fmt: skip
