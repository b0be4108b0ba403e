"""A trained model as a condition: scaler with logistic regression, linear score, or quantiles.

Made by the registry from plain numbers; nothing that could be executed comes with them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable

from edge_node.domain.conditions.band import outside
from edge_node.domain.conditions.port import Answer, Condition, Environment, Names
from shared.alarm.condition import ConditionSpec, ModelParameters
from shared.alarm.definition import AlarmDefinition
from shared.errors import ConfigError
from shared.expression import ExpressionError, compile_expression, is_unknown

EVERY_MS = 1000


class ModelCondition:
    """The model's score of the inputs beyond `limit`."""

    __slots__ = ("_inputs", "_setting", "_spec", "_was", "_weighs", "alarms", "every_ms", "model",
                 "tags")  # fmt: skip

    def __init__(self, definition: AlarmDefinition, spec: ConditionSpec, names: Names) -> None:
        if spec.model is None:
            raise ConfigError(f"alarm {definition.id}: no model", mend="write its `model`")
        self.model = spec.model
        self._spec, self._setting = spec, definition.setting
        compiled = [_input(text, definition, names) for text in spec.model.inputs]
        self._inputs: list[Callable[[Environment], object]] = [run for run, _ in compiled]
        self.tags: tuple[str, ...] = tuple(sorted({tag for _, tags in compiled for tag in tags}))
        self.alarms: tuple[str, ...] = ()
        self.every_ms: int | None = EVERY_MS
        self._was = False

    def sample(self, tag: str, at: int, value: float | str, good: bool) -> None:
        """The tag table keeps what the model reads."""

    def look(self, tags: Environment, at: int) -> Answer:
        """The score now; unknown while an input is."""
        tags.now = at
        row: list[float] = []
        for run in self._inputs:
            value = run(tags)
            if is_unknown(value):
                return Answer(None, reason=getattr(value, "code", "unknown"))
            if not isinstance(value, float | int):
                return Answer(None, reason="wrong_type")
            row.append(float(value))
        value = score(self.model, row)
        if math.isnan(value):
            return Answer(None, reason="tag_no_value")
        setting = self._setting
        if self.model.type == "quantile":
            side = {"high": value, "low": 1 - value, "both": abs(2 * value - 1)}
            value = side[self._spec.direction]
        self._was = outside(value, setting.limit, setting.deadband, "high", self._was)
        return Answer(self._was, value, params={"model": self.model.version})

    def adopt(self, old: Condition) -> None:
        """Keep the side of the deadband."""
        if isinstance(old, ModelCondition):
            self._was = old._was


def score(model: ModelParameters, row: list[float]) -> float:
    """What the model says of one row of inputs: a probability, or a linear score."""
    if model.mean:
        row = [value - mean for value, mean in zip(row, model.mean, strict=True)]
    if model.scale:
        row = [value / scale for value, scale in zip(row, model.scale, strict=True)]
    if model.type == "quantile":
        return _probability(model, row[0])
    total = model.bias + math.fsum(w * v for w, v in zip(model.weights, row, strict=True))
    if model.type == "linear":
        return total
    # The two forms are equal; each is used where its exponent cannot overflow.
    if total >= 0:
        return 1 / (1 + math.exp(-total))
    return math.exp(total) / (1 + math.exp(total))


def _probability(model: ModelParameters, value: float) -> float:
    values, shares = model.values, model.probabilities
    place = bisect_right(values, value)
    if place == 0:
        return 0.0
    if place == len(values):
        return 1.0 if value > values[-1] else shares[-1]
    low, high = values[place - 1], values[place]
    part = (value - low) / (high - low)
    return shares[place - 1] + part * (shares[place] - shares[place - 1])


def _input(
    text: str, definition: AlarmDefinition, names: Names
) -> tuple[Callable[[Environment], object], frozenset[str]]:
    source = f'tag("{text}").value' if text in names else text
    try:
        expression = compile_expression(source, tags=list(names))
    except ExpressionError as error:
        raise ConfigError(
            f"alarm {definition.id}: model input {text!r}, column {error.column}: "
            f"{error.text['en']}",
            mend="write a tag or an expression over tags of this edge",
        ) from error
    for use in expression.windows:
        names.watch(use)
    return expression.compile_to_python(), expression.tags
