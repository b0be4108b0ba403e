"""What early warning looks at: half hours of all tags, in sigmas of commissioning, and their past.

Called with raw samples by the back-test and by whoever runs a warning model. Causal and bounded:
it holds a day of half hours, knows no labels and judges nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.alarm.warning_schema import DAY, FLOOR, LIMIT, LONG, SCHEMA, SLOPE

Array = npt.NDArray[np.float64]


class Windows:
    """Turns the samples of one window after the other into a vector of 4 numbers per tag."""

    def __init__(self, tags: Sequence[str]) -> None:
        self.tags = tuple(tags)
        self._levels: deque[Array] = deque(maxlen=DAY)
        self._spreads: deque[Array] = deque(maxlen=DAY)
        self._away: deque[Array] = deque(maxlen=LONG - 1)

    def push(self, samples: Array) -> Array | None:
        """The vector of the window `samples[minute, tag]` (in sigmas of commissioning, signed).

        None until there is a past, or when a tag has no sample at all in the window.
        """
        if not len(samples):
            return None
        level, spread = _level_and_spread(np.clip(samples, -LIMIT, LIMIT))
        if not np.isfinite(level).all():
            return None
        found = self._vector(level, spread) if len(self._levels) >= SLOPE else None
        self._levels.append(level)
        self._spreads.append(spread)
        return found

    def _vector(self, level: Array, spread: Array) -> Array:
        deviation = level - np.median(np.array(self._levels), axis=0)
        usual = np.median(np.array(self._spreads), axis=0)
        slope = level - self._levels[1 - SLOPE]
        away = np.abs(deviation)
        long = (away + sum(self._away)) / (len(self._away) + 1)
        self._away.append(away)
        wider = np.log((spread + FLOOR) / (usual + FLOOR))
        return np.concatenate((deviation, slope, np.log1p(long), wider))

    def snapshot(self) -> dict[str, Any]:
        """The day it holds, as plain data."""
        held = (self._levels, self._spreads, self._away)
        return {
            "schema": SCHEMA,
            "tags": list(self.tags),
            "held": [[each.tolist() for each in part] for part in held],
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> Windows:
        """Read what `snapshot` wrote; raises ValueError."""
        if data.get("schema") != SCHEMA:
            raise ValueError(f"not windows of early warning: {data.get('schema')!r}")
        found = cls(data["tags"])
        for part, held in zip(
            (found._levels, found._spreads, found._away), data["held"], strict=True
        ):
            part.extend(np.array(each, float) for each in held)
        return found


def _level_and_spread(samples: Array) -> tuple[Array, Array]:
    """Median and standard deviation per tag; NaN where a tag has no sample."""
    if np.isfinite(samples).all():
        return np.median(samples, axis=0), samples.std(axis=0)
    levels, spreads = np.full((2, samples.shape[1]), np.nan)
    for tag, column in enumerate(samples.T):
        good = column[np.isfinite(column)]
        if len(good):
            levels[tag], spreads[tag] = np.median(good), good.std()
    return levels, spreads
