"""The protocol: learn to the end of week k, push, score week k+1 only; leave one factory out.

Called by `andon learn backtest`. Learners get counters and the kept record as they would have
come; the true state is for scoring only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from group_cloud.learning.backtest.fault_log import AFTER_MIN, Recorded
from group_cloud.learning.backtest.history import History, in_minutes
from group_cloud.learning.backtest.measure import Minutes, Told, measure
from group_cloud.learning.backtest.plant import DAY_MIN
from group_cloud.learning.limits.bank import FAULT, JUDGED, DayCounts, FaultVerdicts
from group_cloud.learning.limits.optimizer import Optimizer, PointInfo, Tuning
from shared.alarm.excursions import spans
from shared.alarm.grid import Filter
from shared.alarm.point import Setting

WEEK_MIN = 7 * DAY_MIN
FIRST_WEEKS_MIN = 2 * WEEK_MIN
"""How long a factory counts as new."""
GOOD_EXPERT = (4.0, 1.0, 120_000, 300_000)
"""Where a group starts that knows nothing yet: sigmas, deadband in sigmas, delays in ms."""
Say = Callable[[str], None]


@dataclass(slots=True)
class Joined:
    """One scored factory: what its weekly settings told, and how it went."""

    name: str
    told: Told
    first_weeks: Told
    pushes: list[int] = field(default_factory=list)
    """Changed points per push; the first is the start from the group's set."""
    seconds: list[float] = field(default_factory=list)


def infos_of(history: History) -> list[PointInfo]:
    """The points of a recorded plant as the optimiser knows them."""
    return [
        PointInfo(f"{p.tag}.{p.side}", f"{p.tag}.{p.side}", p.tag_class, p.sigma, p.grid)
        for p in history.points
    ]


def reference_of(history: History) -> int:
    """The candidate of a good expert, the same index for every point."""
    point = history.points[0]
    sigmas, band, on_ms, off_ms = GOOD_EXPERT
    sign = 1.0 if point.side == "HI" else -1.0
    expert = Setting(point.mean + sign * sigmas * point.sigma, band * point.sigma, on_ms, off_ms)
    index = point.grid.index(expert)
    if index is None:
        raise ValueError("the grid has no such candidate")
    return index


def optimizer_of(
    history: History, group: Sequence[Optimizer] = (), tuning: Tuning | None = None
) -> Optimizer:
    """An optimiser that has learnt nothing yet."""
    return Optimizer(infos_of(history), group, tuning, reference_of(history))


def learn(optimizer: Optimizer, history: History, since: float, until: float) -> int:
    """Hand over what was counted and written down within [since, until); how many labels."""
    labels = 0
    for place, point in enumerate(optimizer.points):
        for day in range(int(since) // DAY_MIN, min(int(until) // DAY_MIN, _days(history))):
            counts = DayCounts(
                day,
                history.activations[place, :, day],
                history.standing_min[place, :, day] * np.float32(60),
            )
            labels += optimizer.learn_one((point, counts), JUDGED)
        for entry in history.log:
            if since <= entry.written < until:
                verdicts = _verdicts(history, place, entry)
                labels += optimizer.learn_one((point, verdicts), FAULT)
    return labels


def _days(history: History) -> int:
    return history.activations.shape[2]


def _verdicts(history: History, place: int, entry: Recorded) -> FaultVerdicts:
    delays = history.delays[place, :, entry.id].astype(np.float32)
    return FaultVerdicts(
        str(entry.id),
        entry.start / DAY_MIN,
        (entry.end - entry.start + AFTER_MIN) * 60,
        np.where(delays < 0, np.float32(-1), delays * 60),
        history.inside[place, :, entry.id],
        history.inside_min[place, :, entry.id] * np.float32(60),
    )


def settled(history: History, tuning: Tuning | None = None) -> Optimizer:
    """A factory that has long been in the group: all of its record is known."""
    optimizer = optimizer_of(history, (), tuning)
    first = float(history.plant.first_scored)
    learn(optimizer, history, first, float(history.plant.minutes[-1]) + 1)
    return optimizer


class Runs:
    """Episodes of one point under one candidate over the whole record, each computed once."""

    def __init__(self, history: History) -> None:
        self._history, self._known = history, dict[tuple[int, int], tuple[Minutes, Minutes]]()

    def get(self, place: int, candidate: int) -> tuple[Minutes, Minutes]:
        """Raises and clears in minutes."""
        key = place, candidate
        if key not in self._known:
            plant, point = self._history.plant, self._history.points[place]
            grid = point.grid
            filter: Filter = grid.filter_of(candidate)
            setting = grid.setting(candidate)
            signal = plant.tags[point.tag]
            found = spans(plant.times_ms, signal, setting, point.side, filter, grid.centre)
            self._known[key] = in_minutes(found, int(plant.minutes[-1]))
        return self._known[key]


def join(
    history: History,
    group: Sequence[Optimizer],
    tuning: Tuning,
    clock: Callable[[], float],
    adapt: bool = True,
) -> Joined:
    """Let a factory join late, and push to it every week."""
    plant, runs = history.plant, Runs(history)
    optimizer = optimizer_of(history, group, tuning)
    ids = list(optimizer.points)
    begun = clock()
    current = optimizer.start(ids)
    first, last = float(plant.first_scored), float(plant.minutes[-1]) + 1
    seconds, pushes = [clock() - begun], [int((current != optimizer.reference).sum())]
    told: list[list[tuple[Minutes, Minutes]]] = [[] for _ in ids]
    since = first
    while since < last:
        until = since + WEEK_MIN
        for place in range(len(ids)):
            raised, cleared = runs.get(place, int(current[place]))
            inside = (raised >= since) & (raised < until)
            told[place].append((raised[inside], cleared[inside]))
        if until < last and adapt:
            begun = clock()
            learn(optimizer, history, since, until)
            changes = optimizer.propose(ids, current)
            for change in changes:
                current[ids.index(change.point)] = change.candidate
            seconds.append(clock() - begun)
            pushes.append(len(changes))
        since = until
    episodes = [
        (np.concatenate([r for r, _ in parts]), np.concatenate([c for _, c in parts]))
        for parts in told
    ]
    young = measure(plant, episodes, until=first + FIRST_WEEKS_MIN)
    return Joined(plant.name, measure(plant, episodes), young, pushes, seconds)
