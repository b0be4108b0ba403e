"""Small made-up plants in the layout of the recorded ones, to run the whole protocol in seconds."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DAYS = 21
DAY = 1440


def write_plants(folder: Path, names: tuple[str, ...] = ("mill_A1", "mill_A2", "mill_B3")) -> None:
    """Two tags each, one of them rattling; nine faults that lift the quiet tag's level."""
    rows = []
    for name in names:
        number = int(name[-1])
        random = np.random.default_rng(number)
        minutes = np.arange(1, DAYS * DAY + 1)
        state = np.zeros(len(minutes), np.int8)
        quiet = random.normal(50.0, 1.0, len(minutes))
        rattling = random.normal(0.0, 1.0, len(minutes))
        rattling[5 * DAY :] += 2.5 * (random.random(len(minutes) - 5 * DAY) < 0.05)
        for place in range(9):
            start = 4 * DAY + 600 + place * 2500 + int(random.integers(0, 300))
            end = start + 240
            state[start:end], state[end : end + 60] = 3, -1
            quiet[start:end] += np.linspace(2.0, 9.0, 240)
            rows.append([number, "fault", 3, minutes[start] - 0.5, minutes[end] - 0.5, ""])
        rows.append([number, "instrument:spikes", 0, "", "", "XMEAS1"])
        table = {"minute": minutes.astype(np.int32), "XMEAS9": quiet, "XMEAS1": rattling}
        pq.write_table(pa.table({**table, "idv": state}), folder / f"{name}.parquet")
    with (folder / "events.csv").open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["factory", "kind", "idv", "start_min", "end_min", "tag"])
        writer.writerows(rows)
