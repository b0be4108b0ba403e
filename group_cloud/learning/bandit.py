"""Playbook choice (L4): weights of variants per context, learnt from how runs ended.

Called by the group's ranking of playbooks and by the back-test. It gives weights with a floor for
every variant; it starts no playbook, and a factory may refuse the weights.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from group_cloud.domain.playbook_ranking import MOST_VARIANTS
from group_cloud.learning.contract import UnlabelledError, checked_schema
from group_cloud.learning.replay_memory import Dice

SCHEMA = "variant-choice/v2"
CONTEXTS = 500
FLOOR = 0.02
"""Every variant keeps this share: what is never tried is never known."""
DRAWS = 1_000


class VariantChoice:
    """Thompson sampling with a Beta per variant and context; contexts are bounded."""

    def __init__(self, seed: int = 0, floor: float = FLOOR, capacity: int = CONTEXTS) -> None:
        self.seed, self.floor, self.capacity, self.dice = seed, floor, capacity, Dice(seed)
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
        if variant not in known and len(known) >= MOST_VARIANTS:
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

    def chances(self, context: str, variants: Sequence[str]) -> dict[str, float]:
        """How often each would be the best of a draw: the same for the same runs and seed."""
        drawn = random.Random(f"{self.seed}/{context}")
        won = dict.fromkeys(variants, 0)
        for _ in range(DRAWS):
            won[self._best(context, variants, drawn)] += 1
        return {variant: n / DRAWS for variant, n in won.items()}

    def propose(self, context: str, variants: Sequence[str]) -> dict[str, float]:
        """Weights: how often each would be the best, none below the floor."""
        floor = min(self.floor, 1 / max(1, len(variants)))
        free = 1 - floor * len(variants)
        return {
            variant: round(floor + free * chance, 4)
            for variant, chance in self.chances(context, variants).items()
        }

    def posterior(self, x: tuple[str, str]) -> tuple[float, float]:
        """What is known of (context, variant): the two counts of its Beta."""
        up, down = self._contexts.get(x[0], {}).get(x[1], (1.0, 1.0))
        return up, down

    def score(self, x: tuple[str, str]) -> float:
        """What an outcome of (context, variant) is expected to be worth."""
        up, down = self.posterior(x)
        return up / (up + down)

    def _best(self, context: str, variants: Sequence[str], drawn: random.Random) -> str:
        return max(variants, key=lambda v: drawn.betavariate(*self.posterior((context, v))))

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data, the context used last at the end."""
        return {
            "schema": SCHEMA,
            "seed": self.seed,
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
        found = cls(data["seed"], data["floor"], data["capacity"])
        found.dice.state = int(data["dice"])
        for context, known in data["contexts"]:
            found._contexts[context] = {v: list(b) for v, b in known.items()}
        return found
