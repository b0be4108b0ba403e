"""What an alarm's condition needs beyond a limit, a side and a deadband: plain frozen numbers.

Part of `AlarmDefinition`; made from the site's YAML or from a directive's model parameters; run by
the edge's conditions. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["high", "low", "both"]
Factor = Literal["man", "machine", "material", "method", "environment"]
ModelType = Literal["logistic", "linear", "quantile"]
Plain = bool | float | str


@dataclass(frozen=True, slots=True)
class Opening:
    """One daily window of a schedule: minutes of the day on the days of the week it begins on."""

    days: tuple[int, ...]
    """0 is Monday."""
    start: int
    end: int
    """Not after `start`: it ends the next day."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a condition counts, in the site's time zone."""

    timezone: str
    openings: tuple[Opening, ...]


@dataclass(frozen=True, slots=True)
class Repeats:
    """A condition counts only when it was there so often."""

    times: int
    within_ms: int | None = None
    """None: in a row, without a sample in between that does not satisfy it."""
    of: Literal["samples", "episodes"] = "samples"
    """Samples that satisfy it, or changes from not satisfying to satisfying it."""


@dataclass(frozen=True, slots=True)
class ModelParameters:
    """A trained model as plain numbers; `version` counts what the cloud has sent."""

    type: ModelType
    inputs: tuple[str, ...]
    """Tags, or expressions over tags."""
    version: int = 1
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    """Each input is (value - mean) / scale."""
    weights: tuple[float, ...] = ()
    bias: float = 0.0
    probabilities: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    """For `quantile`: the values at the probabilities."""


@dataclass(frozen=True, slots=True)
class ConditionSpec:
    """The numbers of one condition; which of them count depends on the alarm's kind."""

    direction: Direction = "both"
    against: str = ""
    """deviation: the set-point's tag; discrepancy: the command's tag."""
    target: float | None = None
    """deviation: a fixed set-point."""
    span_ms: int = 60_000
    """rate: over how long."""
    per_ms: int = 60_000
    """rate: the unit of time of the limit."""
    any_of: tuple[Plain, ...] = ()
    none_of: tuple[Plain, ...] = ()
    within_ms: int = 0
    """discrepancy: how long the feedback may take."""
    pairs: tuple[tuple[Plain, tuple[Plain, ...]], ...] = ()
    """discrepancy: command -> feedbacks that agree with it."""
    half_life_ms: int = 600_000
    min_samples: int = 30
    least_spread: float = 0.0
    """zscore: a standard deviation below this counts as this (a signal that hardly moves)."""
    model: ModelParameters | None = None
    repeats: Repeats | None = None
    schedule: Schedule | None = None


def model_fault(model: ModelParameters) -> str:
    """What does not fit in a model's numbers, with the mend; empty when they do.

    Asked for the site's own models and for those that a directive brings.
    """
    inputs = len(model.inputs)
    for name, row in (("mean", model.mean), ("scale", model.scale)):
        if row and len(row) != inputs:
            return f"`{name}` has {len(row)} numbers for {inputs} inputs; give one for each input"
    if any(value == 0 for value in model.scale):
        return "`scale` holds a zero; leave the constant input out of the model"
    numbers = (*model.mean, *model.scale, *model.weights, *model.probabilities, *model.values)
    if any(value != value or abs(value) == float("inf") for value in (*numbers, model.bias)):
        return "a model's numbers are finite; export it again without nan and inf"
    if model.type != "quantile":
        if len(model.weights) != inputs:
            return f"`weights` has {len(model.weights)} numbers for {inputs} inputs; give one each"
        return ""
    rising = all(a < b for a, b in zip(model.probabilities, model.probabilities[1:], strict=False))
    if inputs != 1 or len(model.values) < 2 or len(model.values) != len(model.probabilities):
        return "a quantile model has one input and as many `values` as `probabilities`, two or more"
    if not rising or model.probabilities[0] <= 0 or model.probabilities[-1] >= 1:
        return "`probabilities` rise between 0 and 1, for example [0.01, 0.5, 0.99]"
    if list(model.values) != sorted(model.values):
        return "`values` do not fall while `probabilities` rise; sort them together"
    return ""
