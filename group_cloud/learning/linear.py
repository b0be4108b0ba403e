"""StandardScaler and LogisticRegression with class-balanced replay: one classifier for all uses.

Called by the nuisance ranker and by tables with labels; it learns from labels only and limits
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from group_cloud.learning.contract import checked_schema, packed, unpacked
from group_cloud.learning.replay_memory import DRAWS, PER_CLASS, BalancedReplay
from group_cloud.learning.river_models import (
    Array,
    Logistic,
    Scaler,
    logistic_data,
    logistic_of,
    scaler_data,
    scaler_of,
)

SCHEMA = "replayed-logistic/v1"
RATE, L2 = 0.01, 1e-4


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
        averaging: float = 1.0,
    ) -> None:
        self.features, self.rate, self.l2, self.averaging = features, rate, l2, averaging
        self.replay: BalancedReplay[Array] = BalancedReplay(seed, per_class, draws)
        self._scaler, self._model = Scaler(features), Logistic(features, rate, l2, averaging)

    def learn_one(self, x: npt.ArrayLike, y: bool) -> None:
        """Take one labelled row, and a few remembered ones of both classes."""
        row = self._row(x)
        self._scaler.learn_one(row)
        drawn = list(self.replay.drawn())
        rows = self._scaler.transform(np.array([row, *(old for old, _ in drawn)]))
        self._model.learn(rows, [y, *(label for _, label in drawn)])
        self.replay.add(row, y)

    def logit(self, x: npt.ArrayLike) -> float:
        """Log-odds that the label is true, classes taken as equally frequent."""
        return self._model.logit(self._scaler.transform(self._row(x)))

    def score(self, x: npt.ArrayLike) -> float:
        """The same as a number from 0 to 1."""
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, self.logit(x)))))

    def parts(self, x: Sequence[float]) -> list[float]:
        """What each feature adds to the log-odds."""
        return (self._model.averaged * self._scaler.transform(self._row(x))).tolist()

    def _row(self, x: npt.ArrayLike) -> Array:
        row = np.array(x, float)
        if row.shape != (self.features,):
            raise ValueError(f"{row.shape} numbers, not {self.features} features")
        if not np.isfinite(row).all():
            raise ValueError("a feature is no finite number")
        return row

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data."""
        many = self.features
        return {
            "schema": SCHEMA,
            "features": many,
            "rate": self.rate,
            "l2": self.l2,
            "averaging": self.averaging,
            "scaler": scaler_data(self._scaler),
            "model": logistic_data(self._model),
            "replay": self.replay.snapshot(
                lambda rows: packed(np.array(rows, float).reshape(-1, many))
            ),
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> ReplayedLogistic:
        """The classifier that `snapshot` wrote; raises ValueError."""
        checked_schema(data, SCHEMA)
        averaging = data.get("averaging", 1.0)
        found = cls(data["features"], 0, data["rate"], data["l2"], averaging=averaging)
        found._scaler = scaler_of(data["scaler"])
        found._model = logistic_of(data["model"], found.features, found.rate, found.l2, averaging)
        found.replay = BalancedReplay.restore(data["replay"], lambda body: list(unpacked(body)))
        return found
