"""Streams for the learners of events: rows, windows, episodes, alarms, rates, runs; all made up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from group_cloud.learning.drift import Kind
from group_cloud.learning.floods import Alarm, Episode
from group_cloud.learning.nuisance import Occurrence

TAGS = ("T1", "T2", "T3", "T4")


def labelled_rows(seed: int, n: int) -> Iterator[tuple[list[float], bool]]:
    """The first number tells, the others do not; one label in six is true."""
    random = np.random.default_rng(seed)
    for _ in range(n):
        true = bool(random.random() < 1 / 6)
        x = random.normal(0, 1, 3)
        x[0] += 2.0 * true
        yield x.tolist(), true


def labelled_windows(seed: int, n: int) -> Iterator[tuple[Any, bool]]:
    """A fault moves two tags away from where the others say that they should be."""
    random = np.random.default_rng(seed)
    for _ in range(n):
        true = bool(random.random() < 0.25)
        common = random.normal(0, 1)
        level = common + random.normal(0, 0.3, 4) + np.array([1.5, -1.5, 0, 0]) * true
        slope, spread = random.normal(0, 0.5, 4), random.normal(0, 0.2, 4)
        yield np.concatenate((level, slope, np.log1p(np.abs(level)), spread)), true


def flood(cause: int, number: int, seed: int = 1) -> Episode:
    """Each cause has its own first-out and followers, among alarms that always rattle."""
    random = np.random.default_rng([seed, cause, number])
    alarms = [Alarm(f"P{cause}.HI", 0.0, 150.0), Alarm(f"Q{cause}.LO", 4.0 + random.random(), None)]
    alarms += [Alarm(f"R{cause % 2}.HI", 8.0 + 4 * random.random(), 90.0)]
    alarms += [Alarm(f"N{i}.HI", float(random.uniform(0, 170)), None) for i in range(3)]
    site = f"site-{number % 4}"
    return Episode(
        f"{site}/{cause}/{number}", site, number * 1000, f"cause {cause}", "valve closed", 45.0,
        tuple(alarms),
    )  # fmt: skip


def episodes(seed: int, n: int) -> Iterator[tuple[Episode, str]]:
    """Five causes in turn."""
    for number in range(n):
        episode = flood(number % 5, number, seed)
        yield episode, episode.cause


def judged_alarms(seed: int, n: int) -> Iterator[tuple[Occurrence, bool]]:
    """A point that rattles is nuisance; one among many others is not."""
    random = np.random.default_rng(seed)
    for number in range(n):
        nuisance = bool(random.random() < 0.8)
        many = int(random.poisson(1 if nuisance else 8))
        often = int(random.poisson(12 if nuisance else 2))
        since = float(random.exponential(5 if nuisance else 600)) if number else math.inf
        yield (
            Occurrence(
                f"{seed}-{number}", f"P{number % 5 if nuisance else 5}", since, often, often * 6,
                many, many * 2, many, 40.0 if nuisance else 3.0,
            ),
            nuisance,
        )  # fmt: skip


def daily_rates(seed: int, n: int) -> Iterator[tuple[tuple[str, Kind], float]]:
    """Six streams, more than are kept; one of them steps up half-way."""
    random = np.random.default_rng(seed)
    for day in range(n):
        for key in "AABBCDE":
            kind: Kind = "residual" if key == "B" else "alarm_rate"
            step = 6.0 if key == "A" and day > n // 2 else 0.0
            yield (key, kind), float(random.normal(10 + step, 1))


def playbook_runs(seed: int, n: int) -> Iterator[tuple[tuple[str, str], float]]:
    """Variant a is better on pumps, b on valves; more contexts than are kept."""
    random = np.random.default_rng(seed)
    for number in range(n):
        context = ("pump", "valve", "pump", "valve", "mixer", "oven")[number % 6]
        variant = "ab"[int(random.integers(2))]
        good = (context == "pump") == (variant == "a")
        yield (context, variant), float(random.random() < (0.9 if good else 0.4))


def linear_runs(seed: int, n: int) -> Iterator[tuple[tuple[list[float], str], float]]:
    """The same as numbers."""
    for (context, variant), worth in playbook_runs(seed, n):
        yield ([float(context == "pump"), float(context != "pump")], variant), worth
