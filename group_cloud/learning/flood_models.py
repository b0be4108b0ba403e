"""What a flood looks like after some minutes, and which known cause it is nearest to.

Pure numbers, called by the memory of floods; it keeps nothing and knows no people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from group_cloud.domain.floods import CAUSES, FEWEST
from group_cloud.domain.floods import HORIZONS_MIN as HORIZONS_MIN

SHRINK = 0.3
FLOOR = 1e-3
Array = npt.NDArray[np.float64]
Raised = Sequence[tuple[int, float, float]]
"""(point, minute raised, minute cleared) from the first alarm on; infinity while it stands."""


def vector(alarms: Raised, horizon: float, points: int) -> Array:
    """Per point: how often, for what share of the time, and how early it came.

    What happened after the horizon is not seen, nor when an alarm that still stood then cleared.
    """
    often, stood = np.zeros(points), np.zeros(points)
    first = np.full(points, np.inf)
    for point, raised, cleared in alarms:
        if raised <= horizon:
            often[point] += 1
            # A device whose clock was set back tells of a return before the raise.
            stood[point] += max(0.0, min(cleared, horizon) - raised)
            first[point] = min(first[point], raised)
    early = np.exp(-3 * first / horizon)
    return np.concatenate((np.log1p(often), np.sqrt(np.minimum(stood / horizon, 1.0)), early))


@dataclass(frozen=True, slots=True)
class Classes:
    """Means per cause and the inverse of the spread that all causes share."""

    causes: npt.NDArray[np.int_]
    means: Array
    inverse: Array

    @classmethod
    def of(cls, vectors: Array, causes: npt.NDArray[np.int_]) -> Classes:
        """Linear discriminants with a covariance shrunk to its diagonal: classes are small."""
        known, place = np.unique(causes, return_inverse=True)
        sums = np.zeros((len(known), vectors.shape[1]))
        np.add.at(sums, place, vectors)
        means = sums / np.bincount(place)[:, None]
        rest = vectors - means[place]
        spread = rest.T @ rest / max(1, len(vectors) - len(known))
        own = np.diag(spread) + FLOOR
        shared = (1 - SHRINK) * spread + np.diag(SHRINK * own + FLOOR)
        return cls(known, means, np.asarray(np.linalg.inv(shared), np.float64))

    def distances(self, vectors: Array) -> Array:
        """Squared distance of each vector to each cause, [vector, cause]."""
        turned = vectors @ self.inverse
        own = (turned * vectors).sum(axis=1)[:, None]
        means = ((self.means @ self.inverse) * self.means).sum(axis=1)[None]
        return np.maximum(own - 2 * turned @ self.means.T + means, 0.0)


def evidence(distances: Array) -> Array:
    """What tells whether the nearest cause is the right one: how near, and how much nearer."""
    near = np.sort(distances, axis=1)
    second = near[:, 1] if near.shape[1] > 1 else near[:, 0] + 100.0
    return np.stack(
        (
            np.log1p(near[:, 0]),
            np.log1p(second - near[:, 0]),
            np.log1p(near.mean(axis=1) - near[:, 0]),
            np.ones(len(near)),
        ),
        axis=1,
    )


def fit_trust(rows: Array, right: npt.NDArray[np.bool_], ridge: float = 1.0) -> Array:
    """Coefficients of the probability that the nearest cause is the right one (Newton, ridge)."""
    found = np.zeros(rows.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(rows @ found, -30, 30)))
        gradient = rows.T @ (p - right) + ridge * found
        curve = (rows.T * (p * (1 - p))) @ rows + ridge * np.eye(len(found))
        step = np.linalg.solve(curve, gradient)
        found = found - np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-8:
            break
    return found


def trust(rows: Array, coefficients: Array) -> Array:
    """That probability."""
    return 1 / (1 + np.exp(-np.clip(rows @ coefficients, -30, 30)))


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Evidence about floods whose cause is known, whether the nearest was right, what was new."""

    rows: Array
    right: npt.NDArray[np.bool_]
    novel: npt.NDArray[np.int_]
    """The cause of each row whose cause was held by no episode at that time."""

    @property
    def enough(self) -> bool:
        """Whether it has seen what a flood of an unheard cause looks like."""
        return len(self.novel) >= FEWEST and len(np.unique(self.novel)) >= CAUSES


def rehearsed(
    vectors: Array, causes: npt.NDArray[np.int_], fold: npt.NDArray[np.int_], rounds: int = 3
) -> Rehearsal:
    """Evidence and truth from what the memory holds itself: each fold as if it were new.

    In every round some causes are taken out of the rest, so that their episodes are novel.
    """
    rows, right, novel = [], [], [np.zeros(0, np.int_)]
    for left_out in np.unique(fold):
        for turn in range(rounds):
            train = (fold != left_out) & (causes % rounds != turn)
            test = fold == left_out
            if len(np.unique(causes[train])) < 2 or not test.any():
                continue
            classes = Classes.of(vectors[train], causes[train])
            distances = classes.distances(vectors[test])
            rows.append(evidence(distances))
            right.append(classes.causes[distances.argmin(axis=1)] == causes[test])
            novel.append(causes[test & ~np.isin(causes, classes.causes)])
    if not rows:
        return Rehearsal(np.zeros((0, 4)), np.zeros(0, bool), novel[0])
    return Rehearsal(np.concatenate(rows), np.concatenate(right), np.concatenate(novel))


def alike(one: Array, other: Array, weights: Array) -> float:
    """Weighted Jaccard similarity of two floods, 0 to 1; rare points weigh more."""
    most = float((np.maximum(one, other) * weights).sum())
    return float((np.minimum(one, other) * weights).sum()) / most if most > 0 else 0.0
