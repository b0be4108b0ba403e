"""The condition of an alarm as an engineer writes it: fields of each kind, and what fits together.

Part of `AlarmSpec`; `condition_spec` turns it into what runs. Single alarms only: what they say
about tags and other alarms is checked by `condition_checks`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from shared.alarm.condition import (
    ConditionSpec,
    Direction,
    Factor,
    ModelParameters,
    ModelType,
    Opening,
    Plain,
    Repeats,
    Schedule,
    model_fault,
)
from shared.site.fields import Duration, Model, TagId

Kind = Literal[
    "limit", "discrete", "expression", "stale", "bad_quality",
    "deviation", "rate", "discrepancy", "zscore", "model",
]  # fmt: skip
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")
_OF_KIND = {
    "inclusive": ("limit",),
    "direction": ("deviation", "rate", "zscore", "model"),
    "setpoint": ("deviation",),
    "span": ("rate",),
    "per": ("rate",),
    "any_of": ("discrete",),
    "none_of": ("discrete",),
    "equals": ("discrete",),
    "command": ("discrepancy",),
    "within": ("discrepancy",),
    "pairs": ("discrepancy",),
    "half_life": ("zscore",),
    "min_samples": ("zscore",),
    "least_spread": ("zscore",),
    "model": ("model",),
    "when": ("expression",),
}
"""Fields that mean something for these kinds alone."""


def _positive(ms: int) -> int:
    if ms <= 0:
        raise ValueError("a duration here is longer than nothing, for example 10s")
    return ms


def _minutes(text: Any) -> int:
    found = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError('a time of day is written in quotes as "08:30", from "00:00" to "24:00"')
    return 24 * 60 if found[1] is None else int(found[1]) * 60 + int(found[2])


Positive = Annotated[Duration, AfterValidator(_positive)]
TimeOfDay = Annotated[int, BeforeValidator(_minutes)]


class OpeningSpec(Model):
    """One daily window; `to` not after `from` ends on the next day."""

    days: list[Day] = Field(default_factory=lambda: list(DAYS), min_length=1)
    start: TimeOfDay = Field(alias="from")
    end: TimeOfDay = Field(alias="to")


class ModelSpec(Model):
    """A trained model as plain numbers."""

    type: ModelType
    inputs: list[str] = Field(min_length=1, max_length=64)
    version: int = Field(default=1, ge=1)
    mean: list[float] = Field(default_factory=list)
    scale: list[float] = Field(default_factory=list)
    weights: list[float] = Field(default_factory=list)
    bias: float = 0.0
    probabilities: list[float] = Field(default_factory=list)
    values: list[float] = Field(default_factory=list)

    @model_validator(mode="after")
    def _numbers_fit(self) -> ModelSpec:
        fault = model_fault(self.parameters())
        if fault:
            raise ValueError(fault)
        return self

    def parameters(self) -> ModelParameters:
        """The parameters that run."""
        return ModelParameters(
            self.type, tuple(self.inputs), self.version, tuple(self.mean), tuple(self.scale),
            tuple(self.weights), self.bias, tuple(self.probabilities), tuple(self.values),
        )  # fmt: skip


class ConditionFields(Model):
    """The fields of an alarm that say when its condition holds, beyond limit and deadband."""

    kind: Kind = "limit"
    limit: float | None = None
    deadband: float = Field(default=0.0, ge=0)
    equals: bool | float | str | None = None
    when: str = ""
    inclusive: bool = False
    direction: Direction = "both"
    setpoint: float | TagId | None = None
    span: Positive = 60_000
    per: Positive = 60_000
    any_of: list[Plain] = Field(default_factory=list, max_length=100)
    none_of: list[Plain] = Field(default_factory=list, max_length=100)
    command: TagId | None = None
    within: Duration = 0
    pairs: dict[Plain, list[Plain]] = Field(default_factory=dict)
    half_life: Positive = 600_000
    min_samples: int = Field(default=30, ge=2)
    least_spread: float = Field(default=0.0, ge=0)
    model: ModelSpec | None = None
    repeats: int | None = Field(default=None, ge=2, le=10_000)
    repeat_within: Positive | None = None
    repeat_counts: Literal["samples", "episodes"] = "samples"
    schedule: list[OpeningSpec] = Field(default_factory=list)
    factors: list[Factor] = Field(default_factory=list)

    @model_validator(mode="after")
    def _kind_has_its_fields(self) -> ConditionFields:
        fault = _missing(self) or _stray(self) or _repeats(self)
        if fault:
            raise ValueError(fault)
        return self


def _missing(spec: ConditionFields) -> str:
    match spec.kind:
        case "discrete" if spec.equals is None and not spec.any_of and not spec.none_of:
            return (
                "a discrete alarm needs `equals`: the value that is abnormal "
                "(or `any_of`/`none_of`: a list)"
            )
        case "discrete" if (spec.equals is not None) + bool(spec.any_of) + bool(spec.none_of) > 1:
            return "write one of `equals`, `any_of` and `none_of`"
        case "expression" if not spec.when:
            return "an expression alarm needs `when`"
        case "deviation" if spec.setpoint is None or spec.limit is None:
            return (
                "a deviation alarm needs `setpoint` (a tag or a number) and `limit` (how far off)"
            )
        case "rate" if spec.limit is None:
            return "a rate alarm needs `limit`: the change in `per` (for example 5 in 1m)"
        case "discrepancy" if spec.command is None:
            return "a discrepancy alarm needs `command`: the tag that `tag` must follow"
        case "zscore" if spec.limit is None:
            return (
                "a zscore alarm needs `limit`: how many standard deviations are abnormal, about 6"
            )
        case "model" if spec.model is None or spec.limit is None:
            return "a model alarm needs `model` and `limit`: the score from which it is abnormal"
    if spec.kind in ("deviation", "rate", "zscore", "discrepancy") and (spec.limit or 0) < 0:
        return "`limit` is a distance and not negative; say the side with `direction`"
    return ""


def _stray(spec: ConditionFields) -> str:
    for name in sorted(spec.model_fields_set & _OF_KIND.keys()):
        if spec.kind not in _OF_KIND[name]:
            kinds = " or ".join(_OF_KIND[name])
            return f"`{name}` belongs to alarms of kind {kinds}, not {spec.kind}; remove it"
    return ""


def _repeats(spec: ConditionFields) -> str:
    if spec.repeats is None and spec.model_fields_set & {"repeat_within", "repeat_counts"}:
        return "`repeat_within` and `repeat_counts` need `repeats`: how often"
    if spec.repeats and spec.repeat_counts == "episodes" and spec.repeat_within is None:
        return "counting episodes needs `repeat_within`: in how long, for example 60s"
    if spec.repeats and spec.kind == "stale":
        return "silence does not repeat; use `stale_after` alone"
    return ""


def _plain(value: Plain) -> Plain:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def condition_spec(spec: ConditionFields, timezone: str) -> ConditionSpec | None:
    """What the edge needs beside limit, side and delays; None where the kernel needs no more."""
    listed = bool(spec.any_of or spec.none_of)
    kernel = spec.kind in ("limit", "discrete", "stale", "bad_quality") and not listed
    if kernel and spec.repeats is None and not spec.schedule:
        return None
    if spec.kind == "expression" and spec.repeats is None and not spec.schedule:
        return None
    by_tag = isinstance(spec.setpoint, str)
    return ConditionSpec(
        direction=spec.direction,
        against=spec.setpoint if isinstance(spec.setpoint, str) else spec.command or "",
        target=None if by_tag or spec.setpoint is None else float(spec.setpoint),
        span_ms=spec.span,
        per_ms=spec.per,
        any_of=tuple(_plain(value) for value in spec.any_of),
        none_of=tuple(_plain(value) for value in spec.none_of),
        within_ms=spec.within,
        pairs=tuple((_plain(k), tuple(_plain(v) for v in vs)) for k, vs in spec.pairs.items()),
        half_life_ms=spec.half_life,
        min_samples=spec.min_samples,
        least_spread=spec.least_spread,
        model=spec.model.parameters() if spec.model else None,
        repeats=Repeats(spec.repeats, spec.repeat_within, spec.repeat_counts)
        if spec.repeats
        else None,
        schedule=Schedule(
            timezone,
            tuple(
                Opening(tuple(sorted(DAYS.index(day) for day in o.days)), o.start, o.end)
                for o in spec.schedule
            ),
        )
        if spec.schedule
        else None,
    )
