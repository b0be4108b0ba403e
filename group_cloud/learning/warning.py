"""The plant event model (L3): learns from labelled windows when something begins to go wrong.

Called by the trainer and the back-test with vectors of `Windows` and what people recorded later.
It warns; it sets no limit, and its frozen model is what goes down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from group_cloud.learning.contract import UnlabelledError, checked_schema, packed, unpacked
from group_cloud.learning.replay_memory import BalancedReplay
from group_cloud.learning.river_models import (
    Logistic,
    Scaler,
    logistic_data,
    logistic_of,
    scaler_data,
    scaler_of,
)
from shared.alarm.warning_model import (
    CLIP,
    RIDGE,
    Array,
    Relation,
    WarningModel,
    features,
    many_features,
)

SCHEMA = "warning-learner/v1"
RATE, L2, AVERAGING = 0.002, 1e-3, 0.0005
FIRST_RELATIONS = 128
"""Normal windows after which the relations are first computed; then each time they doubled."""
HELD = 4000
"""Newest predictions made before the label was learnt: for threshold and calibration."""
FALSE_SHARE = 0.1


_NO_ROW: Array = np.zeros(0)


class _Known:
    """A remembered window: its vector, and its features under the relations of a version."""

    __slots__ = ("row", "vector", "version")

    def __init__(self, vector: Array) -> None:
        self.vector, self.version, self.row = vector.astype(np.float32), -1, _NO_ROW


class _Moments:
    """Mean and covariance of the vectors of normal windows."""

    def __init__(self, tags: int) -> None:
        self.count, self.total, self.outer = 0, np.zeros(tags), np.zeros((tags, tags))

    def learn(self, x: Array) -> None:
        x = np.clip(x, -CLIP, CLIP)
        self.count += 1
        self.total += x
        self.outer += np.outer(x, x)

    def relation(self) -> Relation:
        many = len(self.total)
        if self.count < FIRST_RELATIONS:
            return Relation(np.zeros(many), np.ones(many), np.eye(many))
        mean = self.total / self.count
        covariance = self.outer / self.count - np.outer(mean, mean)
        sigma = np.sqrt(np.maximum(np.diag(covariance), 1e-6))
        correlation = covariance / np.outer(sigma, sigma)
        inverse = np.linalg.inv(correlation + RIDGE * np.eye(many))
        return Relation(mean, sigma, np.asarray(inverse, np.float64))


class WarningLearner:
    """StandardScaler and LogisticRegression on windows of all tags, with balanced replay."""

    def __init__(self, tags: Sequence[str], seed: int = 0) -> None:
        self.tags = tuple(tags)
        self.many = many_features(len(self.tags))
        self.replay: BalancedReplay[_Known] = BalancedReplay(seed)
        self._moments = (_Moments(len(self.tags)), _Moments(len(self.tags)))
        self._scaler, self._model = Scaler(self.many), Logistic(self.many, RATE, L2, AVERAGING)
        self._tested: deque[tuple[float, bool]] = deque(maxlen=HELD)
        self._next = FIRST_RELATIONS
        self._relate()

    def learn_one(self, x: npt.ArrayLike, y: bool | None) -> None:
        """Take a window's vector and whether a fault was recorded for it.

        Raises UnlabelledError when nobody has said anything of it.
        """
        if y is None:
            raise UnlabelledError("a window that nobody has judged")
        known = _Known(self._vector(x))
        if not y:
            self._normal(known.vector.astype(float))
        row = self._row(known)
        self._scaler.learn_one(row)
        drawn = list(self.replay.drawn())
        rows = self._scaler.transform(np.array([row, *(self._row(old) for old, _ in drawn)]))
        self._tested.append((self._model.logit(rows[0]), bool(y)))
        self._model.learn(rows, [bool(y), *(label for _, label in drawn)])
        self.replay.add(known, bool(y))

    def score(self, x: npt.ArrayLike) -> float:
        """Calibrated share of such windows that were in a fault."""
        return self.freeze().judge(self._vector(x)).confidence

    def freeze(self) -> WarningModel:
        """The model as it would be sent down now."""
        sigma = np.sqrt(self._scaler.variance)
        # Like the scaler: a feature that never varied is passed over.
        varied = sigma > 0
        weights = np.where(varied, self._model.averaged, 0.0)
        slope, offset = calibration(self._tested)
        quiet = [logit for logit, label in self._tested if not label]
        return WarningModel(
            self.tags,
            self._relations,
            self._scaler.mean.copy(),
            np.where(varied, sigma, 1.0),
            weights,
            self._model.level,
            float(np.quantile(quiet, 1 - FALSE_SHARE)) if quiet else 0.0,
            slope,
            offset,
        )

    def _vector(self, x: npt.ArrayLike) -> Array:
        vector = np.asarray(x, float)
        if vector.shape != (4 * len(self.tags),) or not np.isfinite(vector).all():
            raise ValueError(f"not a vector over {len(self.tags)} tags: {vector.shape}")
        return vector

    def _normal(self, vector: Array) -> None:
        deviation, slope = vector.reshape(4, -1)[:2]
        self._moments[0].learn(deviation)
        self._moments[1].learn(slope)
        if self._moments[0].count >= self._next:
            self._next *= 2
            self._relate()

    def _relate(self) -> None:
        self._version = self._next
        self._relations = (self._moments[0].relation(), self._moments[1].relation())

    def _row(self, known: _Known) -> Array:
        if known.version != self._version:
            vector = known.vector.astype(float)
            known.row = np.array(features(vector, self._relations))
            known.version = self._version
        return known.row

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data."""
        vectors = 4 * len(self.tags)
        return {
            "schema": SCHEMA,
            "tags": list(self.tags),
            "scaler": scaler_data(self._scaler),
            "model": logistic_data(self._model),
            "moments": [
                {"count": m.count, "total": packed(m.total), "outer": packed(m.outer)}
                for m in self._moments
            ],
            "relations": [
                {"mean": packed(r.mean), "sigma": packed(r.sigma), "inverse": packed(r.inverse)}
                for r in self._relations
            ],
            "next": self._next,
            "tested": [[logit, int(label)] for logit, label in self._tested],
            "replay": self.replay.snapshot(
                lambda kept: packed(np.array([k.vector for k in kept]).reshape(-1, vectors))
            ),
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> WarningLearner:
        """The learner that `snapshot` wrote; raises ValueError."""
        checked_schema(data, SCHEMA)
        found = cls(data["tags"])
        found._scaler = scaler_of(data["scaler"])
        found._model = logistic_of(data["model"], found.many, RATE, L2, AVERAGING)
        for moments, held in zip(found._moments, data["moments"], strict=True):
            moments.count = held["count"]
            moments.total, moments.outer = unpacked(held["total"]), unpacked(held["outer"])
        first, second = (
            Relation(unpacked(r["mean"]), unpacked(r["sigma"]), unpacked(r["inverse"]))
            for r in data["relations"]
        )
        found._relations, found._next, found._version = (first, second), data["next"], data["next"]
        found._tested.extend((logit, bool(label)) for logit, label in data["tested"])
        found.replay = BalancedReplay.restore(
            data["replay"], lambda body: [_Known(v) for v in unpacked(body)]
        )
        return found


def calibration(tested: Iterable[tuple[float, bool]]) -> tuple[float, float]:
    """Platt's slope and offset by Newton's method; identity while a label is wanting."""
    tested = list(tested)
    logits = np.array([logit for logit, _ in tested])
    labels = np.array([label for _, label in tested], bool)
    yes, no = int(labels.sum()), int((~labels).sum())
    if not yes or not no:
        return 1.0, 0.0
    target = np.where(labels, (yes + 1) / (yes + 2), 1 / (no + 2))
    table = np.stack((logits, np.ones(len(logits))))
    found = np.array([1.0, float(np.log((yes + 1) / (no + 1)))])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(found @ table, -50, 50)))
        gradient = table @ (p - target)
        curve = (table * (p * (1 - p))) @ table.T + 1e-6 * np.eye(2)
        step = np.linalg.solve(curve, gradient)
        found = found - np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-8:
            break
    return max(0.0, float(found[0])), float(found[1])
