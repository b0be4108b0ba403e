"""Exponentially weighted mean and spread of many tags in arrays: scores, and what crosses a limit.

Used by z-score alarms. `PureSpread` is the fallback and the oracle of the compiled `_spread`.
"""

from __future__ import annotations

from array import array
from math import exp, isnan, sqrt

LN2 = 0.6931471805599453
LEAST_SHARE = 1e-4
"""A standard deviation counts as at least this share of the mean: rounding is no anomaly."""
WARM = 30
"""From so many samples on, what is abnormal is learnt only as far as the limit."""
MOST = 2_000_000_000
EARLIEST = -(2**62)
BOTH, UPWARD, DOWNWARD = 0, 1, -1
Crossing = tuple[int, bool, int, float]
"""Row, whether it is abnormal from now on, steady time, score."""


class PureSpread:
    """Rows of weighted mean and variance, one for each watched tag."""

    def __init__(self, rows: int, tags: int) -> None:
        if rows < 0 or tags < 0:
            raise ValueError("rows and tags are not negative")
        self._row_of = array("i", [-1]) * tags
        self._mean, self._variance, self._half_life, self._limit, self._back, self._least = (
            array("d", bytes(8 * rows)) for _ in range(6)
        )
        self._time = array("q", bytes(8 * rows))
        self._count, self._warm = array("i", bytes(4 * rows)), array("i", bytes(4 * rows))
        self._side, self._beyond = array("b", bytes(rows)), array("b", bytes(rows))

    def configure(
        self, row: int, tag: int, half_life_ms: float, limit: float, deadband: float,
        least_spread: float, min_samples: int, side: int,
    ) -> None:  # fmt: skip
        """Watch `tag` by `row`; what the row has learnt stays."""
        if half_life_ms <= 0 or limit <= 0 or least_spread < 0 or not 0 <= row < len(self._mean):
            raise ValueError("a half-life and a limit are positive, a least spread not negative")
        self._row_of[tag] = row
        self._half_life[row], self._limit[row] = half_life_ms, limit
        self._back[row], self._least[row] = limit - deadband, least_spread
        self._warm[row], self._side[row] = min_samples, side

    def load(self, row: int, beyond: bool) -> None:
        """Whether the row was abnormal when the edge last ran."""
        self._beyond[row] = beyond

    def beyond(self, row: int) -> bool:
        """Whether the row is abnormal now."""
        return bool(self._beyond[row])

    def count(self, row: int) -> int:
        """Samples learnt from."""
        return self._count[row]

    def mean(self, row: int) -> float:
        """The weighted mean."""
        return self._mean[row]

    def spread(self, row: int) -> float:
        """The weighted standard deviation, at least the least one."""
        floor = max(self._least[row], LEAST_SHARE * abs(self._mean[row]), 1e-300)
        return max(sqrt(self._variance[row]), floor)

    def learnt(self, row: int) -> tuple[float, float, int, int]:
        """What a row knows: mean, variance, newest time, number of samples."""
        return self._mean[row], self._variance[row], self._time[row], self._count[row]

    def learn(self, row: int, mean: float, variance: float, time: int, count: int) -> None:
        """Let a row know what another has learnt."""
        self._mean[row], self._variance[row] = mean, variance
        self._time[row], self._count[row] = time, count

    def update(self, row: int, at: int, value: float) -> float:
        """The score of a sample against all before it; then learn it, no further than the limit."""
        count = self._count[row]
        if count == 0:
            self._mean[row], self._time[row], self._count[row] = value, at, 1
            return 0.0
        spread = self.spread(row)
        delta = value - self._mean[row]
        score = delta / spread
        passed = max(0, at - self._time[row])
        # While few are known each counts the same; a weight below 1/n would trust the first ones.
        weight = max(1.0 - exp(-LN2 * passed / self._half_life[row]), 1.0 / (count + 1))
        reach = self._limit[row] * spread
        if count >= WARM and abs(delta) > reach:
            delta = reach if delta > 0 else -reach
        step = weight * delta
        self._mean[row] += step
        self._variance[row] = (1.0 - weight) * (self._variance[row] + step * delta)
        self._time[row] = max(at, self._time[row])
        self._count[row] = min(count + 1, MOST)
        return score

    def scan(
        self, tags: bytes, times: bytes, values: bytes, qualities: bytes, base: int,
        offset: int, now: int,
    ) -> list[Crossing]:  # fmt: skip
        """Score a checked batch; the rows that have become abnormal or normal, in order."""
        out: list[Crossing] = []
        columns = zip(
            memoryview(tags).cast("i"), memoryview(times).cast("q"), memoryview(values).cast("d"),
            qualities, strict=True,
        )  # fmt: skip
        for tag, time, value, quality in columns:
            row = self._row_of[base + tag]
            if row < 0 or quality or isnan(value):
                continue
            at = min(max(time, EARLIEST) + offset, now)
            known = self._count[row] > self._warm[row]
            score = self.update(row, at, value)
            side, was = self._side[row], self._beyond[row]
            off = score * side if side else abs(score)
            is_beyond = off > (self._back[row] if was else self._limit[row])
            if known and is_beyond != bool(was):
                self._beyond[row] = is_beyond
                out.append((row, is_beyond, at, score))
        return out
