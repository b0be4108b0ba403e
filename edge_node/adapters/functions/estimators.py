"""River's estimators behind one small interface: a step gives outputs, the state is plain numbers.

Used by `river_model` inside its worker thread; the white list of what a site may name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from edge_node.adapters.functions.readings import Value

Outputs = dict[str, Value | None]
State = dict[str, Any]


class Estimator(Protocol):
    """One estimator at work."""

    def step(self, x: Sequence[float], y: float | None, learn: bool) -> Outputs:
        """Judge one sample by what was learnt before it; then learn it."""
        ...

    def state(self) -> State | None:
        """What it has learnt as JSON; None where River does not give it away."""
        ...

    def restore(self, state: State) -> None:
        """Go on from a saved state."""
        ...


class Parameters(BaseModel):
    """Strict, so that a typing slip shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ZscoreParameters(Parameters):
    """Of `zscore`."""

    window: int = Field(default=0, ge=0, le=100_000)
    """Samples; 0: all since the start."""
    grace: int = Field(default=30, ge=2)
    """So many samples are learnt before a score is given."""


class Zscore:
    """How many standard deviations a sample lies from the mean of those before it."""

    parameters = ZscoreParameters
    outputs = ("z", "mean", "sigma")
    many = target = False

    def __init__(self, given: ZscoreParameters, names: Sequence[str]) -> None:
        from river import stats, utils

        del names
        self._given = given
        self._var: Any = (
            utils.Rolling(stats.Var, window_size=given.window) if given.window else stats.Var()
        )

    def step(self, x: Sequence[float], y: float | None, learn: bool) -> Outputs:
        mean, sigma = self._var.mean.get(), math.sqrt(max(0.0, self._var.get()))
        ready = self._var.mean.n >= self._given.grace
        z = (x[0] - mean) / sigma if ready and sigma > 0 else 0.0 if ready else None
        if learn:
            self._var.update(x[0])
        return {"z": z, "mean": mean if ready else None, "sigma": sigma if ready else None}

    def state(self) -> State | None:
        if self._given.window:
            return None
        return {"n": self._var.mean.n, "mean": self._var.mean.get(), "var": self._var.get()}

    def restore(self, state: State) -> None:
        from river import stats

        self._var = stats.Var._from_state(state["n"], state["mean"], state["var"])


class GaussianParameters(Parameters):
    """Of `gaussian`."""

    window_size: int | None = Field(default=None, ge=2, le=100_000)
    grace_period: int = Field(default=100, ge=2)


class Gaussian:
    """GaussianScorer: 0 in the middle of what was seen, 1 far outside."""

    parameters = GaussianParameters
    outputs = ("score", "mean", "sigma")
    many = target = False

    def __init__(self, given: GaussianParameters, names: Sequence[str]) -> None:
        from river import anomaly

        del names
        self._given = given
        self._scorer: Any = anomaly.GaussianScorer(**given.model_dump())

    def step(self, x: Sequence[float], y: float | None, learn: bool) -> Outputs:
        known = self._scorer.gaussian
        ready = known.n_samples >= self._given.grace_period
        score = self._scorer.score_one(None, x[0]) if ready else None
        mean, sigma = (known.mu, known.sigma) if ready else (None, None)
        if learn:
            self._scorer.learn_one(None, x[0])
        return {"score": score, "mean": mean, "sigma": sigma}

    def state(self) -> State | None:
        if self._given.window_size:
            return None
        known = self._scorer.gaussian
        return {"n": known.n_samples, "mean": known.mu, "var": known.sigma**2}

    def restore(self, state: State) -> None:
        from river import proba

        self._scorer.gaussian = proba.Gaussian._from_state(
            state["n"], state["mean"], state["var"], 1
        )


class TreesParameters(Parameters):
    """Of `half_space_trees`."""

    n_trees: int = Field(default=5, ge=1, le=50)
    height: int = Field(default=6, ge=1, le=12)
    window_size: int = Field(default=250, ge=10, le=100_000)
    limits: list[tuple[float, float]] = []
    """Lowest and highest of each input, in their order; (0, 1) if not given."""
    seed: int = 1


class HalfSpaceTrees:
    """Anomaly score of all inputs together, 0 to 1."""

    parameters = TreesParameters
    outputs = ("score",)
    many, target = True, False

    def __init__(self, given: TreesParameters, names: Sequence[str]) -> None:
        from river import anomaly

        limits: Any = dict(zip(names, given.limits, strict=True)) if given.limits else None
        self._names, self._seen, self._grace = list(names), 0, given.window_size
        self._trees = anomaly.HalfSpaceTrees(
            n_trees=given.n_trees, height=given.height, window_size=given.window_size,
            limits=limits, seed=given.seed,
        )  # fmt: skip

    def step(self, x: Sequence[float], y: float | None, learn: bool) -> Outputs:
        row: dict[Any, float] = dict(zip(self._names, x, strict=True))
        score = self._trees.score_one(row) if self._seen >= self._grace else None
        if learn:
            self._trees.learn_one(row)
            self._seen += 1
        return {"score": score}

    def state(self) -> State | None:
        return None

    def restore(self, state: State) -> None:
        raise ValueError("half_space_trees keeps no state")


class AdwinParameters(Parameters):
    """Of `adwin`."""

    delta: float = Field(default=0.002, gt=0, lt=1)
    clock: int = Field(default=32, ge=1)
    grace_period: int = Field(default=10, ge=1)


class Adwin:
    """Drift of the mean: `drift` is true at the sample where it is found."""

    parameters = AdwinParameters
    outputs = ("drift", "mean", "width")
    many = target = False

    def __init__(self, given: AdwinParameters, names: Sequence[str]) -> None:
        from river import drift

        del names
        self._adwin = drift.ADWIN(**given.model_dump())

    def step(self, x: Sequence[float], y: float | None, learn: bool) -> Outputs:
        if learn:
            self._adwin.update(x[0])
        return {
            "drift": self._adwin.drift_detected, "mean": self._adwin.estimation,
            "width": self._adwin.width,
        }  # fmt: skip

    def state(self) -> State | None:
        return None

    def restore(self, state: State) -> None:
        raise ValueError("adwin keeps no state")


class QuantileParameters(Parameters):
    """Of `quantile`."""

    q: float = Field(default=0.95, gt=0, lt=1)
    window: int = Field(default=0, ge=0, le=100_000)
    """Samples; 0: an estimate over all (P2)."""


class Quantile:
    """A running quantile."""

    parameters = QuantileParameters
    outputs = ("value",)
    many = target = False

    def __init__(self, given: QuantileParameters, names: Sequence[str]) -> None:
        from river import stats

        del names
        self._quantile: Any = (
            stats.RollingQuantile(given.q, given.window)
            if given.window
            else stats.Quantile(given.q)
        )  # fmt: skip

    def step(self, x: Sequence[float], y: float | None, learn: bool) -> Outputs:
        if learn:
            self._quantile.update(x[0])
        return {"value": self._quantile.get()}

    def state(self) -> State | None:
        return None

    def restore(self, state: State) -> None:
        raise ValueError("quantile keeps no state")


class ScalerParameters(Parameters):
    """What a StandardScaler has learnt, by input."""

    means: dict[str, float] = {}
    vars: dict[str, float] = {}
    counts: dict[str, float] = {}


class LinearParameters(Parameters):
    """Of `linear_regression` and `logistic_regression`; as training wrote them."""

    weights: dict[str, float] = {}
    intercept: float = 0.0
    scaler: ScalerParameters = ScalerParameters()
    learning_rate: float = Field(default=0.01, gt=0)
    l2: float = Field(default=0.0, ge=0)
    standardise: bool = True


class Linear:
    """A scaler and a linear model; `outputs` and the model differ with the kind."""

    parameters = LinearParameters
    outputs: tuple[str, ...] = ("prediction", "residual")
    many = target = True

    def __init__(self, given: LinearParameters, names: Sequence[str]) -> None:
        from river import optim, preprocessing

        self._names, self._given = list(names), given
        strange = sorted(set(given.weights) - set(names))
        if strange:
            raise ValueError(f"weights name {strange[0]!r}, which is not one of the inputs")
        self._model: Any = self._made(optim.SGD(given.learning_rate), given.l2)
        self._scaler = preprocessing.StandardScaler()
        self.restore(given.model_dump(include={"weights", "intercept", "scaler"}))

    def _made(self, optimizer: Any, l2: float) -> Any:
        from river import linear_model

        return linear_model.LinearRegression(optimizer=optimizer, l2=l2)

    def step(self, x: Sequence[float], y: float | None, learn: bool) -> Outputs:
        row: dict[Any, float] = dict(zip(self._names, x, strict=True))
        learns = learn and y is not None
        if learns and self._given.standardise:
            self._scaler.learn_one(row)
        scaled = self._scaler.transform_one(row) if self._given.standardise else row
        outputs = self._judge(scaled, y)
        if learns:
            self._model.learn_one(scaled, y)
        return outputs

    def _judge(self, row: Mapping[Any, float], y: float | None) -> Outputs:
        prediction = self._model.predict_one(row)
        return {"prediction": prediction, "residual": None if y is None else y - prediction}

    def state(self) -> State | None:
        return {
            "weights": dict(self._model.weights), "intercept": self._model.intercept,
            "scaler": {
                "means": dict(self._scaler.means), "vars": dict(self._scaler.vars),
                "counts": dict(self._scaler.counts),
            },
        }  # fmt: skip

    def restore(self, state: State) -> None:
        from river import utils

        self._model._weights = utils.VectorDict(state["weights"])
        self._model.intercept = state["intercept"]
        for name in ("means", "vars", "counts"):
            getattr(self._scaler, name).update(state["scaler"][name])


class Logistic(Linear):
    """Probability of the target being true."""

    outputs = ("probability", "label")

    def _made(self, optimizer: Any, l2: float) -> Any:
        from river import linear_model

        return linear_model.LogisticRegression(optimizer=optimizer, l2=l2)

    def step(self, x: Sequence[float], y: float | None, learn: bool) -> Outputs:
        return super().step(x, None if y is None else bool(y), learn)

    def _judge(self, row: Mapping[Any, float], y: float | None) -> Outputs:
        probability = self._model.predict_proba_one(row).get(True, 0.5)
        return {"probability": probability, "label": probability >= 0.5}


ESTIMATORS: dict[str, Any] = {
    "zscore": Zscore, "gaussian": Gaussian, "half_space_trees": HalfSpaceTrees, "adwin": Adwin,
    "quantile": Quantile, "linear_regression": Linear, "logistic_regression": Logistic,
}  # fmt: skip
