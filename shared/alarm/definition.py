"""An alarm's definition: what people agreed on about it, as a frozen value.

Made from the site's YAML by `shared/site`; the edge runs it, the brain shows it, the cloud tunes
the numbers inside its bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf, nextafter
from typing import Literal

from shared.alarm.condition import ConditionSpec, Factor, ModelParameters, model_fault
from shared.alarm.filters import Filter
from shared.alarm.machine import Policy
from shared.alarm.point import Setting, Side, is_high

Kind = Literal[
    "limit", "discrete", "expression", "stale", "bad_quality",
    "deviation", "rate", "discrepancy", "zscore", "model",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Words:
    """A text in both languages."""

    zh: str
    en: str

    def to_dict(self) -> dict[str, str]:
        """Plain data."""
        return {"zh": self.zh, "en": self.en}


NO_WORDS = Words("", "")


@dataclass(frozen=True, slots=True)
class Response:
    """The response sheet (rationalisation record) of one alarm."""

    cause: Words = NO_WORDS
    consequence: Words = NO_WORDS
    action: Words = NO_WORDS
    contact: Words | None = None
    time_to_respond_s: int | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The engineer's hard bounds of what may ever be tuned; `locked` forbids all tuning."""

    limit_min: float | None = None
    limit_max: float | None = None
    on_delay_max_ms: int = 300_000
    off_delay_max_ms: int = 900_000
    deadband_max: float | None = None
    locked: bool = False
    filters: tuple[Filter, ...] = ()
    """What the limit may be held against beside the samples and what the site's files say."""
    centre: float | None = None
    """The tag's normal value, as the engineer knows it: the filter `day` is written around it."""


@dataclass(frozen=True, slots=True)
class AlarmDefinition:
    """One alarm. `id` never changes, whatever the names; one definition per limit."""

    id: str
    edge: str
    asset: str
    tag: str
    kind: Kind
    name: Words
    priority: int
    side: Side | None = None
    setting: Setting = Setting(0.0)
    equals: bool | float | str | None = None
    """For `discrete`: the value that is the alarm condition."""
    when: str = ""
    """For `expression`: the condition."""
    stale_after_ms: int = 10_000
    unit: str = ""
    tag_class: str = ""
    policy: Policy = Policy()
    bounds: Bounds = Bounds()
    response: Response = field(default_factory=Response)
    suppressed_by: tuple[str, ...] = ()
    """Alarms that, while active, suppress this one by design (HIHI over HI, suppression groups)."""
    suppressed_in: tuple[str, ...] = ()
    """States of equipment, as `chart:state`, in which it is suppressed by design."""
    suppressed_when: str = ""
    """An expression over tags; while it is true the alarm is suppressed by design."""
    first_out: str = ""
    """The group in which the first alarm to come is marked."""
    first_out_tie_ms: int = 0
    """How close to the first of its group still counts as simultaneous."""
    consequence: str = ""
    """What happens if nobody responds; with the time to respond it gave the priority."""
    re_alarm_ms: int | None = None
    safety: bool = False
    """A safety alarm: never tuned, never shelved from above."""
    snippet: tuple[int, int] | None = None
    """Ms before and after a raise that go up at full rate; None: as the site says."""
    condition: ConditionSpec | None = None
    """What the condition needs beyond the setting; None where the kernel runs it by itself."""
    inclusive: bool = False
    """The limit itself is abnormal too; the setting's limit is the next number on the good side."""
    factors: tuple[Factor, ...] = ()
    """Which of man, machine, material, method and environment the condition speaks of."""
    settings_version: int = 1
    engineer: Setting | None = None
    """What the site's files say, where something that came down has made another of it."""

    def with_setting(self, setting: Setting, version: int) -> AlarmDefinition:
        """The definition under a new setting."""
        if self.inclusive and self.side is not None:
            setting = replace(setting, limit=inclusive_limit(setting.limit, self.side))
        site = self.engineer or self.setting
        return replace(self, setting=setting, settings_version=version, engineer=site)

    @property
    def filters(self) -> tuple[Filter, ...]:
        """The filters that this alarm runs, or may come to run, beside raw samples."""
        if self.kind != "limit" or self.condition is not None:
            return ()
        own = (self.engineer or self.setting).filter
        wanted = dict.fromkeys((own, self.setting.filter, *self.bounds.filters))
        return tuple(each for each in wanted if each != "raw")

    @property
    def fallback(self) -> Setting:
        """What the samples are held against while a filter's window is not known."""
        return (self.engineer or self.setting).on_raw

    @property
    def centre(self) -> float:
        """What the filter `day` is written around."""
        return self.bounds.centre or 0.0

    def with_model(self, model: ModelParameters, version: int) -> AlarmDefinition:
        """The definition under parameters that the cloud has sent; raises ValueError."""
        fault = model_fault(model)
        if self.kind != "model" or self.condition is None or fault:
            raise ValueError(fault or f"{self.id} is not of kind model")
        condition = replace(self.condition, model=model)
        return replace(self, condition=condition, settings_version=version)

    @property
    def shown_limit(self) -> float:
        """The limit as people wrote it."""
        return _written(self.setting.limit) if self.inclusive else self.setting.limit


def inclusive_limit(limit: float, side: Side) -> float:
    """The limit by which the limit itself is abnormal under a strict comparison.

    >>> inclusive_limit(100.0, "HI")
    99.99999999999999
    >>> inclusive_limit(99.99999999999999, "HI")
    99.99999999999999
    """
    if limit != _written(limit):  # it is such a one already
        return limit
    return nextafter(limit, -inf if is_high(side) else inf)


def _written(limit: float) -> float:
    """A number with the twelve digits that a person may have written."""
    return float(f"{limit:.12g}")
