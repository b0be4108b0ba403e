"""Tables of rows with labels: which column is what, and what a classifier sees of each row.

Called by the section for tables. Causal: a row's features use rows of its own series up to it; the
first rows of a series, taken to be normal, give each tag its mean and sigma.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from group_cloud.learning.backtest.plant import PlantError

LABELS = ("anomaly", "label", "is_anomaly")
NO_TAGS = frozenset({"changepoint", "index"})
WARM_UP, PROBATION, LONG = 400, 0.15, 5000
"""Rows at the start of a series that give mean and sigma and are not scored; a long series has a
share of it instead."""
SHORT, WINDOW = 10, 60
LIMIT = 30.0
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """One run of rows: times in ms, values in sigmas of its own start, labels."""

    name: str
    times_ms: npt.NDArray[np.int64]
    z: Array
    truth: npt.NDArray[np.bool_]
    first: int
    """The first row that is scored."""
    seen: Array
    """Features, [row, feature]."""


def read_series(columns: dict[str, Any]) -> tuple[list[Series], tuple[str, ...]]:
    """The series of a table and the names of its tags; raises PlantError."""
    label = next((name for name in LABELS if name in columns), None)
    times = next((n for n, c in columns.items() if np.issubdtype(c.dtype, np.datetime64)), None)
    if label is None or times is None:
        raise PlantError(f"a table of rows has a time and one of the columns {', '.join(LABELS)}")
    texts = [n for n, c in columns.items() if c.dtype == object]
    tags = tuple(
        n
        for n, c in columns.items()
        if n not in {label, times} | NO_TAGS and np.issubdtype(c.dtype, np.number)
    )
    if not tags:
        raise PlantError("a table of rows has at least one column of numbers")
    rows = len(columns[label])
    keys = np.array(
        ["/".join(str(columns[t][i]) for t in texts) for i in range(rows)]
        if texts
        else ["all"] * rows
    )
    values = np.stack([columns[tag].astype(float) for tag in tags], axis=1)
    found = []
    for name in dict.fromkeys(keys.tolist()):
        mine = np.flatnonzero(keys == name)
        at = columns[times][mine].astype("datetime64[ms]").astype(np.int64)
        order = np.argsort(at, kind="stable")
        found.append(_series(name, at[order], values[mine][order], columns[label][mine][order] > 0))
    return sorted(found, key=lambda s: (int(s.times_ms[0]), s.name)), tags


def _series(
    name: str, times: npt.NDArray[np.int64], values: Array, truth: npt.NDArray[np.bool_]
) -> Series:
    rows = len(truth)
    first = min(WARM_UP, rows // 2) if rows < LONG else int(rows * PROBATION)
    for tag in range(values.shape[1]):
        column = values[:, tag]
        bad = ~np.isfinite(column)
        if bad.any():
            # The last good value stands, as a display would show it.
            last = np.maximum.accumulate(np.where(bad, 0, np.arange(rows)))
            values[:, tag] = np.nan_to_num(column[last])
    start = values[:first]
    sigma = start.std(axis=0)
    sigma = np.where(sigma > 0, sigma, np.maximum(np.abs(start.mean(axis=0)) * 1e-3, 1e-9))
    z = np.clip((values - start.mean(axis=0)) / sigma, -LIMIT, LIMIT)
    return Series(name, times, z, truth, first, _features(z, first))


def _features(z: Array, first: int) -> Array:
    window, before = _mean(z, WINDOW), _mean(z, 4 * WINDOW)
    spread = np.sqrt(np.maximum(_mean(z * z, WINDOW) - window**2, 0.0))
    rough = _mean(np.abs(np.diff(z, axis=0, prepend=z[:1])), WINDOW)
    parts = [
        np.log1p(np.abs(window)),
        np.log((spread + 0.05) / (_usual(spread, first) + 0.05)),
        np.log1p(np.abs(_mean(z, SHORT))),
        np.log1p(np.abs(before)),
        np.log1p(np.abs(window - before)),
        np.log((rough + 0.05) / (_usual(rough, first) + 0.05)),
    ]
    whole = [pick(part, axis=1, keepdims=True) for part in parts for pick in (np.mean, np.max)]
    away = np.abs(z)
    far = [
        _mean((away > limit).any(axis=1, keepdims=True).astype(float), rows)
        for limit in (3, 4, 6)
        for rows in (SHORT, WINDOW)
    ]
    many = [_mean((away > 3).mean(axis=1, keepdims=True), rows) for rows in (SHORT, WINDOW)]
    return np.concatenate((*parts[:2], *whole, *far, *many), axis=1)


def _usual(values: Array, first: int) -> Array:
    """What is usual at the start of the series."""
    return np.median(values[WINDOW:first], axis=0) if first > WINDOW else np.ones(values.shape[1])


def _mean(values: Array, rows: int) -> Array:
    """Of the last `rows` rows, fewer at the start."""
    total = np.concatenate((np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - rows, 0)
    return (total[end] - total[start]) / (end - start)[:, None]
