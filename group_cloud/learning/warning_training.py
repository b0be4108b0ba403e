"""Learns a family's windows one by one and says how good the learner was before it learnt them.

Called in the learning process with whole days, oldest first. Every window is scored by the model as
it was before any window of its day was learnt; those scores alone make the figures.
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Sequence

import numpy as np

from group_cloud.application.warning.ports import Learnt, Task, Window
from group_cloud.learning.warning import FALSE_SHARE, WarningLearner
from shared.messages.warning import FAULTY

DAY_MS = 86_400_000
SCORED = 4_000
"""Newest scores that the figures are made of."""
FIRST_SCORED = 128
"""Windows learnt before the first is scored: before that it knows no relations."""
Score = tuple[float, bool]


def learn(task: Task) -> Learnt:
    """Continue from the state, or begin; the same windows give the same result."""
    learner, scored, counts, faults = _begin(task)
    for _, group in itertools.groupby(task.windows, key=lambda each: (each.at - 1) // DAY_MS):
        day = list(group)
        if counts["windows"] >= FIRST_SCORED and counts["faulty"]:
            model = learner.freeze()
            scored += [(model.judge(vector_of(w)).logit, w.label == FAULTY) for w in day]
        for each in day:
            faulty = each.label == FAULTY
            learner.learn_one(vector_of(each), faulty)
            counts["windows"] += 1
            counts["faulty" if faulty else "normal"] += 1
            if faulty:
                faults.add(f"{each.site}/{each.fault}")
        counts["days"] += 1
    scored = scored[-SCORED:]
    state = {
        "learner": learner.snapshot(), "scored": [[logit, int(y)] for logit, y in scored],
        "counts": counts, "faults": sorted(faults),
    }  # fmt: skip
    found = {**{k: float(v) for k, v in counts.items()}, "faults": float(len(faults))}
    model = learner.freeze().to_dict()
    return Learnt(zlib.compress(json.dumps(state).encode(), 1), {**found, **figures(scored)}, model)


def _begin(task: Task) -> tuple[WarningLearner, list[Score], dict[str, int], set[str]]:
    if not task.state:
        counts: dict[str, int] = dict.fromkeys(("windows", "normal", "faulty", "days"), 0)
        return WarningLearner(task.tags), [], counts, set()
    state = json.loads(zlib.decompress(task.state))
    scored = [(logit, bool(y)) for logit, y in state["scored"]]
    return (
        WarningLearner.restore(state["learner"]), scored, state["counts"], set(state["faults"])
    )  # fmt: skip


def vector_of(window: Window) -> np.ndarray:
    """As the learner takes it."""
    return np.frombuffer(window.vector, "<f4").astype(float)


def figures(scored: Sequence[Score]) -> dict[str, float]:
    """AUC, and the share of faulty windows above what a tenth of the normal ones exceeds."""
    yes = [logit for logit, y in scored if y]
    no = [logit for logit, y in scored if not y]
    found = {"scored": float(len(scored)), "scored_faulty": float(len(yes))}
    if not yes or not no:
        return found
    limit = float(np.quantile(no, 1 - FALSE_SHARE))
    sensitivity = sum(logit > limit for logit in yes) / len(yes)
    return {
        **found, "auc": round(auc(yes, no), 4),
        "sensitivity": round(sensitivity, 4), "false_share": FALSE_SHARE,
    }  # fmt: skip


def auc(yes: Sequence[float], no: Sequence[float]) -> float:
    """How often a faulty window scores higher than a normal one; a tie is half."""
    quiet = np.sort(np.asarray(no))
    below = np.searchsorted(quiet, yes, side="left") + np.searchsorted(quiet, yes, side="right")
    return float(below.mean() / 2 / len(quiet))
