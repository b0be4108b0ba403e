"""Whether one sample satisfies an alarm's condition, and in which band no sample can change that.

Pure functions used by the pipeline; delays belong to `shared/alarm/point.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, nextafter

from shared.alarm.definition import AlarmDefinition
from shared.alarm.point import PointState, beyond, is_high

Band = tuple[float, float]
"""`[lo, hi)`; empty when `lo >= hi`."""
EVERYTHING: Band = (-inf, inf)
NOTHING: Band = (inf, -inf)


def holds(
    definition: AlarmDefinition, point: PointState, value: float | str, good: bool
) -> bool | None:
    """Whether the condition is true for this sample; None when it cannot tell (state is kept)."""
    kind = definition.kind
    if kind == "bad_quality":
        return not good
    if kind == "stale":
        return False  # something arrived, good or bad
    if not good:
        return None
    if kind == "discrete":
        return _equals(definition, value)
    if kind == "limit" and definition.side is not None and isinstance(value, float):
        return beyond(definition.setting, definition.side, point.beyond, value)
    return None


def _equals(definition: AlarmDefinition, value: float | str) -> bool:
    wanted = definition.equals
    if isinstance(wanted, str) or isinstance(value, str):
        return value == wanted
    return wanted is not None and value == float(wanted)


def quiet_band(definition: AlarmDefinition, point: PointState, value: float) -> Band:
    """Where good samples of the alarm's tag cannot change its condition, after good `value`."""
    match definition.kind:
        case "limit" if definition.side is not None:
            return _limit_band(definition, point)
        case "discrete":
            return _discrete_band(definition, point, value)
        case "stale":
            return NOTHING if point.beyond else EVERYTHING
        case "bad_quality":
            return EVERYTHING  # a bad sample is an excursion whatever the band
    return NOTHING


def _limit_band(definition: AlarmDefinition, point: PointState) -> Band:
    limit, deadband = definition.setting.limit, definition.setting.deadband
    if definition.side is not None and is_high(definition.side):
        # "Past the limit" is strict, the band is closed below: hence the next number up.
        if point.beyond:
            return nextafter(limit - deadband, inf), inf
        return -inf, nextafter(limit, inf)
    return (-inf, limit + deadband) if point.beyond else (limit, inf)


def _discrete_band(definition: AlarmDefinition, point: PointState, value: float) -> Band:
    wanted = definition.equals
    if wanted is None or isinstance(wanted, str):
        return NOTHING
    target = float(wanted)
    if point.beyond:
        return target, nextafter(target, inf)
    return (-inf, target) if value < target else (nextafter(target, inf), inf)


def narrow(bands: Iterable[Band]) -> Band:
    """The intersection of bands."""
    lo, hi = EVERYTHING
    for low, high in bands:
        lo, hi = max(lo, low), min(hi, high)
    return (lo, hi) if lo < hi else NOTHING
