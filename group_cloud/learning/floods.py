"""The memory of floods: when one begins, what it resembles and what was done then, or `unknown`.

Called with episodes whose cause people recorded, and with the alarms of a flood so far. It tells
people; it never acts, and it says unknown rather than guess.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from group_cloud.domain.floods import ALARMS, EPISODES, too_few
from group_cloud.learning.contract import UnlabelledError, checked_schema
from group_cloud.learning.flood_models import (
    HORIZONS_MIN,
    Array,
    Classes,
    Raised,
    alike,
    evidence,
    fit_trust,
    rehearsed,
    trust,
    vector,
)

SCHEMA = "flood-memory/v1"
POINTS = 200
"""Points that it tells apart at the most."""
SURE, LIKELY, UNLIKELY = 0.7, 0.5, 0.1
"""Trust from which it answers at once, that it wants when time is up, and below which it says
unknown before that ..."""
UNLIKELY_MIN = 120
"""... once it has seen this much."""
ALIKE = 0.2
"""Similarity that the nearest must have: whatever is far from everything is nearer to one."""
OTHERS = 3


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm of a flood, in minutes from any common origin; None: it still stands."""

    point: str
    raised: float
    cleared: float | None = None


@dataclass(frozen=True, slots=True)
class Episode:
    """A flood that is over and whose cause is recorded."""

    id: str
    site: str
    at: int
    """When it began, ms since the epoch."""
    cause: str
    done: str
    took_min: float
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True, slots=True)
class Remembered:
    """One earlier flood that the present one is like."""

    id: str
    site: str
    at: int
    cause: str
    done: str
    took_min: float
    similarity: float


@dataclass(frozen=True, slots=True)
class Resemblance:
    """The answer: known with what it resembles, unknown, or (not `settled`) not yet."""

    known: bool
    settled: bool
    trust: float
    """Probability that the nearest cause is the right one, by rehearsal on the memory itself."""
    nearest: Remembered | None
    """Of the nearest cause, also while that is not trusted; None: not one alarm is known."""
    others: tuple[Remembered, ...]
    horizon_min: float


class FloodMemory:
    """A learner of episodes: `learn_one(episode, cause)`, `resembles(alarms so far, minutes)`."""

    def __init__(self, seed: int = 0, capacity: int = EPISODES) -> None:
        self.seed, self.capacity = seed, capacity
        self._episodes: dict[str, Episode] = {}
        self._stale = True

    def __len__(self) -> int:
        return len(self._episodes)

    def learn_one(self, x: Episode, y: str | None) -> None:
        """Remember an episode with the cause that people recorded; raises UnlabelledError."""
        if not y:
            raise UnlabelledError(f"episode {x.id}: nobody has recorded a cause")
        self._episodes.pop(x.id, None)
        kept = sorted(x.alarms, key=lambda a: (a.raised, a.point))[:ALARMS]
        origin = kept[0].raised if kept else 0.0
        alarms = tuple(
            Alarm(a.point, a.raised - origin, None if a.cleared is None else a.cleared - origin)
            for a in kept
            if a.raised - origin <= HORIZONS_MIN[-1]
        )
        self._episodes[x.id] = Episode(x.id, x.site, x.at, y, x.done, x.took_min, alarms)
        if len(self._episodes) > self.capacity:
            self._forget_one()
        self._stale = True

    def remember(self, episode: Episode) -> None:
        """The same with the episode's own cause."""
        self.learn_one(episode, episode.cause)

    def _forget_one(self) -> None:
        """The oldest of the commonest cause: what is rare is worth most."""
        many = Counter(e.cause for e in self._episodes.values())
        most = max(many.values())
        old = min(
            (e for e in self._episodes.values() if many[e.cause] == most),
            key=lambda e: (e.at, e.id),
        )
        del self._episodes[old.id]

    def resembles(self, alarms: Iterable[Alarm], minutes: float) -> Resemblance:
        """What a flood is like, `minutes` after its first alarm.

        It is looked at at fixed times; between them the answer is that of the last. Before the
        last time only a sure answer, or a hopeless case, is settled.
        """
        self._learn()
        last = minutes >= HORIZONS_MIN[-1]
        place = max(0, sum(minutes >= h for h in HORIZONS_MIN) - 1)
        horizon = HORIZONS_MIN[place]
        if not self._classes or minutes < horizon:
            enough = last or not self._classes
            return Resemblance(False, enough, 0.0, None, (), min(minutes, float(horizon)))
        found = vector(self._raised(alarms), horizon, len(self._points))
        sure, nearest, others = self._compared(place, found)
        known = sure >= (LIKELY if last else SURE)
        hopeless = horizon >= UNLIKELY_MIN and sure < UNLIKELY
        return Resemblance(known, known or last or hopeless, sure, nearest, others, float(horizon))

    def _compared(
        self, place: int, found: Array
    ) -> tuple[float, Remembered | None, tuple[Remembered, ...]]:
        """Trust in the nearest cause, that, and what came next.

        Trust is none in what the rehearsal has shown nothing like: no alarm that is known, nothing
        alike, too few causes to have met a new one.
        """
        if not found.any():
            return 0.0, None, ()
        distances = self._classes[place].distances(found[None])
        nearest, others = self._remembered(place, found, int(distances[0].argmin()))
        sure = float(trust(evidence(distances), self._trust[place])[0]) if self._enough else 0.0
        # Not known, and not hopeless by that alone: more of it may come.
        return sure if nearest.similarity >= ALIKE else min(sure, UNLIKELY), nearest, others

    def score(self, x: Sequence[Alarm]) -> float:
        """Trust in the nearest cause, all of the flood seen."""
        return self.resembles(x, HORIZONS_MIN[-1]).trust

    def _remembered(
        self, place: int, found: Array, nearest: int
    ) -> tuple[Remembered, tuple[Remembered, ...]]:
        cause = self._causes[int(self._classes[place].causes[nearest])]
        ranked = sorted(
            (
                (alike(found, self._vectors[place][i], self._weights), e)
                for i, e in enumerate(self._ordered)
            ),
            key=lambda pair: (-pair[0], pair[1].id),
        )
        told = [
            Remembered(e.id, e.site, e.at, e.cause, e.done, e.took_min, round(similarity, 4))
            for similarity, e in ranked
        ]
        first = next(r for r in told if r.cause == cause)
        return first, tuple([r for r in told if r.id != first.id][:OTHERS])

    def _raised(self, alarms: Iterable[Alarm]) -> Raised:
        found = sorted(alarms, key=lambda a: (a.raised, a.point))[:ALARMS]
        origin = found[0].raised if found else 0.0
        return [
            (
                self._points[a.point],
                a.raised - origin,
                math.inf if a.cleared is None else a.cleared - origin,
            )
            for a in found
            if a.point in self._points
        ]

    def _learn(self) -> None:
        """Models of all horizons, a function of the set of episodes whatever their order."""
        if not self._stale:
            return
        self._stale, self._classes, self._trust = False, list[Classes](), list[Array]()
        self._ordered = [self._episodes[i] for i in sorted(self._episodes)]
        self._causes = sorted({e.cause for e in self._ordered})
        in_episodes = Counter(p for e in self._ordered for p in {a.point for a in e.alarms})
        chosen = sorted(
            p for p, _ in sorted(in_episodes.items(), key=lambda x: (-x[1], x[0]))[:POINTS]
        )
        self._points = {point: i for i, point in enumerate(chosen)}
        self._enough = True
        if too_few([e.cause for e in self._ordered]):
            return
        total = len(self._ordered)
        rare = np.array([math.log((1 + total) / (1 + in_episodes[p])) + 0.1 for p in chosen])
        self._weights = np.tile(rare, 3)
        causes = np.array([self._causes.index(e.cause) for e in self._ordered])
        fold = self._folds()
        self._vectors = list[Array]()
        for horizon in HORIZONS_MIN:
            vectors = np.array(
                [vector(self._raised(e.alarms), horizon, len(chosen)) for e in self._ordered]
            )
            self._vectors.append(vectors)
            self._classes.append(Classes.of(vectors, causes))
            rehearsal = rehearsed(vectors, causes, fold)
            self._enough = self._enough and rehearsal.enough
            self._trust.append(fit_trust(rehearsal.rows, rehearsal.right))

    def _folds(self) -> Any:
        """By site when there are three or more: floods of one site are alike."""
        sites = sorted({e.site for e in self._ordered})
        if len(sites) >= 3:
            return np.array([sites.index(e.site) % 6 for e in self._ordered])
        return np.arange(len(self._ordered)) % 4

    def snapshot(self) -> dict[str, Any]:
        """All episodes as plain data; the models follow from them."""
        return {
            "schema": SCHEMA,
            "seed": self.seed,
            "capacity": self.capacity,
            "episodes": [
                [e.id, e.site, e.at, e.cause, e.done, e.took_min,
                 [[a.point, a.raised, a.cleared] for a in e.alarms]]
                for e in sorted(self._episodes.values(), key=lambda e: e.id)
            ],
        }  # fmt: skip

    @classmethod
    def restore(cls, data: dict[str, Any]) -> FloodMemory:
        """The memory that `snapshot` wrote; raises ValueError."""
        checked_schema(data, SCHEMA)
        found = cls(data["seed"], data["capacity"])
        for row in data["episodes"]:
            known, site, at, cause, done, took, alarms = row
            kept = tuple(Alarm(*alarm) for alarm in alarms)
            found.remember(Episode(known, site, at, cause, done, took, kept))
        return found
