"""Scaler and logistic regression on vectors are River's, number for number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from river.linear_model import LogisticRegression
from river.optim import SGD
from river.preprocessing import StandardScaler

from group_cloud.learning.linear import ReplayedLogistic
from group_cloud.learning.river_models import Logistic, Scaler, logistic_data, logistic_of

MANY, RATE, L2 = 7, 0.02, 1e-3


def _rows(n: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    rows = random.normal(0.0, 1.0, (n, MANY)) * 10.0 ** np.arange(-3, 4)
    rows[:, 2] = 5.0  # never varies
    return rows, rows[:, 3] + 0.1 * rows[:, 4] > random.normal(0.0, 0.5, n)


def test_steps_on_vectors_are_rivers_steps_on_dictionaries() -> None:
    """The same labels in the same order, with a feature that never varies."""
    scaler, model = Scaler(MANY), Logistic(MANY, RATE, L2)
    old_scaler, old = StandardScaler(), LogisticRegression(SGD(RATE), l2=L2, intercept_lr=RATE)
    scaled, known = np.zeros(MANY), dict[Any, Any]()
    for row, label in zip(*_rows(300), strict=True):
        plain: dict[Any, Any] = dict(enumerate(row.tolist()))
        scaler.learn_one(row)
        old_scaler.learn_one(plain)
        scaled = scaler.transform(row)
        known = old_scaler.transform_one(plain)
        np.testing.assert_allclose(scaled, list(known.values()), rtol=1e-9, atol=1e-12)
        model.learn(scaled[None], [bool(label)])
        old.learn_one(known, bool(label))
    weights = [old.weights[i] for i in range(MANY)]
    np.testing.assert_allclose(model.weights, weights, rtol=1e-9, atol=1e-12)
    assert model.intercept == pytest.approx(old.intercept, rel=1e-9)
    assert model.weights[2] == 0
    # Without averaging the judgement is River's too.
    assert model.logit(scaled) == pytest.approx(old._raw_dot_one(known), rel=1e-9)


def test_the_average_is_over_the_newest_weights_and_survives() -> None:
    """At first over all of them, then over as many as its share says; older data have none."""
    model, kept = Logistic(MANY, RATE, 0.0, averaging=0.25), []
    for row, label in zip(*_rows(9), strict=True):
        model.learn(row[None] / 1e3, [bool(label)])
        kept.append(model.weights.copy())
    wanted = kept[0]
    for number, weights in enumerate(kept[1:], 2):
        wanted = wanted + max(0.25, 1 / number) * (weights - wanted)
    np.testing.assert_allclose(model.averaged, wanted, rtol=1e-9)
    data = logistic_data(model)
    again = logistic_of(data, MANY, RATE, 0.0, 0.25)
    x = np.ones(MANY)
    assert again.logit(x) == model.logit(x)
    older = {name: data[name] for name in ("weights", "intercept", "steps")}
    assert logistic_of(older, MANY, RATE, 0.0).logit(x) == model.weights.sum() + model.intercept


def test_a_row_that_is_no_row_is_refused() -> None:
    model = ReplayedLogistic(2)
    for bad in ([1.0], [1.0, 2.0, 3.0], [1.0, float("nan")], [1.0, float("inf")]):
        with pytest.raises(ValueError, match="feature"):
            model.learn_one(bad, True)
