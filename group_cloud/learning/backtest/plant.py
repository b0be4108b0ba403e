"""Recorded plants: a folder of Parquet files and one `events.csv`, read into columns.

Called by the back-test. It never writes there, and says what is wrong with a file by its name.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.errors import AndonError

MINUTE_MS = 60_000
DAY_MIN = 1440
COMMISSIONING_DAYS = 4
TIME, STATE = "minute", "idv"
RECOVERY = -1
"""The state of a plant that runs up again after a fault or a trip: nobody is judged by it."""


class PlantError(AndonError):
    """A recorded plant that cannot be read; says which file and why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that really was, in minutes of the record."""

    kind: int
    start: float
    end: float


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
        raise PlantError(f"{folder}: no *.parquet in it")
    events = _events(folder / "events.csv")
    return [_plant(file, events) for file in files]


def short_names(plants: list[Plant]) -> dict[str, Plant]:
    """Names as people write them: the whole one, its last part (`F1`), and its number."""
    found: dict[str, Plant] = {}
    for plant in plants:
        for name in (plant.name, plant.name.rsplit("_", 1)[-1], _number(plant.name)):
            if name:
                found.setdefault(name.casefold(), plant)
    return found


def _number(name: str) -> str:
    digits = re.findall(r"\d+", name)
    return str(int(digits[-1])) if digits else ""


def _events(file: Path) -> dict[str, list[Fault]]:
    """True faults by the factory's number."""
    found: dict[str, list[Fault]] = {}
    if not file.exists():
        return found
    with file.open(encoding="utf-8", newline="") as opened:
        rows = csv.DictReader(opened)
        for line, row in enumerate(rows, 2):
            if row.get("kind") != "fault":
                continue
            try:
                start = float(row.get("start_min") or row["start"])
                end = float(row.get("end_min") or row["end"])
                fault = Fault(int(float(row["idv"] or 0)), start, end)
                number = str(int(row["factory"]))
            except (KeyError, TypeError, ValueError) as error:
                raise PlantError(f"{file}:{line}: not a fault: {error!r}") from error
            found.setdefault(number, []).append(fault)
    return found


def _plant(file: Path, events: dict[str, list[Fault]]) -> Plant:
    columns = read_columns(file)
    missing = [name for name in (TIME, STATE) if name not in columns]
    if missing:
        raise PlantError(f"{file}: no column {' and '.join(missing)}")
    minutes = columns.pop(TIME).astype(np.int64)
    state = columns.pop(STATE).astype(np.int16)
    if len(minutes) < 2 or (np.diff(minutes) <= 0).any():
        raise PlantError(f"{file}: column {TIME} does not rise from row to row")
    tags = {
        name: values.astype(np.float64)
        for name, values in columns.items()
        if np.issubdtype(values.dtype, np.number)
    }
    if not tags:
        raise PlantError(f"{file}: no column of numbers beside {TIME} and {STATE}")
    if (state == 0).sum() < 2 * DAY_MIN:
        raise PlantError(f"{file}: fewer than two normal days ({STATE} = 0)")
    faults = events.get(_number(file.stem)) or _faults_of(minutes, state)
    return Plant(file.stem, minutes, state, tags, tuple(sorted(faults, key=lambda f: f.start)))


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


def _faults_of(minutes: npt.NDArray[np.int64], state: npt.NDArray[np.int16]) -> list[Fault]:
    """Without a list of faults: the runs of one positive state."""
    edges = np.flatnonzero(np.diff(state)) + 1
    starts = np.concatenate(([0], edges))
    ends = np.concatenate((edges, [len(state)])) - 1
    return [
        Fault(int(state[a]), float(minutes[a]), float(minutes[b]))
        for a, b in zip(starts, ends, strict=True)
        if state[a] > 0
    ]
