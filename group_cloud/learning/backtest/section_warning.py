"""Early warning (L3) on factories it never saw, by frozen coefficients of the group.

Registered for folders of recorded plants. The group's labels come late, some are missing and some
are wrong; the scored factory's own labels are for scoring only.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
import numpy.typing as npt

from group_cloud.learning.backtest.fault_log import AFTER_MIN, LogQuality, keep_log
from group_cloud.learning.backtest.measure import auc
from group_cloud.learning.backtest.plant import DAY_MIN, Plant
from group_cloud.learning.backtest.sections import Job, Section, Shown, register
from group_cloud.learning.warning import WarningLearner
from shared.alarm.warning_model import WarningModel
from shared.alarm.warning_schema import WINDOW_MIN, schema_hash
from shared.alarm.warning_windows import Windows

SEED = 7
FALSE_SHARE = 0.1
BINS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
REFERENCE = {"auc": 0.873, "sensitivity": 0.68}


@dataclass(frozen=True, slots=True)
class Seen:
    """One plant as windows: their vectors, when they end, what was true (1 fault, 0 normal)."""

    name: str
    tags: tuple[str, ...]
    ends: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float64]
    truth: npt.NDArray[np.int8]
    fault: npt.NDArray[np.int64]
    """Which fault a window of truth 1 lies in."""


def see(plant: Plant) -> Seen:
    """The windows of a plant after commissioning that are a fault's or nothing's, whole."""
    tags = tuple(plant.tags)
    scale = [plant.commissioning(tag) for tag in tags]
    signal = np.stack([(plant.tags[t] - m) / s for t, (m, s) in zip(tags, scale, strict=True)], 1)
    windows = Windows(tags)
    last = int(plant.minutes[-1]) // WINDOW_MIN
    edges = np.searchsorted(plant.minutes, np.arange(last + 1) * WINDOW_MIN, side="right")
    ends, vectors, truth, faults = [], [], [], []
    starts = np.array([f.start for f in plant.faults])
    for place in range(last):
        rows = slice(edges[place], edges[place + 1])
        vector, state = windows.push(signal[rows]), plant.state[rows]
        end = (place + 1) * WINDOW_MIN
        if vector is None or end - WINDOW_MIN < plant.first_scored:
            continue
        normal = bool((state == 0).all())
        if normal or state[-1] > 0:
            ends.append(end)
            vectors.append(vector)
            truth.append(0 if normal else 1)
            faults.append(-1 if normal else int(np.searchsorted(starts, end)) - 1)
    return Seen(
        plant.name, tags, np.array(ends), np.array(vectors), np.array(truth, np.int8),
        np.array(faults),
    )  # fmt: skip


def labels(plant: Plant, seen: Seen, quality: LogQuality) -> list[tuple[float, int, bool]]:
    """(when it is known, window, fault?) as the kept record says it; what ran up is no label."""
    found = []
    log = keep_log(plant, quality)
    patience = (quality.late_days[1] + 1) * DAY_MIN
    for place, end in enumerate(seen.ends.tolist()):
        inside = [e for e in log if e.start < end <= e.end]
        after = any(e.end < end <= e.end + AFTER_MIN + WINDOW_MIN for e in log)
        if inside:
            found.append((min(e.written for e in inside), place, True))
        elif not after:
            found.append((end + patience, place, False))
    return found


def train(group: list[tuple[Plant, Seen]], quality: LogQuality) -> tuple[WarningLearner, int]:
    """The group's learner: labels of all its factories in the order in which they came."""
    learner = WarningLearner(group[0][1].tags, SEED)
    come = sorted(
        (at, which, place, label)
        for which, (plant, seen) in enumerate(group)
        for at, place, label in labels(plant, seen, quality)
    )
    for _, which, place, label in come:
        learner.learn_one(group[which][1].vectors[place], label)
    return learner, len(come)


def run(job: Job) -> dict[str, Any]:
    """Every scored factory under the frozen model of the others."""
    job.say("warning: windows")
    seen = {plant.name: see(plant) for plant in job.plants}
    late = {plant.name for plant in job.scored}
    everyone = len(late) == len(job.plants)
    rows: dict[str, Any] = {}
    pooled: list[tuple[Seen, Any]] = []
    total, spent = 0, 0.0
    for plant in job.scored:
        group = [
            (p, seen[p.name])
            for p in job.plants
            if p.name != plant.name and (everyone or p.name not in late)
            and seen[p.name].tags == seen[plant.name].tags
        ]  # fmt: skip
        if not group or not len(seen[plant.name].ends):
            continue
        job.say(f"{plant.name}: warning, a group of {len(group)}")
        begun = process_time()
        learner, many = train(group, job.quality)
        spent, total = spent + process_time() - begun, total + many
        model = WarningModel.from_dict(learner.freeze().to_dict())
        judged = judge(model, seen[plant.name])
        rows[plant.name] = figures([(seen[plant.name], judged)])
        pooled.append((seen[plant.name], judged))
    if not rows:
        return {"skipped": "no other factory with the same tags to learn from"}
    return {
        "total": figures(pooled),
        "factories": rows,
        "window_min": WINDOW_MIN,
        "feature_schema": schema_hash(pooled[0][0].tags),
        "label_events": total,
        "label_events_per_s": round(total / spent) if spent else None,
        "reference": REFERENCE,
    }


def judge(model: WarningModel, seen: Seen) -> npt.NDArray[np.float64]:
    """Log-odds, confidence, warning of every window."""
    found = [model.judge(vector) for vector in seen.vectors]
    return np.array([(w.logit, w.confidence, w.warns) for w in found]).reshape(-1, 3)


def figures(parts: list[tuple[Seen, Any]]) -> dict[str, Any]:
    """AUC and sensitivity of the windows, how many faults are warned of, and the calibration."""
    truth = np.concatenate([s.truth for s, _ in parts]).astype(bool)
    judged = np.concatenate([j for _, j in parts])
    logit, confidence, warns = judged[:, 0], judged[:, 1], judged[:, 2].astype(bool)
    if not truth.any() or truth.all():
        return {"windows": len(truth), "auc": None}
    # Each factory's own 10 %: what a threshold set on the spot would give.
    caught = [
        j[s.truth == 1, 0] > np.quantile(j[s.truth == 0, 0], 1 - FALSE_SHARE) for s, j in parts
    ]
    told, delays = _faults(parts)
    base = float(truth.mean())
    return {
        "windows": len(truth),
        "fault_windows": int(truth.sum()),
        "auc": _auc(logit, truth),
        "sensitivity_at_10": round(float(np.concatenate(caught).mean()), 4),
        "at_threshold": {
            "false_windows": round(float(warns[~truth].mean()), 4),
            "sensitivity": round(float(warns[truth].mean()), 4),
            "faults": len(told),
            "faults_warned": int(sum(told)),
            "median_delay_min": float(np.median(delays)) if delays else None,
        },
        "brier": round(float(((confidence - truth) ** 2).mean()), 4),
        "brier_of_base_rate": round(base * (1 - base), 4),
        "reliability": _reliability(confidence, truth),
    }


def _auc(logit: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> float | None:
    # Whole numbers, as the measure wants them, in the same order.
    rank = np.unique(logit, return_inverse=True)[1]
    return auc(rank[truth].tolist(), rank[~truth].tolist())


def _faults(parts: list[tuple[Seen, Any]]) -> tuple[list[bool], list[float]]:
    """Whether each fault was warned of while it lasted, and minutes from its first window on."""
    told, delays = [], []
    for seen, judged in parts:
        for fault in sorted(set(seen.fault[seen.fault >= 0].tolist())):
            inside = seen.fault == fault
            first = seen.ends[inside & (judged[:, 2] > 0)]
            told.append(bool(len(first)))
            if len(first):
                delays.append(float(first[0] - seen.ends[inside][0]))
    return told, delays


def _reliability(confidence: Any, truth: Any) -> list[dict[str, float | int]]:
    found = []
    for low, high in itertools.pairwise(BINS):
        inside = (confidence >= low) & ((confidence < high) | (high == 1.0))
        if inside.any():
            found.append(
                {
                    "from": low,
                    "to": high,
                    "windows": int(inside.sum()),
                    "said": round(float(confidence[inside].mean()), 3),
                    "was": round(float(truth[inside].mean()), 3),
                }
            )
    return found


def show(data: dict[str, Any]) -> list[Shown]:
    """Two tables: the figures per factory, and the calibration."""
    if "total" not in data:
        return []
    head = ("", "AUC", "灵敏度@10% / sensitivity", "误报窗 / false", "Brier", "基准 / base rate")
    rows = tuple(
        (
            name,
            str(row["auc"]),
            str(row.get("sensitivity_at_10")),
            str(row.get("at_threshold", {}).get("false_windows")),
            str(row.get("brier")),
            str(row.get("brier_of_base_rate")),
        )
        for name, row in [("total", data["total"]), *data["factories"].items()]
    )
    reference = ("given", str(REFERENCE["auc"]), str(REFERENCE["sensitivity"]), "", "", "")
    sure = tuple(
        (f"{b['from']}-{b['to']}", str(b["windows"]), str(b["said"]), str(b["was"]))
        for b in data["total"].get("reliability", [])
    )
    return [
        Shown("早期预警 / early warning", head, (*rows, reference)),
        Shown("置信度 / confidence", ("", "n", "说 / said", "是 / was"), sure),
    ]


WARNING = register(Section("warning", "plants", run, show, order=300))
