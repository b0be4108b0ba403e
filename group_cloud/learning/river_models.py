"""River's scaler and logistic regression, imported lean, with their state as plain data.

Imported by the group's classifiers only. It learns nothing by itself.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import river


def _load(package: str, module: str) -> Any:
    """One module without its package's other estimators.

    The packages import scipy.stats for estimators that we do not use, which costs seconds. The
    package's own start is skipped, and undone afterwards: whoever imports it later gets all of it,
    with these same classes.
    """
    if package in sys.modules:
        return importlib.import_module(f"{package}.{module}")
    stand_in = ModuleType(package)
    stand_in.__path__ = [str(Path(river.__file__).parent / package.rpartition(".")[2])]
    sys.modules[package] = stand_in
    try:
        if package == "river.linear_model":
            importlib.import_module(f"{package}.base")
        return importlib.import_module(f"{package}.{module}")
    finally:
        del sys.modules[package]


_Scaler = _load("river.preprocessing", "scale").StandardScaler
_Logistic = _load("river.linear_model", "log_reg").LogisticRegression


def new_scaler() -> Any:
    """A StandardScaler that has seen nothing."""
    return _Scaler()


def new_logistic(rate: float, l2: float) -> Any:
    """A LogisticRegression that has seen nothing; plain SGD, whose only state is its count."""
    from river.optim.sgd import SGD

    return _Logistic(optimizer=SGD(rate), l2=l2, intercept_lr=rate)


def scaler_data(scaler: Any, many: int) -> list[list[float]]:
    """Count, mean and variance of the features 0..many-1."""
    return [
        [float(table[i]) for i in range(many)]
        for table in (scaler.counts, scaler.means, scaler.vars)
    ]


def scaler_of(data: list[list[float]]) -> Any:
    """Read what `scaler_data` wrote."""
    scaler = new_scaler()
    for place, (count, mean, variance) in enumerate(zip(*data, strict=True)):
        if count:
            scaler.counts[place] = int(count)
            scaler.means[place], scaler.vars[place] = mean, variance
    return scaler


def logistic_data(model: Any, many: int) -> dict[str, Any]:
    """Weights, intercept and the count of steps."""
    weights = model.weights
    return {
        "weights": [float(weights.get(i, 0.0)) for i in range(many)] if weights else [],
        "intercept": float(model.intercept),
        "steps": int(model.optimizer.n_iterations),
    }


def logistic_of(data: dict[str, Any], rate: float, l2: float) -> Any:
    """Read what `logistic_data` wrote."""
    from river.utils import VectorDict

    model = new_logistic(rate, l2)
    model._weights = VectorDict(dict(enumerate(data["weights"])))
    model.intercept = data["intercept"]
    model.optimizer.n_iterations = data["steps"]
    return model
