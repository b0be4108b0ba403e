"""The nuisance ranker (L2): which alarms people are likely to dismiss, with the evidence for it.

Called with what was acknowledged, dismissed or given a cause. It ranks and proposes to people what
could be shelved; nothing here hides, delays or removes an alarm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from group_cloud.learning.contract import UnlabelledError, checked_schema
from group_cloud.learning.linear import ReplayedLogistic
from group_cloud.learning.river_parts import EWMean

SCHEMA = "nuisance-ranker/v1"
POINTS = 2000
"""Alarm points whose record is kept; the one with the fewest labels makes room."""
FEWEST, SHARE, NEWEST = 20, 0.9, 50
"""Labels of a point, and the share of nuisance in them, from which shelving is worth a look, over
its newest labels; `domain/shelving.py` has the same."""
FADING, AHEAD = 0.01, 0.02
PRIOR = 3.0
"""Labels of each kind that a point is taken to have had before the first."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One alarm as it was when it came up: only what was known then."""

    id: str
    point: str
    since_last_min: float
    """Since the same point last came up; infinity for the first time."""
    of_point_hour: int
    of_point_day: int
    others_10min: int
    """Distinct other points that came up in the last 10 min ..."""
    others_hour: int
    standing: int
    """... and alarms that stand."""
    usual_per_day: float
    """How often the point came up per day in the week before."""


FEATURES = (
    "new", "since_last", "of_point_hour", "of_point_day", "others_10min", "others_hour",
    "standing", "usual_per_day", "more_than_usual", "record_of_point",
)  # fmt: skip


def row(x: Occurrence, record: Sequence[int] = (0, 0)) -> list[float]:
    """The numbers the classifiers see; `record` is (labels, nuisance) of the point so far."""
    labels, nuisance = record
    last = min(x.since_last_min, 10_080.0)
    return [
        float(math.isinf(x.since_last_min)),
        math.log1p(max(0.0, last)),
        math.log1p(x.of_point_hour),
        math.log1p(x.of_point_day),
        math.log1p(x.others_10min),
        math.log1p(x.others_hour),
        math.log1p(x.standing),
        math.log1p(x.usual_per_day),
        math.log((x.of_point_hour * 24 + 1) / (x.usual_per_day + 1)),
        math.log((nuisance + PRIOR) / (labels - nuisance + PRIOR)),
    ]


@dataclass(frozen=True, slots=True)
class Ranked:
    """One alarm with its place; every alarm given comes back."""

    occurrence: Occurrence
    nuisance: float
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShelvingProposal:
    """A point that people could shelve: evidence for a person to decide on, no instruction."""

    point: str
    labels: int
    nuisance: int
    share: float


class GaussianBayes:
    """Gaussian naive Bayes as tables of counts, means and squared deviations."""

    def __init__(self, features: int) -> None:
        self.count = [0, 0]
        self.mean = [[0.0] * features, [0.0] * features]
        self.squares = [[0.0] * features, [0.0] * features]

    def learn_one(self, x: Sequence[float], y: bool) -> None:
        """Welford's update of the class."""
        self.count[y] += 1
        count, mean, squares = self.count[y], self.mean[y], self.squares[y]
        for i, value in enumerate(x):
            off = value - mean[i]
            mean[i] += off / count
            squares[i] += off * (value - mean[i])

    def score(self, x: Sequence[float]) -> float:
        """Probability of the true class, both taken as equally frequent."""
        if min(self.count) < 2:
            return 0.5
        odds = 0.0
        for label, sign in ((1, 1.0), (0, -1.0)):
            for i, value in enumerate(x):
                spread = self.squares[label][i] / self.count[label] + 1e-3
                off = value - self.mean[label][i]
                odds -= sign * 0.5 * (off * off / spread + math.log(spread))
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, odds))))


class NuisanceRanker:
    """Logistic regression with balanced replay; naive Bayes stands by and takes over if better."""

    def __init__(self, seed: int = 0) -> None:
        self.logistic = ReplayedLogistic(len(FEATURES), seed)
        self.bayes = GaussianBayes(len(FEATURES))
        self._loss = (EWMean(FADING), EWMean(FADING))
        self._points: dict[str, list[int]] = {}
        self._newest: dict[str, list[int]] = {}

    def learn_one(self, x: Occurrence, y: bool | None) -> None:
        """Take one alarm and whether people called it nuisance; raises UnlabelledError."""
        if y is None:
            raise UnlabelledError(f"occurrence {x.id}: nobody has judged it")
        numbers = self._row(x)
        for loss, model in zip(self._loss, (self.logistic, self.bayes), strict=True):
            said = min(max(model.score(numbers), 1e-4), 1 - 1e-4)
            loss.update(-math.log(said if y else 1 - said))
        self.logistic.learn_one(numbers, y)
        self.bayes.learn_one(numbers, y)
        self._note(x.point, y)

    def _row(self, x: Occurrence) -> list[float]:
        return row(x, self._points.get(x.point, (0, 0)))

    def _note(self, point: str, y: bool) -> None:
        if point not in self._points and len(self._points) >= POINTS:
            least = min(self._points, key=lambda p: (self._points[p][0], p))
            del self._points[least]
            self._newest.pop(least, None)
        known = self._points.setdefault(point, [0, 0])
        known[0] += 1
        known[1] += int(y)
        newest = self._newest.setdefault(point, [])
        newest.append(int(y))
        del newest[:-NEWEST]

    @property
    def champion(self) -> str:
        """Which of the two speaks now."""
        ahead = self._loss[1].get() + AHEAD < self._loss[0].get()
        return "bayes" if ahead and self.logistic.replay.seen[0] else "logistic"

    def score(self, x: Occurrence) -> float:
        """How likely people call it nuisance, 0 to 1, both outcomes taken as equally frequent."""
        model = self.bayes if self.champion == "bayes" else self.logistic
        return model.score(self._row(x))

    def scores(self, x: Occurrence) -> tuple[float, float] | None:
        """What the two say of it; None before they have seen two of each kind."""
        if min(self.bayes.count) < 2:
            return None
        numbers = self._row(x)
        return self.logistic.score(numbers), self.bayes.score(numbers)

    @property
    def share(self) -> float:
        """Of nuisance in all that was learnt."""
        return (self.bayes.count[1] + 1) / (sum(self.bayes.count) + 2)

    def probability(self, x: Occurrence) -> float:
        """How likely it is nuisance, as frequent as nuisance is here; `score` takes both kinds as
        equally frequent."""
        said, share = (self.score(x), self.share) if self.scores(x) else (0.5, self.share)
        return said * share / (said * share + (1 - said) * (1 - share))

    def because(self, x: Occurrence) -> tuple[str, ...]:
        """The features that speak most for nuisance, at most three."""
        parts = sorted(zip(self.logistic.parts(self._row(x)), FEATURES, strict=True), reverse=True)
        return tuple(name for part, name in parts[:3] if part > 0)

    def rank(self, given: Sequence[Occurrence]) -> list[Ranked]:
        """All of them, the likeliest to matter first; none is left out."""
        found = [Ranked(x, self.score(x), self.because(x)) for x in given]
        return sorted(found, key=lambda r: (r.nuisance, r.occurrence.id))

    def propose(self) -> list[ShelvingProposal]:
        """Points for a person to look at by their newest labels, the worst first."""
        found = [
            ShelvingProposal(point, len(newest), sum(newest), round(sum(newest) / len(newest), 4))
            for point, newest in self._newest.items()
            if len(newest) >= FEWEST and sum(newest) >= SHARE * len(newest)
        ]
        return sorted(found, key=lambda p: (-p.nuisance, p.point))

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data."""
        bayes = self.bayes
        return {
            "schema": SCHEMA,
            "logistic": self.logistic.snapshot(),
            "bayes": [list(bayes.count), [*map(list, bayes.mean)], [*map(list, bayes.squares)]],
            "loss": [float(loss.get()) for loss in self._loss],
            "learnt": sum(bayes.count),
            "points": {point: list(known) for point, known in sorted(self._points.items())},
            "newest": {p: "".join(map(str, said)) for p, said in sorted(self._newest.items())},
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> NuisanceRanker:
        """The ranker that `snapshot` wrote; raises ValueError."""
        checked_schema(data, SCHEMA)
        found = cls()
        found.logistic = ReplayedLogistic.restore(data["logistic"])
        count, mean, squares = data["bayes"]
        found.bayes.count = list(count)
        found.bayes.mean, found.bayes.squares = [*map(list, mean)], [*map(list, squares)]
        if data["learnt"]:
            # The first value of a fading mean is taken whole.
            for loss, value in zip(found._loss, data["loss"], strict=True):
                loss.update(value)
        found._points = {point: list(known) for point, known in data["points"].items()}
        # Who has none yet collects them anew: until then nothing is proposed.
        found._newest = {p: list(map(int, said)) for p, said in data.get("newest", {}).items()}
        return found
