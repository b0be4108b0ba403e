"""Drift notices (L5) in the back-test: how many, of what, and how many by chance alone.

Registered for folders of recorded plants; daily means per tag in normal operation, one notice per
tag until it has been quiet for four weeks.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from group_cloud.learning.backtest.plant import DAY_MIN, Plant
from group_cloud.learning.backtest.sections import Job, Section, Shown, register
from group_cloud.learning.drift import QUIET, DriftWatch

SHUFFLES = 3
"""Orders in which the same days are told again: what is noticed there is chance."""


def run(job: Job) -> dict[str, Any]:
    """L5 on every scored plant."""
    found: dict[str, Any] = {}
    for plant in job.scored:
        job.say(f"{plant.name}: drift")
        days = {tag: daily(plant, tag) for tag in plant.tags}
        notices = noticed(days)
        tags = sorted({tag for tag, _ in notices})
        known = instruments(job, plant)
        found[plant.name] = {
            "tags": len(days),
            "tags_noticed": tags,
            "notices": len(notices),
            "first": [{"tag": tag, "day": day} for tag, day in notices[:5]],
            "drifting_instruments": known,
            "drifting_noticed": sum(tag in tags for tag in known),
            "notices_in_shuffled_days": _by_chance(days),
        }
    each = found.values()
    return {
        "factories": found,
        "total": {
            "tags": sum(f["tags"] for f in each),
            "tags_noticed": sum(len(f["tags_noticed"]) for f in each),
            "notices": sum(f["notices"] for f in each),
            "drifting": sum(len(f["drifting_instruments"]) for f in each),
            "drifting_noticed": sum(f["drifting_noticed"] for f in each),
            "notices_in_shuffled_days": round(sum(f["notices_in_shuffled_days"] for f in each), 1),
        },
        "quiet_days": QUIET,
        "note": "a notice asks for a person; it moves no limit",
    }


def daily(plant: Plant, tag: str) -> list[tuple[int, float]]:
    """(day, mean in sigmas of commissioning) of every day with enough normal operation."""
    day = plant.minutes // DAY_MIN
    last = int(day[-1])
    mean, sigma = plant.commissioning(tag)
    good = (plant.state == 0) & np.isfinite(plant.tags[tag])
    many = np.bincount(day[good], minlength=last + 1)
    sums = np.bincount(
        day[good], weights=(plant.tags[tag][good] - mean) / sigma, minlength=last + 1
    )
    return [(d, float(sums[d] / many[d])) for d in np.flatnonzero(many > DAY_MIN // 4).tolist()]


def noticed(days: dict[str, list[tuple[int, float]]]) -> list[tuple[str, int]]:
    """(tag, day) of every notice."""
    watch = DriftWatch()
    return [
        (tag, day)
        for tag, known in days.items()
        for day, value in known
        if watch.learn_one((tag, "residual", day), value)
    ]


def _by_chance(days: dict[str, list[tuple[int, float]]]) -> float:
    """Notices if the same days had come in another order, in which nothing drifts; the mean."""
    random = np.random.default_rng(1)

    def shuffled(known: list[tuple[int, float]]) -> Iterable[float]:
        return random.permutation([value for _, value in known]).tolist()

    counts = [
        len(
            noticed(
                {
                    tag: [(d, v) for (d, _), v in zip(known, shuffled(known), strict=True)]
                    for tag, known in days.items()
                }
            )
        )
        for _ in range(SHUFFLES)
    ]
    return sum(counts) / SHUFFLES


def instruments(job: Job, plant: Plant) -> list[str]:
    """Tags whose calibration drifts, by the record of events; for scoring only."""
    file = job.data / "events.csv"
    number = re.findall(r"\d+", plant.name)
    if not file.is_file() or not number:
        return []
    with file.open(encoding="utf-8", newline="") as opened:
        return sorted(
            row["tag"]
            for row in csv.DictReader(opened)
            if row.get("kind") == "instrument:drift" and row["factory"] == str(int(number[-1]))
        )


def show(data: dict[str, Any]) -> list[Shown]:
    """One row per factory."""
    head = (
        "", "n", "漂移仪表 / drifting", "打乱日序 / days shuffled", "位号 / tags",
    )  # fmt: skip
    rows = tuple(
        (
            name,
            str(r["notices"]),
            f"{r['drifting_noticed']} / {len(r['drifting_instruments'])}",
            f"{r['notices_in_shuffled_days']:.1f}",
            ", ".join(r["tags_noticed"]),
        )
        for name, r in data["factories"].items()
    )
    return [Shown("漂移提示 / drift notices", head, rows)]


DRIFT = register(Section("drift", "plants", run, show, order=500))
