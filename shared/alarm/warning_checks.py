"""Whether what came over a wire is windows or a model of early warning: bounds first.

Asked by the group of a factory's windows and by the factory of the group's model; free of numpy. It
decides nothing but whether the numbers can be what they say.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from shared.alarm.warning_schema import (
    LEAST_TAGS,
    MODEL_SCHEMA,
    MOST_TAGS,
    WINDOW_MS,
    schema_hash,
)
from shared.messages.warning import (
    FAULTY,
    FLOAT_BYTES,
    MOST_WINDOWS,
    NORMAL,
    PARTS,
    WITHDRAWN,
    WarningWindows,
)

MOST_VALUE = 1e3
"""Parts are clipped to tens of sigmas: a larger number is none of them."""
MOST_COEFFICIENT = 1e9
MOST_NAME = 128
MOST_FEATURES = 16
"""Features per tag, and as many as that besides, at most."""
_MODEL = {
    "schema", "features", "tags", "relations", "mean", "sigma", "weights", "intercept",
    "threshold", "calibration",
}  # fmt: skip


def tags_fault(tags: Sequence[Any], plant: str) -> str:
    """Why these are not a plant's tags; "" if they are."""
    if not LEAST_TAGS <= len(tags) <= MOST_TAGS:
        return f"{len(tags)} tags, between {LEAST_TAGS} and {MOST_TAGS} wanted"
    if not all(isinstance(tag, str) and 0 < len(tag) <= MOST_NAME for tag in tags):
        return "a tag without a usable name"
    if len(set(tags)) != len(tags):
        return "a tag named twice"
    return "" if schema_hash(tags) == plant else "a plant of another feature schema"


def windows_fault(body: WarningWindows, latest: int) -> str:
    """Why a message is not labelled windows; "" if it is. `latest`: none may end after it."""
    if why := tags_fault(body.tags, body.plant):
        return why
    many = len(body.times)
    if not 0 < many <= MOST_WINDOWS or {len(body.labels), len(body.faults)} != {many}:
        return f"{many} windows, {len(body.labels)} labels, {len(body.faults)} faults"
    if len(body.vectors) != many * PARTS * len(body.tags) * FLOAT_BYTES:
        return f"{len(body.vectors)} bytes for {many} windows of {len(body.tags)} tags"
    if body.revision < 1 or len(body.line) > MOST_NAME or len(set(body.times)) != many:
        return "a revision below 1, a line's name too long, or a window twice"
    if any(at % WINDOW_MS or not 0 < at <= latest for at in body.times):
        return "a window that ends at no window's end, or in the future"
    if any(label not in (WITHDRAWN, NORMAL, FAULTY) for label in body.labels):
        return "an unknown label"
    if any(len(fault) > MOST_NAME for fault in body.faults):
        return "a fault's name too long"
    if any((label == FAULTY) != bool(f) for label, f in zip(body.labels, body.faults, strict=True)):
        return "a label without its fault, or a fault without its label"
    if not all(-MOST_VALUE <= value <= MOST_VALUE for value in floats(body.vectors)):
        return "a number that is no sigma"  # NaN is within nothing
    return ""


def floats(data: bytes) -> array[float]:
    """float32, little-endian."""
    found = array("f", data)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def model_fault(model: Mapping[str, Any], tags: Sequence[str], plant: str) -> str:
    """Why a map is not a model over these tags; "" if it can be one."""
    if set(model) != _MODEL or model["schema"] != MODEL_SCHEMA:
        return "not a model of this schema"
    if why := tags_fault(tags, plant):
        return why
    if model["tags"] != list(tags) or model["features"] != plant:
        return "a model of other tags"
    many, relations = len(tags), model["relations"]
    if not isinstance(relations, list) or len(relations) != 2:
        return "not two relations"
    for each in relations:
        if why := _relation_fault(each, many):
            return why
    lists = [model[name] for name in ("mean", "sigma", "weights")]
    if not all(isinstance(each, list) and len(each) == len(lists[0]) for each in lists):
        return "coefficients of different lengths"
    if not 0 < len(lists[0]) <= MOST_FEATURES * (many + 1):
        return f"{len(lists[0])} coefficients"
    calibration = model["calibration"]
    if not isinstance(calibration, list) or len(calibration) != 2:
        return "no calibration"
    numbers = [*lists[0], *lists[1], *lists[2], *calibration, model["intercept"]]
    if not _finite([*numbers, model["threshold"]]):
        return "a coefficient that is no finite number"
    if min(lists[1]) <= 0 or calibration[0] <= 0:
        return "a spread or a calibration that turns things round"
    return ""


def _relation_fault(found: Any, many: int) -> str:
    if not isinstance(found, dict) or set(found) != {"mean", "sigma", "inverse"}:
        return "not a relation"
    mean, sigma, inverse = found["mean"], found["sigma"], found["inverse"]
    if not all(isinstance(each, list) and len(each) == many for each in (mean, sigma, inverse)):
        return "a relation of other tags"
    if not all(isinstance(row, list) and len(row) == many and _finite(row) for row in inverse):
        return "a relation that is no square of finite numbers"
    if not (_finite(mean) and _finite(sigma)) or min(sigma) <= 0:
        return "a relation without finite spreads"
    return "" if all(inverse[i][i] > 0 for i in range(many)) else "a relation without itself"


def _finite(values: Sequence[Any]) -> bool:
    return all(
        isinstance(value, int | float) and not isinstance(value, bool)
        and math.isfinite(value) and abs(value) <= MOST_COEFFICIENT
        for value in values
    )  # fmt: skip
