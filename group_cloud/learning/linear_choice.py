"""LinUCB, the challenger of the playbook choice (L4): contexts are numbers, learnt across them.

Run by the back-test only, beside the champion that ranks live (`bandit.py`); it starts no playbook.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from group_cloud.domain.playbook_ranking import MOST_VARIANTS
from group_cloud.learning.bandit import FLOOR
from group_cloud.learning.contract import UnlabelledError, checked_schema
from group_cloud.learning.replay_memory import Dice


class LinearChoice:
    """Linear upper confidence bounds, an arm per variant."""

    SCHEMA = "linear-choice/v1"

    def __init__(self, features: int, boldness: float = 0.5, floor: float = FLOOR, seed: int = 0):
        self.features, self.boldness, self.floor = features, boldness, floor
        self.dice = Dice(seed)
        self._arms: dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = {}

    def learn_one(self, x: tuple[Sequence[float], str], y: float | None) -> None:
        """Take (context, variant) and what the outcome was worth; raises UnlabelledError."""
        if y is None:
            raise UnlabelledError("the run has no outcome")
        numbers, variant = np.asarray(x[0], float), x[1]
        if variant not in self._arms and len(self._arms) >= MOST_VARIANTS:
            raise ValueError(f"more than {MOST_VARIANTS} variants")
        inverse, total = self._arm(variant)
        turned = inverse @ numbers
        # Sherman-Morrison: the inverse is kept, never computed.
        inverse = inverse - np.outer(turned, turned) / (1 + numbers @ turned)
        self._arms[variant] = inverse, total + y * numbers

    def score(self, x: tuple[Sequence[float], str]) -> float:
        """Upper confidence bound of what an outcome is worth."""
        numbers = np.asarray(x[0], float)
        inverse, total = self._arm(x[1])
        width = float(np.sqrt(max(0.0, numbers @ inverse @ numbers)))
        return float(total @ inverse @ numbers) + self.boldness * width

    def choose(self, context: Sequence[float], variants: Sequence[str]) -> str:
        """One variant: with the floor's share any, else the highest bound."""
        if not variants:
            raise ValueError("no variant to choose from")
        drawn = random.Random(self.dice.below(1 << 53))
        if drawn.random() < min(1.0, self.floor * len(variants)):
            return variants[drawn.randrange(len(variants))]
        return max(variants, key=lambda v: self.score((context, v)))

    def _arm(self, variant: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return self._arms.get(variant) or (np.eye(self.features), np.zeros(self.features))

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "schema": self.SCHEMA,
            "features": self.features,
            "boldness": self.boldness,
            "floor": self.floor,
            "dice": str(self.dice.state),
            "arms": {v: [a.tolist(), b.tolist()] for v, (a, b) in sorted(self._arms.items())},
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> LinearChoice:
        """The choice that `snapshot` wrote; raises ValueError."""
        checked_schema(data, cls.SCHEMA)
        found = cls(data["features"], data["boldness"], data["floor"])
        found.dice.state = int(data["dice"])
        found._arms = {v: (np.array(a), np.array(b)) for v, (a, b) in data["arms"].items()}
        return found
