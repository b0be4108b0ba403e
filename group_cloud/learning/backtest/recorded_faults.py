"""The true faults of recorded plants: read from `events.csv`, or from the plant's own state.

Called by the reader of plants. It says which line is wrong and how to mend it, and takes no list
whose clock or unit is not the plant's.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.errors import AndonError

LEAST_INSIDE = 0.5
"""Share of the listed faults that must lie where the plant's own state says that one is on."""


class PlantError(AndonError):
    """A recorded plant that cannot be read; says which file and why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that really was, in minutes of the record."""

    kind: int
    start: float
    end: float


def number_of(name: str) -> str:
    """The last number in a name, without leading zeros; nothing if there is none."""
    digits = re.findall(r"\d+", name)
    return str(int(digits[-1])) if digits else ""


def read_events(file: Path) -> dict[str, list[Fault]]:
    """True faults by the factory's number; nothing without such a file; raises PlantError."""
    found: dict[str, list[Fault]] = {}
    if not file.exists():
        return found
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = csv.DictReader(opened)
        missing = [n for n in ("factory", "kind") if n not in (rows.fieldnames or ())]
        if missing:
            raise PlantError(
                f"{file}:1: no column {' and '.join(missing)}; "
                "the head is factory,kind,idv,start_min,end_min,tag"
            )
        for line, row in enumerate(rows, 2):
            if (row.get("kind") or "").strip() == "fault":
                found.setdefault(_factory(file, line, row), []).append(_fault(file, line, row))
    return found


def _factory(file: Path, line: int, row: dict[str, str]) -> str:
    number = number_of(row["factory"] or "")
    if not number:
        raise PlantError(
            f"{file}:{line}: column factory says {row['factory']!r}; "
            "it wants the last number in the name of a Parquet file"
        )
    return number


def _fault(file: Path, line: int, row: dict[str, str]) -> Fault:
    try:
        start = float(row.get("start_min") or row["start"])
        end = float(row.get("end_min") or row["end"])
        kind = int(float(row.get("idv") or 0))
    except (KeyError, TypeError, ValueError) as error:
        raise PlantError(
            f"{file}:{line}: not a fault: {error}; start_min and end_min are numbers: minutes of "
            "the column `minute`, not dates"
        ) from error
    if not (np.isfinite([start, end]).all() and start < end):
        raise PlantError(f"{file}:{line}: a fault from {start} to {end} ends before it began")
    return Fault(kind, start, end)


def check_faults(
    file: Path, faults: list[Fault], minutes: npt.NDArray[np.int64], state: npt.NDArray[np.int64]
) -> None:
    """Listed faults lie in the record and, mostly, where its state says so; raises PlantError."""
    last = float(minutes[-1])
    outside = [f for f in faults if f.end < minutes[0] or f.start > last]
    if outside:
        raise PlantError(
            f"{file.parent / 'events.csv'}: a fault of {file.stem} at minute {outside[0].start:g}, "
            f"but {file.name} has minutes {minutes[0]} to {minutes[-1]}: another unit or clock?"
        )
    if not (state > 0).any():
        return
    middles = np.searchsorted(minutes, [(f.start + f.end) / 2 for f in faults])
    inside = int((state[np.minimum(middles, len(state) - 1)] > 0).sum())
    if inside < LEAST_INSIDE * len(faults):
        raise PlantError(
            f"{file.parent / 'events.csv'}: only {inside} of {len(faults)} faults of {file.stem} "
            "lie where its column idv is above 0: another unit, clock or time zone? "
            "start_min and end_min count the same minutes as the column minute"
        )


def faults_of(minutes: npt.NDArray[np.int64], state: npt.NDArray[np.int64]) -> list[Fault]:
    """Without a list of faults: the runs of one positive state."""
    edges = np.flatnonzero(np.diff(state)) + 1
    starts = np.concatenate(([0], edges))
    ends = np.concatenate((edges, [len(state)])) - 1
    return [
        Fault(int(state[a]), float(minutes[a]), float(minutes[b]))
        for a, b in zip(starts, ends, strict=True)
        if state[a] > 0
    ]
