"""StandardScaler and LogisticRegression with class-balanced replay: one classifier for all uses.

Called by the nuisance ranker and by tables with labels; it learns from labels only and limits
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from group_cloud.learning.contract import checked_schema, packed, unpacked
from group_cloud.learning.replay_memory import DRAWS, PER_CLASS, BalancedReplay
from group_cloud.learning.river_models import (
    logistic_data,
    logistic_of,
    new_logistic,
    new_scaler,
    scaler_data,
    scaler_of,
)

SCHEMA = "replayed-logistic/v1"
RATE, L2 = 0.01, 1e-4
Row = dict[int, float]


class ReplayedLogistic:
    """`learn_one(x, y)` with x a list of numbers in a fixed order and y what people said."""

    def __init__(
        self,
        features: int,
        seed: int = 0,
        rate: float = RATE,
        l2: float = L2,
        per_class: int = PER_CLASS,
        draws: int = DRAWS,
    ) -> None:
        self.features, self.rate, self.l2 = features, rate, l2
        self.replay: BalancedReplay[Row] = BalancedReplay(seed, per_class, draws)
        self._scaler, self._model = new_scaler(), new_logistic(rate, l2)

    def learn_one(self, x: Sequence[float], y: bool) -> None:
        """Take one labelled row, and a few remembered ones of both classes."""
        row = self._row(x)
        self._scaler.learn_one(row)
        self._step(row, y)
        for old, label in self.replay.drawn():
            self._step(old, label)
        self.replay.add(row, y)

    def logit(self, x: Sequence[float]) -> float:
        """Log-odds that the label is true, classes taken as equally frequent."""
        return float(self._model._raw_dot_one(self._scaler.transform_one(self._row(x))))

    def score(self, x: Sequence[float]) -> float:
        """The same as a number from 0 to 1."""
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, self.logit(x)))))

    def parts(self, x: Sequence[float]) -> list[float]:
        """What each feature adds to the log-odds."""
        scaled, weights = self._scaler.transform_one(self._row(x)), self._model.weights
        return [weights.get(i, 0.0) * scaled[i] for i in range(self.features)]

    def _row(self, x: Sequence[float]) -> Row:
        if len(x) != self.features:
            raise ValueError(f"{len(x)} features, not {self.features}")
        row = dict(enumerate(map(float, x)))
        if not all(map(math.isfinite, row.values())):
            raise ValueError("a feature is no finite number")
        return row

    def _step(self, row: Row, y: bool) -> None:
        self._model.learn_one(self._scaler.transform_one(row), y)

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data."""
        many = self.features
        return {
            "schema": SCHEMA,
            "features": many,
            "rate": self.rate,
            "l2": self.l2,
            "scaler": scaler_data(self._scaler, many),
            "model": logistic_data(self._model, many),
            "replay": self.replay.snapshot(
                lambda rows: packed(np.array([list(r.values()) for r in rows]).reshape(-1, many))
            ),
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> ReplayedLogistic:
        """The classifier that `snapshot` wrote; raises ValueError."""
        checked_schema(data, SCHEMA)
        found = cls(data["features"], 0, data["rate"], data["l2"])
        found._scaler = scaler_of(data["scaler"])
        found._model = logistic_of(data["model"], found.rate, found.l2)
        found.replay = BalancedReplay.restore(
            data["replay"], lambda body: [dict(enumerate(row)) for row in unpacked(body).tolist()]
        )
        return found
