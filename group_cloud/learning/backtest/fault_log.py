"""The record of faults as people keep it: some are never recorded, some never were, all are late.

Called by the back-test with the true faults of a plant; what it gives is all that learners see.
It is a function of its seed.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from group_cloud.learning.backtest.plant import DAY_MIN, Plant

AFTER_MIN = 180
"""How long after a fault the plant is taken to be running up: alarms then are not called false."""


@dataclass(frozen=True, slots=True)
class LogQuality:
    """How badly the record is kept."""

    unrecorded: float = 0.1
    phantom: float = 0.1
    late_days: tuple[float, float] = (1.0, 3.0)
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Recorded:
    """One entry of the record, in minutes: what it says, and when it was written."""

    id: int
    start: float
    end: float
    written: float


def keep_log(plant: Plant, quality: LogQuality) -> list[Recorded]:
    """The record of a plant's faults in the order in which it was written."""
    name = zlib.crc32(plant.name.encode())
    random = np.random.default_rng([quality.seed, name])
    windows = [(f.start, f.end) for f in plant.faults if random.random() >= quality.unrecorded]
    lengths = [f.end - f.start for f in plant.faults]
    first, last = plant.first_scored, float(plant.minutes[-1])
    for _ in range(round(quality.phantom * len(plant.faults))):
        length = float(random.choice(lengths))
        start = float(random.uniform(first, max(first + 1, last - length)))
        windows.append((start, start + length))
    low, high = quality.late_days
    entries = [
        Recorded(i, start, end, end + float(random.uniform(low, high)) * DAY_MIN)
        for i, (start, end) in enumerate(sorted(windows))
    ]
    return sorted(entries, key=lambda entry: (entry.written, entry.id))
