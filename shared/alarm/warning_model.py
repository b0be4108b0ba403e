"""Early warning as it is sent down: coefficients, a threshold, a calibration; nothing learns.

Called by the back-test and by the tier that runs it, with vectors of `Windows`. It never changes,
and refuses vectors of another feature schema.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.alarm.warning_schema import MODEL_SCHEMA, schema_hash

Array = npt.NDArray[np.float64]
RIDGE = 0.1
CLIP = 6.0


@dataclass(frozen=True, slots=True)
class Relation:
    """How the tags go together when all is well: what of a vector the others do not explain."""

    mean: Array
    sigma: Array
    inverse: Array
    """Of the tags' correlation, with a ridge."""

    def unexplained(self, x: Array) -> tuple[Array, float]:
        """Squared partial residual of each tag, and the mean distance of the whole."""
        z = np.clip((x - self.mean) / self.sigma, -CLIP, CLIP)
        turned = z @ self.inverse
        return turned**2 / np.diag(self.inverse), float(turned @ z) / len(z)


def features(vector: Array, relations: tuple[Relation, Relation]) -> list[float]:
    """The numbers the classifier sees, of a vector of `Windows`."""
    deviation, slope, long, wider = vector.reshape(4, -1)
    by_level, level = relations[0].unexplained(deviation)
    by_slope, change = relations[1].unexplained(slope)
    alone = np.log1p(np.sqrt(by_level + by_slope))
    found = [*long.tolist(), *wider.tolist(), *alone.tolist()]
    for part in (long, wider, alone):
        top = np.sort(part)[::-1]
        found += [float(part.mean()), *(float(top[min(k, len(top) - 1)]) for k in (0, 2, 5))]
    return [*found, math.log1p(max(0.0, level)), math.log1p(max(0.0, change))]


def many_features(tags: int) -> int:
    """How many numbers `features` gives."""
    return 3 * tags + 14


@dataclass(frozen=True, slots=True)
class Warned:
    """What the model says of one window."""

    confidence: float
    """The share of such windows that were in a fault, in the plants it learnt from."""
    warns: bool
    logit: float
    tags: tuple[str, ...]
    """The tags that speak most for it."""


@dataclass(frozen=True, slots=True)
class WarningModel:
    """A frozen model as plain data."""

    tags: tuple[str, ...]
    relations: tuple[Relation, Relation]
    mean: Array
    sigma: Array
    weights: Array
    intercept: float
    threshold: float
    """In log-odds: above it lie about a tenth of the windows in which nothing was wrong."""
    slope: float
    offset: float
    """Platt's calibration of the log-odds."""

    def judge(self, vector: Array) -> Warned:
        """What it says of a vector of `Windows` over the same tags."""
        scaled = (np.array(features(vector, self.relations)) - self.mean) / self.sigma
        parts = scaled * self.weights
        logit = float(parts.sum()) + self.intercept
        by_tag = parts[: 3 * len(self.tags)].reshape(3, -1).sum(axis=0)
        most = [self.tags[i] for i in np.argsort(-by_tag, kind="stable")[:3] if by_tag[i] > 0]
        return Warned(self.confidence(logit), logit > self.threshold, logit, tuple(most))

    def confidence(self, logit: float) -> float:
        """The calibrated share."""
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, self.slope * logit + self.offset))))

    def to_dict(self) -> dict[str, Any]:
        """Plain data with the hash of its feature schema."""
        return {
            "schema": MODEL_SCHEMA,
            "features": schema_hash(self.tags),
            "tags": list(self.tags),
            "relations": [
                {"mean": r.mean.tolist(), "sigma": r.sigma.tolist(), "inverse": r.inverse.tolist()}
                for r in self.relations
            ],
            "mean": self.mean.tolist(),
            "sigma": self.sigma.tolist(),
            "weights": self.weights.tolist(),
            "intercept": self.intercept,
            "threshold": self.threshold,
            "calibration": [self.slope, self.offset],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> WarningModel:
        """Read what `to_dict` wrote; raises ValueError, also for another feature schema."""
        if data.get("schema") != MODEL_SCHEMA:
            raise ValueError(f"a model of {data.get('schema')!r}, not of {MODEL_SCHEMA!r}")
        if data["features"] != schema_hash(data["tags"]):
            raise ValueError(f"a model of another feature schema: {data['features']}")
        first, second = (
            Relation(*(np.array(r[part], float) for part in ("mean", "sigma", "inverse")))
            for r in data["relations"]
        )
        mean, sigma, weights = (np.array(data[n], float) for n in ("mean", "sigma", "weights"))
        if any(len(n) != many_features(len(data["tags"])) for n in (mean, sigma, weights)):
            raise ValueError("a model whose coefficients do not fit its tags")
        return cls(
            tuple(data["tags"]),
            (first, second),
            mean,
            sigma,
            weights,
            data["intercept"],
            data["threshold"],
            data["calibration"][0],
            data["calibration"][1],
        )
