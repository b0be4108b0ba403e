"""Playbook choice (L4): weights of variants per context, learnt from how runs ended.

Called by the trainer with outcomes of runs. It gives weights with a floor for every variant; it
starts no playbook, and a factory may refuse the weights.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from group_cloud.learning.contract import UnlabelledError, checked_schema
from group_cloud.learning.replay_memory import Dice

SCHEMA = "variant-choice/v1"
CONTEXTS, VARIANTS = 500, 16
FLOOR = 0.02
"""Every variant keeps this share: what is never tried is never known."""
DRAWS = 200
FAST_MIN = 60.0
"""A success that takes this long is worth half of one that takes no time."""


def reward(success: bool, minutes: float | None = None) -> float:
    """What an outcome is worth, 0 to 1: success first, then the time to resolve."""
    if not success:
        return 0.0
    return 1.0 if minutes is None else 0.5 + 0.5 / (1 + max(0.0, minutes) / FAST_MIN)


class VariantChoice:
    """Thompson sampling with a Beta per variant and context; contexts are bounded."""

    def __init__(self, seed: int = 0, floor: float = FLOOR, capacity: int = CONTEXTS) -> None:
        self.floor, self.capacity, self.dice = floor, capacity, Dice(seed)
        self._contexts: OrderedDict[str, dict[str, list[float]]] = OrderedDict()

    def learn_one(self, x: tuple[str, str], y: float | None) -> None:
        """Take (context, variant) and what the outcome was worth; raises UnlabelledError."""
        if y is None:
            raise UnlabelledError(f"{x}: the run has no outcome")
        if not 0.0 <= y <= 1.0:
            raise ValueError(f"a reward is from 0 to 1, not {y}")
        context, variant = x
        known = self._contexts.setdefault(context, {})
        self._contexts.move_to_end(context)
        if len(self._contexts) > self.capacity:
            self._contexts.popitem(last=False)
        if variant not in known and len(known) >= VARIANTS:
            del known[min(known, key=lambda v: (sum(known[v]), v))]
        beta = known.setdefault(variant, [1.0, 1.0])
        beta[0] += y
        beta[1] += 1 - y

    def choose(self, context: str, variants: Sequence[str]) -> str:
        """One variant: with the floor's share any, else the best of one draw each."""
        if not variants:
            raise ValueError("no variant to choose from")
        drawn = random.Random(self.dice.below(1 << 53))
        if drawn.random() < min(1.0, self.floor * len(variants)):
            return variants[drawn.randrange(len(variants))]
        return self._best(context, variants, drawn)

    def propose(self, context: str, variants: Sequence[str]) -> dict[str, float]:
        """Weights to send down: how often each would be the best, none below the floor."""
        drawn = random.Random(len(variants))
        floor = min(self.floor, 1 / max(1, len(variants)))
        won = dict.fromkeys(variants, 0)
        for _ in range(DRAWS):
            won[self._best(context, variants, drawn)] += 1
        free = 1 - floor * len(variants)
        return {v: round(floor + free * n / DRAWS, 4) for v, n in won.items()}

    def score(self, x: tuple[str, str]) -> float:
        """What an outcome of (context, variant) is expected to be worth."""
        up, down = self._contexts.get(x[0], {}).get(x[1], (1.0, 1.0))
        return up / (up + down)

    def _best(self, context: str, variants: Sequence[str], drawn: random.Random) -> str:
        known = self._contexts.get(context, {})
        return max(variants, key=lambda v: drawn.betavariate(*known.get(v, (1.0, 1.0))))

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data, the context used last at the end."""
        return {
            "schema": SCHEMA,
            "floor": self.floor,
            "capacity": self.capacity,
            "dice": str(self.dice.state),
            "contexts": [
                [c, {v: list(b) for v, b in k.items()}] for c, k in self._contexts.items()
            ],
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> VariantChoice:
        """The choice that `snapshot` wrote; raises ValueError."""
        checked_schema(data, SCHEMA)
        found = cls(0, data["floor"], data["capacity"])
        found.dice.state = int(data["dice"])
        for context, known in data["contexts"]:
            found._contexts[context] = {v: list(b) for v, b in known.items()}
        return found


class LinearChoice:
    """LinUCB, the challenger: contexts are numbers, so that it learns across them."""

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
        if variant not in self._arms and len(self._arms) >= VARIANTS:
            raise ValueError(f"more than {VARIANTS} variants")
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
