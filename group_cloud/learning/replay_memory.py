"""Class-balanced replay: a bounded memory of labelled things, drawn from both classes alike.

Called by the classifiers of this package: labels come late and in blocks, and would ruin a learner
that takes them as they come. It judges nothing and is a function of its seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

PER_CLASS = 3000
"""Kept of each class."""
DRAWS = 4
"""Drawn from memory for each new label."""
Item = TypeVar("Item")
_MASK = (1 << 64) - 1


class Dice:
    """Random numbers whose whole state is one integer (splitmix64)."""

    __slots__ = ("state",)

    def __init__(self, seed: int) -> None:
        self.state = seed & _MASK

    def below(self, many: int) -> int:
        """An integer from 0 to many - 1."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((z ^ (z >> 31)) >> 11) % many


class BalancedReplay(Generic[Item]):
    """A reservoir per class; each class's sample is uniform over all that was ever added."""

    def __init__(self, seed: int = 0, per_class: int = PER_CLASS, draws: int = DRAWS) -> None:
        self.per_class, self.draws = per_class, draws
        self.dice = Dice(seed)
        self.seen = [0, 0]
        self.kept: tuple[list[Item], list[Item]] = ([], [])

    def add(self, item: Item, label: bool) -> None:
        """Remember it, or not: a full reservoir keeps each thing it saw with equal chance."""
        kept = self.kept[label]
        self.seen[label] += 1
        if len(kept) < self.per_class:
            kept.append(item)
            return
        place = self.dice.below(self.seen[label])
        if place < self.per_class:
            kept[place] = item

    def drawn(self) -> Iterator[tuple[Item, bool]]:
        """A few remembered things, of either class with equal chance; none before it has both."""
        if not self.kept[0] or not self.kept[1]:
            return
        for _ in range(self.draws):
            label = bool(self.dice.below(2))
            kept = self.kept[label]
            yield kept[self.dice.below(len(kept))], label

    def snapshot(self, plain: Callable[[list[Item]], Any]) -> dict[str, Any]:
        """All of it; `plain` writes the items of one class."""
        return {
            "per_class": self.per_class,
            "draws": self.draws,
            "dice": str(self.dice.state),
            "seen": list(self.seen),
            "kept": [plain(kept) for kept in self.kept],
        }

    @classmethod
    def restore(
        cls, data: dict[str, Any], items: Callable[[Any], list[Item]]
    ) -> BalancedReplay[Item]:
        """Read what `snapshot` wrote."""
        found = cls(0, data["per_class"], data["draws"])
        found.dice.state = int(data["dice"])
        found.seen = list(data["seen"])
        found.kept = (items(data["kept"][0]), items(data["kept"][1]))
        return found
