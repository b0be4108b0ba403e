"""What comes over a wire as windows or as a model is held against its bounds before it is used."""

from __future__ import annotations

import math
import subprocess
import sys
from array import array
from typing import Any

import msgspec
import numpy as np
import pytest

from shared.alarm.warning_checks import model_fault, windows_fault
from shared.alarm.warning_model import Relation, WarningModel, many_features
from shared.alarm.warning_schema import MOST_TAGS, WINDOW_MS, schema_hash
from shared.errors import ContractError
from shared.messages.warning import MAX_BYTES, WarningPush, WarningWindows, canonical, read

TAGS = ["A", "B", "C"]
PLANT = schema_hash(TAGS)
NOW = 1_000 * WINDOW_MS


def windows(**changes: Any) -> WarningWindows:
    usual: dict[str, Any] = {
        "site": "f1", "plant": PLANT, "line": "L", "tags": TAGS, "revision": 1,
        "times": [NOW - WINDOW_MS, NOW], "labels": [1, 0], "faults": ["x", ""],
        "vectors": bytes(array("f", [0.5] * 24)),
    }  # fmt: skip
    return WarningWindows(**{**usual, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"vectors": bytes(array("f", [math.nan, *[0.5] * 23]))},
        {"vectors": bytes(array("f", [math.inf, *[0.5] * 23]))},
        {"vectors": bytes(array("f", [1e6, *[0.5] * 23]))},
        {"vectors": b"\0" * 95},
        {"times": [NOW, NOW]},
        {"times": [NOW - WINDOW_MS + 1, NOW]},
        {"times": [NOW, NOW + WINDOW_MS]},
        {"labels": [1, 2]},
        {"labels": [1]},
        {"faults": ["", ""]},
        {"faults": ["x", "y"]},
        {"faults": ["x" * 200, ""]},
        {"revision": 0},
        {"tags": ["A", "B", "D"]},
        {"tags": ["A", "B"], "plant": schema_hash(["A", "B"])},
        {"tags": ["A", "A", "B"], "plant": schema_hash(["A", "A", "B"])},
        {"times": [], "labels": [], "faults": [], "vectors": b""},
    ],
)
def test_windows_out_of_their_bounds_are_refused(changes: dict[str, Any]) -> None:
    assert windows_fault(windows(), NOW) == ""
    assert windows_fault(windows(**changes), NOW)


def test_too_many_windows_or_tags_are_refused() -> None:
    many = 97
    long = windows(
        times=[NOW - n * WINDOW_MS for n in range(many)], labels=[0] * many, faults=[""] * many,
        vectors=bytes(array("f", [0.0] * 12 * many)),
    )  # fmt: skip
    assert "97 windows" in windows_fault(long, NOW)
    tags = [f"T{n}" for n in range(MOST_TAGS + 1)]
    wide = windows(tags=tags, plant=schema_hash(tags), vectors=b"\0" * 8 * 4 * len(tags))
    assert "65 tags" in windows_fault(wide, NOW)


def model(tags: list[str] = TAGS) -> dict[str, Any]:
    many = len(tags)
    relation = Relation(np.zeros(many), np.ones(many), np.eye(many))
    wide = many_features(many)
    return WarningModel(
        tuple(tags), (relation, relation), np.zeros(wide), np.ones(wide), np.full(wide, 0.1), 0.0,
        1.0, 1.0, 0.0,
    ).to_dict()  # fmt: skip


def _spoilt(name: str, value: Any) -> dict[str, Any]:
    return {**model(), name: value}


def _relation(**changes: Any) -> dict[str, Any]:
    first, second = model()["relations"]
    return _spoilt("relations", [{**first, **changes}, second])


@pytest.mark.parametrize(
    "data",
    [
        _spoilt("weights", [math.nan, *model()["weights"][1:]]),
        _spoilt("weights", [*model()["weights"], 0.0]),
        _spoilt("weights", ["1.0", *model()["weights"][1:]]),
        _spoilt("sigma", [0.0, *model()["sigma"][1:]]),
        _spoilt("intercept", math.inf),
        _spoilt("threshold", True),
        _spoilt("calibration", [-1.0, 0.0]),
        _spoilt("calibration", [0.0, 0.0]),
        _spoilt("schema", "warning-model/v2"),
        _spoilt("features", "0" * 16),
        _spoilt("tags", ["A", "B", "D"]),
        _spoilt("code", "import os"),
        _spoilt("relations", []),
        _relation(inverse=[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]),
        _relation(inverse=[[math.nan] * 3] * 3),
        _relation(sigma=[1.0, 0.0, 1.0]),
        _relation(mean=[1e12, 0.0, 0.0]),
    ],
)
def test_a_model_that_is_none_is_refused(data: dict[str, Any]) -> None:
    assert model_fault(model(), TAGS, PLANT) == ""
    assert model_fault(data, TAGS, PLANT)


def test_the_largest_plant_fits_into_a_push_and_nothing_larger_is_read() -> None:
    tags = [f"PLANT-{n:02d}.TAG" for n in range(MOST_TAGS)]
    found = model(tags)
    for each in found["relations"]:
        each["inverse"] = [[1 / (1 + a + b) for a in range(64)] for b in range(64)]
    assert model_fault(found, tags, schema_hash(tags)) == ""
    push = WarningPush(
        id="p", site="f1", counter=1, kind="model", plant=schema_hash(tags), tags=tags,
        model=found, issued_at=1, expires_at=2,
    )  # fmt: skip
    payload = canonical(push)
    assert read(payload) == push
    with pytest.raises(ContractError, match="bytes"):
        read(payload + b"\0" * MAX_BYTES)
    with pytest.raises(ContractError):
        read(msgspec.msgpack.encode({**msgspec.to_builtins(push), "limit": 5}))


def test_checking_needs_no_numpy() -> None:
    code = "import sys, shared.alarm.warning_checks; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
