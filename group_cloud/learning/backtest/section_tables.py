"""Tables of rows with labels: a classifier that learns from late and partly wrong feedback, limits.

Registered for a single table; columns tell what it is. It says with every figure by which protocol
it came about, beside what is known from elsewhere.
"""

from __future__ import annotations

from collections import deque
from time import process_time
from typing import Any

import numpy as np
import numpy.typing as npt

from group_cloud.learning.backtest import table_limits
from group_cloud.learning.backtest.sections import Job, Section, Shown, register
from group_cloud.learning.backtest.table_rows import LONG, Series, read_series
from group_cloud.learning.linear import ReplayedLogistic

ORDERS = 5
WRONG = 0.1
EVERY, ASK = 10, 5
"""Feedback is given on every tenth row; a row is judged on every fifth, and holds until then."""
L2, RATE, AVERAGING = 1e-2, 0.005, 0.005
FEWEST = 500
"""Labels before the classifier is trusted; until then three sigmas on any tag decide."""
LATE_ROWS = 300
PROTOCOL = (
    "Rows after the first {first} of each series that has an anomaly (a long series: after 15 %), "
    "which give each tag its mean and sigma. Series in {orders} orders (by time, then shuffled), "
    "each judged before anything of it is learnt. Feedback on every 10th row, 10 % of it wrong, "
    "known only {late}. Every fifth row is judged and holds for four more. Until {fewest} labels, "
    "three sigmas on any tag decide."
)
LIMITS_PROTOCOL = (
    "Alarm points of either side on each tag over the same rows. plain: 3 sigma. "
    "deadband_delays: 3 sigma, 1 sigma deadband, on 5 s, off 30 s. learned: begins as that, then "
    "one candidate of 192 per point, chosen jointly on the record of the series before (10 % "
    "unrecorded, 10 % phantom). Missed: no alarm of 5 s or more begins inside the anomaly."
)
KNOWN = {
    "skab": {
        "always_alarm_f1": 0.698,
        "leaderboard_best_f1": 0.78,
        "logistic_replay_f1": 0.793,
        "plain_false_per_hour": 97.6,
        "deadband_delays_false_per_hour": 5.5,
        "plain_missed": "7 of 140",
        "learned_missed": "5 of 140",
        "learned_false_per_hour": "-88 % of plain",
    }
}
"""Figures of others on the same data; their protocols are theirs."""


def run(job: Job) -> dict[str, Any]:
    """Classifier and limits."""
    series, tags = read_series(job.columns)
    scored = [one for one in series if one.truth[one.first :].any()]
    found: dict[str, Any] = {
        "tags": len(tags),
        "series": len(series),
        "scored_series": len(scored),
        "rows": sum(len(one.truth) - one.first for one in scored),
    }
    if not scored:
        return {**found, "skipped": "no series with an anomaly after its start"}
    orders = [np.arange(len(scored))] + [
        np.random.default_rng(turn).permutation(len(scored)) for turn in range(1, ORDERS)
    ]
    truth = np.concatenate([one.truth[one.first :] for one in scored])
    plain = np.concatenate([_plain(one)[one.first :] for one in scored])
    found["always_alarm_f1"] = f1(truth, np.ones(len(truth), bool))
    found["three_sigma_f1"] = f1(truth, plain)
    for name, late in (("after_series", None), ("late_rows", LATE_ROWS)):
        job.say(f"tables: classifier, feedback {name}")
        found[f"logistic_{name}"] = _classified(scored, orders, late)
    job.say("tables: limits")
    if max(len(one.truth) for one in scored) < LONG:
        found["limits"] = table_limits.compare(scored, orders)
        found["limits"]["protocol"] = LIMITS_PROTOCOL
    known = KNOWN.get(job.data.stem.lower())
    if known:
        found["reference"] = known
    return found


def _classified(
    scored: list[Series], orders: list[npt.NDArray[np.int_]], late: int | None
) -> dict[str, Any]:
    each, labels, begun = [], 0, process_time()
    for turn, order in enumerate(orders):
        width = scored[0].seen.shape[1]
        model = ReplayedLogistic(width, turn, RATE, L2, averaging=AVERAGING)
        stream = _Stream(model, np.random.default_rng([turn, 7]), late)
        said = [stream.series(scored[place]) for place in order]
        truth = np.concatenate([scored[p].truth[scored[p].first :] for p in order])
        each.append(f1(truth, np.concatenate(said)))
        labels += stream.labels
    spent = process_time() - begun
    when = "after the series has ended" if late is None else f"{late} rows later"
    return {
        "f1": round(float(np.mean(each)), 4),
        "f1_by_order": each,
        "label_events": labels,
        "label_events_per_s_with_judging": round(labels / spent) if spent else None,
        "protocol": PROTOCOL.format(first=400, orders=len(orders), late=when, fewest=FEWEST),
    }


class _Stream:
    """One pass over the series: judge, then learn what has become known."""

    def __init__(self, model: ReplayedLogistic, random: np.random.Generator, late: int | None):
        self.model, self.random, self.late = model, random, late
        self.labels = 0

    def series(self, one: Series) -> npt.NDArray[np.bool_]:
        """What was said of the scored rows."""
        wait: deque[tuple[int, npt.NDArray[np.float64], bool]] = deque()
        said, plain, now = np.zeros(len(one.truth), bool), _plain(one), False
        for row in range(len(one.truth)):
            while wait and self.late is not None and wait[0][0] <= row:
                self._learn(*wait.popleft()[1:])
            if row >= one.first:
                if self.labels < FEWEST:
                    now = bool(plain[row])
                elif (row - one.first) % ASK == 0:
                    now = self.model.logit(one.seen[row].tolist()) > 0
                said[row] = now
            if row % EVERY == 0 and row >= 60:
                label = bool(one.truth[row]) ^ bool(self.random.random() < WRONG)
                wait.append((row + (self.late or 0), one.seen[row], label))
        for _, x, label in wait:
            self._learn(x, label)
        return said[one.first :]

    def _learn(self, x: npt.NDArray[np.float64], label: bool) -> None:
        self.model.learn_one(x.tolist(), label)
        self.labels += 1


def _plain(one: Series) -> npt.NDArray[np.bool_]:
    return np.asarray((np.abs(one.z) > 3).any(axis=1))


def f1(truth: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> float:
    """F1 of rows."""
    right = int((truth & said).sum())
    wrong = int((truth != said).sum())
    return round(2 * right / (2 * right + wrong), 4) if right else 0.0


def show(data: dict[str, Any]) -> list[Shown]:
    """F1 beside the references, then limits."""
    known = data.get("reference", {})
    shown = []
    if "always_alarm_f1" in data:
        rows = (
            ("always", str(data["always_alarm_f1"]), str(known.get("always_alarm_f1", ""))),
            ("3 sigma", str(data["three_sigma_f1"]), ""),
            *(
                (name, str(data[name]["f1"]), str(known.get("logistic_replay_f1", "")))
                for name in ("logistic_after_series", "logistic_late_rows")
            ),
        )
        shown.append(Shown("F1", ("", "F1", "参考 / reference"), rows))
        shown.append(
            Shown("规程 / protocol", ("",), ((data["logistic_after_series"]["protocol"],),))
        )
    if "limits" in data:
        limits = {n: v for n, v in data["limits"].items() if n != "protocol"}
        head = ("", "误报/h / false", "漏报 / missed", "参考 / reference")
        table = tuple(
            (
                name,
                str(row["false_per_hour"]),
                f"{row['missed']} / {row['anomalies']}",
                f"{known.get(name + '_false_per_hour', '')} {known.get(name + '_missed', '')}",
            )
            for name, row in limits.items()
        )
        shown.append(Shown("报警限 / limits", head, table))
        shown.append(Shown("规程 / protocol", ("",), ((data["limits"]["protocol"],),)))
    return shown


TABLES = register(Section("table", "table", run, show, order=100))
