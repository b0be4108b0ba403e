"""ONNX models and River's estimators, called as the computed driver calls them."""

from __future__ import annotations

import json
import math
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_node.adapters.functions.onnx_model import OnnxFunction
from edge_node.adapters.functions.river_model import RiverFunction
from edge_node.adapters.functions.river_model import build as build_river
from edge_node.adapters.sources import registry
from edge_node.adapters.sources.port import Source
from shared.clock import ManualClock
from shared.errors import ConfigError
from tests.support.computed import call_of, configure, linear_model, source_of


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "functions").mkdir()
    linear_model(tmp_path / "functions" / "m.onnx", [[1, 2], [10, 20]])
    return tmp_path


def onnx_source(site: Path, tags: dict[str, str], **options: Any) -> Source:
    given = {"model": "functions/m.onnx", **options}
    inputs = options.pop("_inputs", ["A", "B"])
    given.pop("_inputs", None)
    return source_of(configure("onnx", inputs, tags, given, settings={"site_dir": str(site)}))


def test_a_model_computes_from_its_inputs_in_their_order(site: Path) -> None:
    source = onnx_source(site, {"Y0": "0", "Y1": "y[1]", "T": "total"})
    made = OnnxFunction(source)
    made.load()
    assert made.call(call_of(source, 3, 4)) == {"0": 43.0, "y[1]": 86.0, "total": 129.0}


def test_a_scaler_stands_before_the_model(site: Path) -> None:
    scaler = {"mean": [1, 2], "scale": [2, 4]}
    source = onnx_source(site, {"Y0": "0"}, scaler=scaler)
    made = OnnxFunction(source)
    made.load()
    assert made.call(call_of(source, 5, 10)) == {"0": 2.0 + 20.0}


@pytest.mark.parametrize(
    ("tags", "options", "told"),
    [
        ({"Y": "z"}, {}, "has no output 'z'"),
        ({"Y": "0"}, {"_inputs": ["A", "B", "C"]}, "takes 2 values, the source has 3 inputs"),
        ({"Y": "0"}, {"input": "u"}, "write `input: x`"),
        ({"Y": "0"}, {"model": "functions/none.onnx"}, "no such file"),
        ({"Y": "0"}, {"model": "functions/bad.onnx"}, "cannot be loaded"),
    ],
)
def test_a_model_that_does_not_fit_says_so(
    site: Path, tags: dict[str, str], options: dict[str, Any], told: str
) -> None:
    (site / "functions" / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ConfigError) as raised:
        OnnxFunction(onnx_source(site, tags, **options)).load()
    assert told in str(raised.value)


def river(
    site: Path, estimator: str, inputs: list[str], tags: dict[str, str], **options: Any
) -> tuple[RiverFunction, Source]:
    settings = {"site_dir": str(site), "state_dir": str(site / "state")}
    options = {"estimator": estimator, **options}
    source = source_of(configure("river", inputs, tags, options, settings=settings))
    build_river(source, None, ManualClock())  # type: ignore[arg-type]
    made = RiverFunction(source)
    made.load()
    return made, source


def run(made: RiverFunction, source: Source, *rows: Any) -> list[Any]:
    return [
        made.call(call_of(source, *(row if isinstance(row, tuple) else (row,)))) for row in rows
    ]


def test_a_z_score_is_of_what_came_before(site: Path) -> None:
    made, source = river(
        site, "zscore", ["A"], {"Z": "z", "M": "mean", "S": "sigma"}, parameters={"grace": 4}
    )
    answers = run(made, source, 1, 2, 3, 4, 10)
    assert answers[3]["z"] is None
    sigma = math.sqrt(5 / 3)
    assert answers[4]["mean"] == pytest.approx(2.5)
    assert answers[4]["sigma"] == pytest.approx(sigma)
    assert answers[4]["z"] == pytest.approx(7.5 / sigma)


def test_what_was_learnt_is_kept_as_json_and_only_for_the_same_parameters(site: Path) -> None:
    made, source = river(site, "zscore", ["A"], {"M": "mean"}, parameters={"grace": 3})
    run(made, source, 1, 2, 3)
    made.close()
    kept = json.loads((site / "state" / "river.json").read_text())
    assert kept["state"] == {"n": 3, "mean": 2.0, "var": pytest.approx(1.0)}
    again, source = river(site, "zscore", ["A"], {"M": "mean"}, parameters={"grace": 3})
    assert run(again, source, 9) == [{"mean": 2.0}]
    other, source = river(site, "zscore", ["A"], {"M": "mean"}, parameters={"grace": 2})
    assert run(other, source, 9) == [{"mean": None}]
    (site / "state" / "river.json").write_text("{torn")
    torn, source = river(site, "zscore", ["A"], {"M": "mean"}, parameters={"grace": 3})
    assert run(torn, source, 9) == [{"mean": None}]


def test_anomaly_scores_tell_the_strange_from_the_usual(site: Path) -> None:
    random.seed(3)
    usual = [random.gauss(50, 2) for _ in range(200)]
    made, source = river(site, "gaussian", ["A"], {"S": "score"})
    run(made, source, *usual)
    near, far = run(made, source, 50, 70)
    assert near["score"] < 0.3
    assert far["score"] > 0.999
    pairs = [(value, 100 - value) for value in usual]
    parameters = {"limits": [[0, 100], [0, 100]], "window_size": 100}
    trees, source = river(
        site, "half_space_trees", ["A", "B"], {"S": "score"}, parameters=parameters
    )
    assert run(trees, source, *pairs)[0]["score"] is None
    near, far = run(trees, source, (50, 50), (5, 5))
    assert far["score"] > near["score"] + 0.1


def test_a_drift_and_a_quantile_are_found(site: Path) -> None:
    random.seed(5)
    made, source = river(site, "adwin", ["A"], {"D": "drift", "M": "mean"})
    levels = [random.gauss(10, 1) for _ in range(400)] + [random.gauss(20, 1) for _ in range(200)]
    answers = run(made, source, *levels)
    drifts = [i for i, answer in enumerate(answers) if answer["drift"]]
    assert drifts
    assert 400 <= drifts[0] < 500
    assert answers[-1]["mean"] == pytest.approx(20, abs=1)
    quantile, source = river(
        site, "quantile", ["A"], {"Q": "value"}, parameters={"q": 0.9, "window": 100}
    )
    assert run(quantile, source, *range(101))[-1]["value"] == pytest.approx(90, abs=1.5)


def test_a_regression_learns_its_target_and_goes_on_from_given_parameters(site: Path) -> None:
    random.seed(7)
    made, source = river(
        site, "linear_regression", ["A", "B", "Y"], {"P": "prediction", "R": "residual"},
        target="Y", parameters={"learning_rate": 0.05},
    )  # fmt: skip
    rows = [(a, b, 3 * a - b + 4) for a, b in
            ((random.uniform(0, 10), random.uniform(0, 10)) for _ in range(1500))]  # fmt: skip
    answers = run(made, source, *rows)
    assert abs(answers[-1]["residual"]) < 0.5
    learnt = made._estimator.state()  # type: ignore[union-attr]
    (site / "functions" / "p.json").write_text(json.dumps(learnt))
    fixed, source = river(
        site, "linear_regression", ["A", "B", "Y"], {"P": "prediction", "R": "residual"},
        target="Y", learn=False, parameters_file="functions/p.json",
    )  # fmt: skip
    (answer,) = run(fixed, source, (2.0, 5.0, 99.0))
    assert answer["prediction"] == pytest.approx(5.0, abs=0.5)
    assert answer["residual"] == pytest.approx(94.0, abs=0.5)
    assert fixed._estimator.state() == learnt  # type: ignore[union-attr]


def test_a_logistic_regression_gives_a_probability(site: Path) -> None:
    parameters = {"weights": {"A": 2.0}, "intercept": -4.0, "standardise": False}
    made, source = river(
        site, "logistic_regression", ["A"], {"P": "probability", "L:boolean": "label"},
        learn=False, parameters=parameters,
    )  # fmt: skip
    low, high = run(made, source, 1.0, 4.0)
    assert low == {"probability": pytest.approx(1 / (1 + math.exp(2))), "label": False}
    assert high == {"probability": pytest.approx(1 / (1 + math.exp(-4))), "label": True}


@pytest.mark.parametrize(
    ("estimator", "inputs", "tags", "options", "told"),
    [
        ("zscore", ["A", "B"], {"Z": "z"}, {}, "takes one input, not 2"),
        ("zscore", ["A"], {"Z": "value"}, {}, "no output 'value'"),
        ("zscore", ["A"], {"Z": "z"}, {"parameters": {"grase": 3}}, "parameters.grase"),
        ("adwin", ["A"], {"D": "drift"}, {"target": "A"}, "adwin has no target"),
        ("linear_regression", ["A"], {"P": "prediction"}, {"target": "Y"}, "not one of its inputs"),
        ("linear_regression", ["A"], {"P": "prediction"}, {"parameters": {"weights": {"Q": 1}}},
         "weights name 'Q'"),
    ],
)  # fmt: skip
def test_an_estimator_that_does_not_fit_says_so(
    site: Path, estimator: str, inputs: list[str], tags: dict[str, str], options: dict[str, Any],
    told: str,
) -> None:  # fmt: skip
    with pytest.raises(ConfigError) as raised:
        river(site, estimator, inputs, tags, **options)
    assert told in str(raised.value)
    assert "mend" in str(raised.value)


@pytest.mark.parametrize(
    ("package", "driver", "more", "extra"),
    [
        ("onnxruntime", "onnx", {"options": {"model": "functions/m.onnx"}}, "andon[models]"),
        ("river", "river", {"options": {"estimator": "zscore"}}, "andon[models]"),
        ("aiosqlite", "lookup", {"url": "sqlite+aiosqlite:///x.db"}, "andon[sql]"),
        ("sqlalchemy", "lookup", {"url": "sqlite+aiosqlite:///x.db"}, "andon[sql]"),
    ],
)
def test_a_package_that_is_not_there_is_named_with_the_mend(
    package: str, driver: str, more: dict[str, Any], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    options = more.get("options", {"query": "select :key"})
    message = configure(driver, ["A"], {"OUT": "0" if driver == "onnx" else "z"}, options,
                        url=more.get("url", ""))  # fmt: skip
    with pytest.raises(ConfigError) as raised:
        registry.build(message, None, ManualClock())  # type: ignore[arg-type]
    assert extra in str(raised.value)
