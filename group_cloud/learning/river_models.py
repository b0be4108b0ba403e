"""StandardScaler and LogisticRegression on vectors, with their state as plain data.

Imported by the group's classifiers only. The maths, loss and optimiser are River's; rows are
vectors of one length, not dictionaries, because a label costs five steps over a hundred features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from river.optim.losses import Log
from river.optim.sgd import SGD

Array = npt.NDArray[np.float64]
CLIP_GRADIENT = 1e12
_LOSS = Log()


class Scaler:
    """River's StandardScaler: running means and variances; what never varied becomes 0."""

    __slots__ = ("_divisor", "count", "mean", "variance")

    def __init__(self, many: int) -> None:
        self.count, self.mean, self.variance = 0, np.zeros(many), np.zeros(many)
        self._divisor: Array | None = None

    def learn_one(self, x: Array) -> None:
        """Take one row."""
        self.count += 1
        before = x - self.mean
        self.mean += before / self.count
        before *= x - self.mean
        before -= self.variance
        before /= self.count
        self.variance += before
        self._divisor = None

    def transform(self, rows: Array) -> Array:
        """One row, or rows below one another, in the deviations known so far."""
        if self._divisor is None:
            self._divisor = np.sqrt(self.variance)
            self._divisor[self._divisor == 0] = np.inf
        return (rows - self.mean) / self._divisor


class Logistic:
    """River's LogisticRegression by plain SGD, judged by the average of its last weights.

    A step moves the weights by what one label happened to be; their average over the newest labels
    (Polyak and Ruppert) does not jump with it. `averaging` is the share of the newest weights in
    it: 1 is no average, a thousandth reaches over some thousand labels.
    """

    __slots__ = (
        "averaged", "averaging", "intercept", "l2", "labels", "level", "optimizer", "rate",
        "weights",
    )  # fmt: skip

    def __init__(self, many: int, rate: float, l2: float, averaging: float = 1.0) -> None:
        self.rate, self.l2, self.averaging = rate, l2, averaging
        self.weights, self.intercept = np.zeros(many), 0.0
        self.averaged, self.level, self.labels = np.zeros(many), 0.0, 0
        self.optimizer = SGD(rate)

    def logit(self, x: Array) -> float:
        """Log-odds that the label is true, by the average."""
        return float(self.averaged.dot(x)) + self.level

    def learn(self, rows: Array, labels: Sequence[bool]) -> None:
        """One step on every scaled row, for one new label and what is remembered with it."""
        for x, y in zip(rows, labels, strict=True):
            self._step(x, y)
        self.labels += 1
        share = max(self.averaging, 1 / self.labels)
        self.averaged += share * (self.weights - self.averaged)
        self.level += share * (self.intercept - self.level)

    def _step(self, x: Array, y: bool) -> None:
        slope = _LOSS.gradient(y, float(self.weights.dot(x)) + self.intercept)
        slope = min(max(float(slope), -CLIP_GRADIENT), CLIP_GRADIENT)
        self.intercept -= self.rate * slope
        gradient = slope * x
        if self.l2:
            gradient += self.l2 * self.weights
        self.optimizer.step(self.weights, gradient)


def scaler_data(scaler: Scaler) -> list[list[float]]:
    """Count, mean and variance of every feature."""
    counts = [float(scaler.count)] * len(scaler.mean)
    return [counts, scaler.mean.tolist(), scaler.variance.tolist()]


def scaler_of(data: list[list[float]]) -> Scaler:
    """Read what `scaler_data` wrote."""
    counts, means, variances = data
    found = Scaler(len(means))
    found.count = int(counts[0]) if counts else 0
    found.mean, found.variance = np.array(means, float), np.array(variances, float)
    return found


def logistic_data(model: Logistic) -> dict[str, Any]:
    """Weights, intercept and the count of steps, and the averages with the count of labels."""
    steps = int(model.optimizer.n_iterations)
    return {
        "weights": model.weights.tolist() if steps else [],
        "intercept": float(model.intercept),
        "steps": steps,
        "averaged": model.averaged.tolist() if steps else [],
        "level": float(model.level),
        "labels": model.labels,
    }


def logistic_of(
    data: dict[str, Any], many: int, rate: float, l2: float, averaging: float = 1.0
) -> Logistic:
    """Read what `logistic_data` wrote; what was written before there were averages is its own."""
    model = Logistic(many, rate, l2, averaging)
    if data["weights"]:
        model.weights = np.array(data["weights"], float)
        model.averaged = np.array(data.get("averaged", data["weights"]), float)
    model.intercept, model.optimizer.n_iterations = float(data["intercept"]), int(data["steps"])
    model.level = float(data.get("level", data["intercept"]))
    model.labels = int(data.get("labels", data["steps"]))
    return model
