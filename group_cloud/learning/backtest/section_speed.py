"""How fast the threshold optimiser is and what it holds in memory, measured by the same command.

Registered for folders of recorded plants. It measures the first scored plant and says what the
figures mean.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np

from group_cloud.learning.backtest.history import count_point, empty_history
from group_cloud.learning.backtest.plant import DAY_MIN
from group_cloud.learning.backtest.protocol import WEEK_MIN, learn, optimizer_of, settled
from group_cloud.learning.backtest.sections import Job, Section, Shown, register

FACTORIES = 8


def run(job: Job) -> dict[str, Any]:
    """Label events per second, one weekly optimisation, memory for eight factories."""
    plant = job.scored[0]
    history = job.history(plant)
    job.say(f"{plant.name}: speed")
    first, last = float(plant.first_scored), float(plant.minutes[-1]) + 1
    fresh = optimizer_of(history)
    begun = job.clock()
    labels = learn(fresh, history, first, last)
    learning = job.clock() - begun
    others = [job.history(p) for p in job.plants if p.name != plant.name]
    group = [settled(other, job.tuning) for other in others]
    # One week, as it comes once a week: its counters, its labels, the joint choice.
    begun = job.clock()
    counted = empty_history(plant, history.log)
    for place in range(min(len(counted.points), 4)):
        count_point(counted, place)
    per_point = (job.clock() - begun) / max(1, min(len(counted.points), 4))
    weekly = optimizer_of(history, group, job.tuning)
    learn(weekly, history, first, last - WEEK_MIN)
    ids = list(weekly.points)
    begun = job.clock()
    learn(weekly, history, last - WEEK_MIN, last)
    weekly.propose(ids, np.full(len(ids), weekly.reference))
    push = job.clock() - begun
    return {
        "label_events": labels,
        "label_events_per_s": round(labels / learning) if learning else None,
        "candidates_per_point": len(history.points[0].grid),
        "points": len(ids),
        "weekly_optimisation_s": round(push, 2),
        "counting_all_days_s": round(per_point * len(ids), 2),
        "counted_days": int(plant.minutes[-1]) // DAY_MIN + 1,
        "memory_mb_for_8_factories": _memory(job),
    }


def _memory(job: Job) -> float:
    """Allocations of eight settled factories; the plants given take turns."""
    histories = [job.history(plant) for plant in job.plants]
    tracemalloc.start()
    held = [settled(histories[i % len(histories)], job.tuning) for i in range(FACTORIES)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(held) == FACTORIES
    return round(size / 1e6, 1)


def show(data: dict[str, Any]) -> list[Shown]:
    """One table."""
    rows = tuple((name, str(value)) for name, value in data.items())
    return [Shown("速度与内存 / speed and memory", ("", ""), rows)]


SPEED = register(Section("speed", "plants", run, show, order=900))
