"""The smaller loops: nuisance ranking (L2) and playbook choice (L4).

Registered for folders of recorded plants. Alarms are those of the engineer's rule E1; labels come
from the kept record, late. The choice of playbooks is on a made-up plant of its own, and says so.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np

from group_cloud.learning.backtest.engineer import ENGINEERS, told
from group_cloud.learning.backtest.fault_log import AFTER_MIN, LogQuality, keep_log
from group_cloud.learning.backtest.history import points_of
from group_cloud.learning.backtest.measure import auc
from group_cloud.learning.backtest.plant import DAY_MIN, Plant
from group_cloud.learning.backtest.sections import Job, Section, Shown, register
from group_cloud.learning.bandit import VariantChoice
from group_cloud.learning.linear_choice import LinearChoice
from group_cloud.learning.nuisance import NuisanceRanker, Occurrence

EVERY = 3
"""Every third alarm is judged: people do not judge all either."""
KEPT_SHARE = 0.99
LEARNING_MIN = 7 * DAY_MIN
ROUNDS, SEEDS = 3000, 5
REWARDS = {
    "pump": (0.75, 0.55, 0.85, 0.6), "valve": (0.6, 0.8, 0.55, 0.7),
    "reactor": (0.7, 0.6, 0.65, 0.9), "conveyor": (0.65, 0.85, 0.6, 0.55),
    "compressor": (0.6, 0.65, 0.8, 0.55), "boiler": (0.7, 0.75, 0.6, 0.84),
}  # fmt: skip
"""Made up: how often each of four variants succeeds on each kind of asset."""


@dataclass(frozen=True, slots=True)
class _Judged:
    occurrence: Occurrence
    at: float
    truth: int
    label: bool
    known: float


def occurrences(plant: Plant, quality: LogQuality) -> list[_Judged]:
    """E1's alarms as they came up, what was true, and what people said when."""
    rule = next(engineer for engineer in ENGINEERS if engineer.name == "E1")
    alarms = sorted(
        (float(r), float(c), f"{p.tag}.{p.side}")
        for p in points_of(plant, ("raw",))
        for r, c in zip(*told(rule, plant, p), strict=True)
    )
    log, patience = keep_log(plant, quality), (quality.late_days[1] + 1) * DAY_MIN
    hour: deque[tuple[float, str]] = deque()
    own: dict[str, deque[float]] = {}
    standing: list[float] = []
    found = []
    for number, (at, cleared, point) in enumerate(alarms):
        while hour and hour[0][0] < at - 60:
            hour.popleft()
        mine = own.setdefault(point, deque())
        while mine and mine[0] < at - 7 * DAY_MIN:
            mine.popleft()
        standing = [end for end in standing if end > at]
        if at >= plant.first_scored and number % EVERY == 0:
            seen = Occurrence(
                str(number), point, at - mine[-1] if mine else math.inf,
                sum(t >= at - 60 for t in mine), sum(t >= at - DAY_MIN for t in mine),
                len({p for t, p in hour if t >= at - 10 and p != point}),
                len({p for _, p in hour if p != point}), len(standing), len(mine) / 7,
            )  # fmt: skip
            row = min(int(np.searchsorted(plant.minutes, at)), len(plant.state) - 1)
            record = [e.written for e in log if e.start <= at <= e.end + AFTER_MIN]
            known = min(record) if record else at + patience
            found.append(_Judged(seen, at, int(plant.state[row]), not record, known))
        hour.append((at, point))
        mine.append(at)
        standing.append(cleared)
    return found


def run(job: Job) -> dict[str, Any]:
    """L2 on every scored plant, by itself: it is ranked before it is learnt."""
    each: dict[str, Any] = {}
    scores: list[tuple[float, int]] = []
    labels, spent = 0, 0.0
    for plant in job.scored:
        job.say(f"{plant.name}: nuisance")
        alarms = occurrences(plant, job.quality)
        begun = process_time()
        ranker, mine = NuisanceRanker(1), list[tuple[float, int]]()
        waiting = deque(sorted(alarms, key=lambda a: (a.known, a.at)))
        for alarm in alarms:
            while waiting and waiting[0].known <= alarm.at:
                late = waiting.popleft()
                ranker.learn_one(late.occurrence, late.label)
                labels += 1
            if alarm.at > plant.first_scored + LEARNING_MIN and alarm.truth >= 0:
                mine.append((ranker.score(alarm.occurrence), alarm.truth))
        spent += process_time() - begun
        each[plant.name] = {**figures(mine), "champion": ranker.champion}
        each[plant.name]["to_look_at"] = [
            {"point": p.point, "nuisance": p.nuisance, "of": p.labels} for p in ranker.propose()[:5]
        ]
        scores += mine
    return {
        "total": figures(scores),
        "factories": each,
        "label_events": labels,
        "label_events_per_s": round(labels / spent) if spent else None,
        "reference": {"removed_at_99_ceiling": 0.065},
        "note": "ranks only: every alarm stays where it is",
    }


def figures(scores: list[tuple[float, int]]) -> dict[str, Any]:
    """AUC, and what a cut that keeps 99 % of the true alarms would take off the list."""
    nuisance = np.array([s for s, truth in scores if truth == 0])
    true = np.array([s for s, truth in scores if truth > 0])
    if not len(nuisance) or not len(true):
        return {"alarms": len(scores), "auc": None}
    rank = np.unique(np.concatenate((nuisance, true)), return_inverse=True)[1]
    cut = np.quantile(true, KEPT_SHARE)
    return {
        "alarms": len(scores),
        "true": len(true),
        "auc": auc(rank[: len(nuisance)].tolist(), rank[len(nuisance) :].tolist()),
        "nuisance_below_99_of_true": round(float((nuisance > cut).mean()), 4),
    }


def run_choice(job: Job) -> dict[str, Any]:
    """L4 on a made-up plant: six kinds of assets, four variants, success only."""
    job.say("playbook choice (made up)")
    contexts, variants = list(REWARDS), ["a", "b", "c", "d"]
    default = float(np.mean([REWARDS[c][0] for c in contexts]))
    best = float(np.mean([max(REWARDS[c]) for c in contexts]))
    sums = {"thompson": 0.0, "thompson_last_half": 0.0, "linucb": 0.0}
    spent = 0.0
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        choice, linear = VariantChoice(seed), LinearChoice(len(contexts), seed=seed)
        begun = process_time()
        for turn in range(ROUNDS):
            place = int(random.integers(len(contexts)))
            context, luck = contexts[place], float(random.random())
            picked = choice.choose(context, variants)
            chance = REWARDS[context][variants.index(picked)]
            choice.learn_one((context, picked), float(luck < chance))
            sums["thompson"] += chance
            sums["thompson_last_half"] += 2 * chance * (turn >= ROUNDS // 2)
            one_hot = [float(i == place) for i in range(len(contexts))]
            picked = linear.choose(one_hot, variants)
            chance = REWARDS[context][variants.index(picked)]
            linear.learn_one((one_hot, picked), float(luck < chance))
            sums["linucb"] += chance
        spent += process_time() - begun
    return {
        "default": round(default, 3),
        "optimum": round(best, 3),
        **{name: round(total / ROUNDS / SEEDS, 3) for name, total in sums.items()},
        "floor_per_variant": VariantChoice().floor,
        "rounds": ROUNDS,
        "events_per_s_both": round(2 * ROUNDS * SEEDS / spent) if spent else None,
        "reference": {"default": 0.667, "thompson": 0.82, "optimum": 0.839},
        "made_up": "six contexts, four variants, independent outcomes; not from any plant",
    }


def show(data: dict[str, Any]) -> list[Shown]:
    """One row per factory."""
    head = ("", "n", "AUC", "保 99 % 真警时可后排 / ranked below 99 % of true")
    rows = tuple(
        (name, str(r["alarms"]), str(r["auc"]), str(r.get("nuisance_below_99_of_true")))
        for name, r in [("total", data["total"]), *data["factories"].items()]
    )
    return [Shown("无效报警排序 / nuisance ranking", head, rows)]


def show_choice(data: dict[str, Any]) -> list[Shown]:
    """One column."""
    rows = tuple((name, str(value)) for name, value in data.items() if name != "reference")
    return [Shown("预案选择(虚构) / playbook choice (made up)", ("", ""), rows)]


NUISANCE = register(Section("nuisance", "plants", run, show, order=200))
CHOICE = register(Section("choice", "plants", run_choice, show_choice, order=600))
