"""Alarm limits on tables of rows: plain limits, an engineer's deadband and delays, learned ones.

Called by the section for tables. Learned limits for a series come from the kept record of earlier
series only; the true labels are for scoring.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from group_cloud.learning.backtest.table_rows import Series
from shared.alarm.excursions import NEVER, grid_spans
from shared.alarm.grid import Grid
from shared.alarm.point import Side

LIMITS = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 7.0, 10.0)
BANDS = (0.0, 1.0)
ON_MS = (0, 5_000, 10_000, 30_000)
OFF_MS = (0, 30_000, 120_000)
PLAIN, ENGINEER = (3.0, 0.0, 0, 0), (3.0, 1.0, 5_000, 30_000)
MISSED, BY_ONE, DELAY_HOUR = 1000.0, 0.25, 20.0
SWEEPS = 6
LASTING_MS = 5_000
"""An alarm announces an anomaly if it stands for this long."""
SIDES: tuple[Side, ...] = ("HI", "LO")
Floats = npt.NDArray[np.float64]


def _grid(side: Side) -> Grid:
    sign = 1.0 if side == "HI" else -1.0
    return Grid(side, tuple(sign * k for k in LIMITS), BANDS, ON_MS, OFF_MS)


def index_of(setting: tuple[float, float, int, int]) -> int:
    """The candidate's place, the same for either side."""
    limit, band, on_ms, off_ms = setting
    place = (LIMITS.index(limit) * len(BANDS) + BANDS.index(band)) * len(ON_MS)
    return (place + ON_MS.index(on_ms)) * len(OFF_MS) + OFF_MS.index(off_ms)


@dataclass(slots=True)
class Counted:
    """What all candidates of all points told on one series."""

    raised: list[list[npt.NDArray[np.int64]]]
    lasting: list[list[npt.NDArray[np.int64]]]
    start: int
    end: int
    anomalies: list[tuple[int, int]]


def count(series: Series) -> Counted:
    """All candidates over the scored rows of a series."""
    times, truth = series.times_ms, series.truth.copy()
    start = int(times[series.first])
    truth[: series.first] = False
    edges = np.flatnonzero(np.diff(np.concatenate(([False], truth, [False])).astype(np.int8)))
    anomalies = [
        (int(times[a]), int(times[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]
    found = Counted([], [], start, int(times[-1]), anomalies)
    for tag in range(series.z.shape[1]):
        for side in SIDES:
            raised, lasting = [], []
            for _, spans in grid_spans(times, series.z[:, tag], _grid(side)):
                inside = spans.raised >= start
                lasts = np.where(spans.cleared == NEVER, NEVER, spans.cleared - spans.raised)
                raised.append(spans.raised[inside])
                lasting.append(spans.raised[inside & (lasts >= LASTING_MS)])
            found.raised.append(raised)
            found.lasting.append(lasting)
    return found


def quiet(counted: Counted, anomalies: list[tuple[int, int]]) -> Floats:
    """False activations, [point, candidate], if these were all the anomalies."""
    return np.array(
        [
            [len(r) - sum(_within(r, a, b) for a, b in anomalies) for r in point]
            for point in counted.raised
        ],
        float,
    )


def delays(counted: Counted, anomaly: tuple[int, int]) -> Floats:
    """Hours to the announcement, [point, candidate], infinity for none."""
    found = np.full((len(counted.lasting), len(counted.lasting[0])), np.inf)
    for point, row in enumerate(counted.lasting):
        for place, raised in enumerate(row):
            first = int(np.searchsorted(raised, anomaly[0]))
            if first < len(raised) and raised[first] <= anomaly[1]:
                found[point, place] = (raised[first] - anomaly[0]) / 3_600_000
    return found


def _within(raised: npt.NDArray[np.int64], start: int, end: int) -> int:
    return int(np.searchsorted(raised, end, "right") - np.searchsorted(raised, start))


def choose(quiet_sum: Floats, known: list[Floats], start: npt.NDArray[np.int_]) -> Any:
    """One candidate per point, jointly: no change of a single point is better."""
    choice = start.copy()
    for _ in range(SWEEPS):
        before = choice.copy()
        for point in range(len(choice)):
            rest = [np.delete(k[np.arange(len(choice)), choice], point) for k in known]
            price = quiet_sum[point].copy()
            for hours, others in zip(known, rest, strict=True):
                mine = hours[point]
                told = np.isfinite(mine)
                many = np.isfinite(others).sum() + told
                first = np.minimum(mine, others.min())
                price += np.where(many == 0, MISSED, np.where(many == 1, BY_ONE * MISSED, 0.0))
                price += np.where(np.isfinite(first), DELAY_HOUR * first, 0.0)
            best = int(price.argmin())
            if price[best] < price[choice[point]] - 1e-9:
                choice[point] = best
        if (choice == before).all():
            break
    return choice


@dataclass(slots=True)
class Tally:
    """False activations, missed anomalies and normal hours of one rule."""

    false: int = 0
    missed: int = 0
    anomalies: int = 0
    hours: float = 0.0
    delays_s: list[float] = field(default_factory=list)

    def add(self, counted: Counted, choice: npt.NDArray[np.int_]) -> None:
        """Score one series against the truth."""
        upset = sum(b - a for a, b in counted.anomalies)
        self.hours += (counted.end - counted.start - upset) / 3_600_000
        for point, candidate in enumerate(choice):
            raised = counted.raised[point][candidate]
            inside = sum(_within(raised, a, b) for a, b in counted.anomalies)
            self.false += len(raised) - inside
        for start, end in counted.anomalies:
            firsts = []
            for point, candidate in enumerate(choice):
                lasting = counted.lasting[point][candidate]
                place = int(np.searchsorted(lasting, start))
                if place < len(lasting) and lasting[place] <= end:
                    firsts.append((lasting[place] - start) / 1000)
            self.anomalies += 1
            self.missed += not firsts
            self.delays_s += [float(min(firsts))] if firsts else []

    def figures(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "false_activations": self.false,
            "false_per_hour": round(self.false / self.hours, 2) if self.hours else None,
            "missed": self.missed,
            "anomalies": self.anomalies,
            "median_delay_s": float(np.median(self.delays_s)) if self.delays_s else None,
        }


def compare(series: list[Series], orders: list[npt.NDArray[np.int_]]) -> dict[str, Any]:
    """The three rules over all orders; the learned one begins with deadband and delays."""
    counted = [count(one) for one in series]
    points = len(counted[0].raised)
    tallies = {name: Tally() for name in ("plain", "deadband_delays", "learned")}
    fixed = {
        "plain": np.full(points, index_of(PLAIN)),
        "deadband_delays": np.full(points, index_of(ENGINEER)),
    }
    sums = {}
    for turn, order in enumerate(orders):
        random = np.random.default_rng([turn, 99])
        total = np.zeros((points, len(counted[0].raised[0])))
        known: list[Floats] = []
        choice = fixed["deadband_delays"].copy()
        for place in order:
            one = counted[place]
            for name, rule in fixed.items():
                tallies[name].add(one, rule)
            tallies["learned"].add(one, choice)
            recorded = [a for a in one.anomalies if random.random() >= 0.1]
            if one.anomalies and random.random() < 0.1:
                a, b = one.anomalies[0]
                at = int(random.integers(one.start, max(one.start + 1, one.end - (b - a))))
                recorded.append((at, at + b - a))
            key = (place, tuple(recorded))
            if key not in sums:
                sums[key] = quiet(one, recorded)
            total += sums[key]
            known += [delays(one, anomaly) for anomaly in recorded]
            if len(known) >= 3:
                choice = choose(total, known, choice)
    return {name: tally.figures() for name, tally in tallies.items()}
