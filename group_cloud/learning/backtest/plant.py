"""Recorded plants: a folder of Parquet files and one `events.csv`, read into columns.

Called by the back-test. It never writes there, and says what is wrong with a file by its name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from group_cloud.learning.backtest.recorded_faults import (
    Fault,
    PlantError,
    check_faults,
    faults_of,
    number_of,
    read_events,
)

__all__ = ["Fault", "Plant", "PlantError", "read_columns", "read_folder"]

MINUTE_MS = 60_000
DAY_MIN = 1440
COMMISSIONING_DAYS = 4
TIME, STATE = "minute", "idv"
RECOVERY = -1
"""The state of a plant that runs up again after a fault or a trip: nobody is judged by it."""


@dataclass(frozen=True, slots=True)
class Plant:
    """One recorded factory: samples by the minute, the true state, the true faults."""

    name: str
    minutes: npt.NDArray[np.int64]
    state: npt.NDArray[np.int16]
    tags: dict[str, npt.NDArray[np.float64]]
    faults: tuple[Fault, ...]

    @property
    def times_ms(self) -> npt.NDArray[np.int64]:
        """Source times of the samples."""
        return self.minutes * MINUTE_MS

    @property
    def first_scored(self) -> int:
        """The minute, at the turn of a day, at which commissioning ends: after four fault-free
        days, or after half of what there is."""
        normal = self.minutes[self.state == 0]
        last = normal[min(COMMISSIONING_DAYS * DAY_MIN, len(normal) // 2) - 1]
        return -(-int(last) // DAY_MIN) * DAY_MIN

    def commissioning(self, tag: str) -> tuple[float, float]:
        """Mean and sigma of a tag over the fault-free days of commissioning."""
        seen = self.tags[tag][(self.state == 0) & (self.minutes < self.first_scored)]
        seen = seen[np.isfinite(seen)]
        if not len(seen):
            return 0.0, 1.0
        mean, sigma = float(seen.mean()), float(seen.std())
        return mean, sigma if sigma > 0 else max(abs(mean) * 1e-3, 1e-9)


def read_folder(folder: Path) -> list[Plant]:
    """All plants of a folder, by name; raises PlantError."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise PlantError(f"{folder}: no *.parquet in it; a factory is one NAME.parquet")
    events = read_events(folder / "events.csv")
    for first, second in itertools.combinations(files, 2):
        if events and number_of(first.stem) == number_of(second.stem) in events:
            raise PlantError(
                f"{folder / 'events.csv'}: factory {number_of(first.stem)} is both {first.name} "
                f"and {second.name}; give every file a last number of its own"
            )
    return [_plant(file, events) for file in files]


def short_names(plants: list[Plant]) -> dict[str, Plant]:
    """Names as people write them: the whole one, its last part (`F1`), and its number; what more
    than one plant would answer to is none's."""
    found: dict[str, Plant] = {}
    for spell in (str, short, number_of):
        names = [spell(plant.name).casefold() for plant in plants]
        for name, plant in zip(names, plants, strict=True):
            if name and names.count(name) == 1:
                found.setdefault(name, plant)
    return found


def short(name: str) -> str:
    """A plant's name as people say it: `tepsim_F1` is F1."""
    return name.rsplit("_", 1)[-1] or name


def labels_of(names: Iterable[str]) -> dict[str, str]:
    """What each plant is called in an answer: its short name, unless two share it."""
    names = list(names)
    shorts = [short(name) for name in names]
    return {n: s if shorts.count(s) == 1 else n for n, s in zip(names, shorts, strict=True)}


def _plant(file: Path, events: dict[str, list[Fault]]) -> Plant:
    columns = read_columns(file)
    missing = [name for name in (TIME, STATE) if name not in columns]
    if missing:
        raise PlantError(
            f"{file}: no column {' and '.join(missing)}; {TIME} counts minutes, {STATE} is 0 when "
            f"all is well; there are {', '.join(list(columns)[:8])}"
        )
    minutes, state = _whole(file, TIME, columns.pop(TIME)), _whole(file, STATE, columns.pop(STATE))
    _check_minutes(file, minutes)
    tags = {
        name: values.astype(np.float64)
        for name, values in columns.items()
        if np.issubdtype(values.dtype, np.number)
    }
    if (state == 0).sum() < 2 * DAY_MIN:
        raise PlantError(f"{file}: fewer than two normal days ({STATE} = 0)")
    faults = events.get(number_of(file.stem))
    if faults is None:
        faults = faults_of(minutes, state)
    else:
        check_faults(file, faults, minutes, state)
    # A clock that has run for years begins with the day of the first sample.
    start = int(minutes[0]) // DAY_MIN * DAY_MIN
    moved = [Fault(f.kind, f.start - start, f.end - start) for f in faults]
    found = Plant(
        file.stem,
        minutes - start,
        np.clip(state, -1, 30_000).astype(np.int16),
        tags,
        tuple(sorted(moved, key=lambda f: f.start)),
    )
    # A tag that says nothing in commissioning has no sigma, and so no limit to learn.
    known = (found.state == 0) & (found.minutes < found.first_scored)
    heard = {name: values for name, values in tags.items() if np.isfinite(values[known]).any()}
    if not heard:
        raise PlantError(
            f"{file}: no column of numbers beside {TIME} and {STATE} with values in the first days"
        )
    return replace(found, tags=heard)


def _whole(file: Path, name: str, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """A column of whole numbers."""
    if np.issubdtype(values.dtype, np.datetime64) or not np.issubdtype(values.dtype, np.number):
        raise PlantError(
            f"{file}: column {name} is {values.dtype}, not numbers; "
            "write times as whole minutes of one clock, the same as in events.csv"
        )
    bad = np.flatnonzero(~np.isfinite(values.astype(np.float64)))
    if len(bad):
        raise PlantError(f"{file}: row {bad[0] + 1}: no value in column {name}; leave the row out")
    return values.astype(np.int64)


def _check_minutes(file: Path, minutes: npt.NDArray[np.int64]) -> None:
    step = np.diff(minutes)
    if len(minutes) < 2 or (step <= 0).any():
        at = int(np.flatnonzero(step <= 0)[0]) + 2 if len(minutes) > 1 else 1
        raise PlantError(f"{file}: row {at}: column {TIME} does not rise from row to row")
    if float(np.median(step)) != 1.0:
        raise PlantError(
            f"{file}: column {TIME} rises by {np.median(step):g} a row; "
            "one row per minute is wanted (thin or average it first)"
        )


def read_columns(file: Path) -> dict[str, npt.NDArray[Any]]:
    """The columns of a Parquet file."""
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise PlantError("Parquet needs the extra `learn`: pip install andon[learn]") from error
    try:
        table = parquet.read_table(file)
    except (OSError, ValueError) as error:
        raise PlantError(f"{file}: not a Parquet file: {error}") from error
    return {name: table[name].to_numpy() for name in table.column_names}
