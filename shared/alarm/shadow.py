"""Candidate settings of an alarm point, and what each would have done with a recorded occurrence.

Pure. The brain runs it on its own samples when an occurrence is labelled; the cloud and the relay
use `outside` to hold every setting against the engineer's bounds. It never decides which is better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import cast

from shared.alarm.definition import AlarmDefinition, Bounds
from shared.alarm.filters import FILTERS, Filter
from shared.alarm.point import PointState, Setting, Side, due, is_high, sample, tick
from shared.errors import Rejected

BEFORE_MS = 60_000
"""How much of the signal before the raise a verdict needs."""
AFTER_MS = 30_000
"""How much of the signal after the return a verdict needs."""
LIMIT_STEPS = (-1, 0, 1, 2)
"""Steps towards a later alarm (up for a high limit, down for a low one)."""
DELAY_FACTOR = 3
FILTER_ = "filter_"
"""Before the name of a filter that bounds allow, as they travel."""
SHORTEST_LONG_DELAY_MS = 3_000
"""What "three times the delay" means where there is no delay yet."""


def longest_delay(current_ms: int) -> int:
    """The longest delay that one change may bring to a delay of `current_ms`."""
    return max(current_ms * DELAY_FACTOR, SHORTEST_LONG_DELAY_MS)


def unit_step(definition: AlarmDefinition) -> float:
    """The size of one limit step of an alarm, in its tag's unit."""
    return step_of(definition.bounds, definition.setting)


def step_of(bounds: Bounds, setting: Setting) -> float:
    """One limit step: a tenth of the engineer's span, else the deadband, else 1 % of the limit."""
    if bounds.limit_min is not None and bounds.limit_max is not None:
        span = bounds.limit_max - bounds.limit_min
        if span > 0:
            return _tidy(span / 10)
    return _tidy(setting.deadband or abs(setting.limit) / 100 or 1.0)


def outside(
    bounds: Bounds, site: Setting, new: Setting, written: Filter | None = None
) -> Rejected | None:
    """Why the plant's bounds forbid `new`, None if they allow it; `site` is what the site runs now.

    `written`: the filter that the site's files name, where that is known; else raw samples pass.
    A limit may move in a direction only if the engineer gave a bound for that direction: no bound
    means "not to be tuned", not "without end".
    """
    if new == site:
        return None
    if bounds.locked:
        return Rejected("point_locked")
    if not (math.isfinite(new.limit) and math.isfinite(new.deadband)):
        return Rejected("not_a_number")
    return (
        _limit_outside(bounds, site, new)
        or _times_outside(bounds, site, new)
        or _filter_outside(bounds, site, new, written)
    )


def filter_allowed(bounds: Bounds, written: Filter, wanted: Filter) -> bool:
    """The rule of brain and edge: what the site's files say, or what the engineer allows by name.

    Raw samples are no exception: a filter of the engineer's own is turned off by nobody else.
    """
    return wanted in (written, *bounds.filters)


def centre_moved(bounds: Bounds, filter: Filter, centre: float | None) -> bool:
    """Whether a limit under `day` was written around another normal value than the site's."""
    return filter == "day" and centre is not None and centre != bounds.centre


def _filter_outside(
    bounds: Bounds, site: Setting, new: Setting, written: Filter | None
) -> Rejected | None:
    if written is None and new.filter in ("raw", site.filter):
        return None
    if filter_allowed(bounds, written or "raw", new.filter):
        return None
    return Rejected("filter_not_allowed", {"filter": new.filter, "allowed": [*bounds.filters]})


def _limit_outside(bounds: Bounds, site: Setting, new: Setting) -> Rejected | None:
    low, high = bounds.limit_min, bounds.limit_max
    if new.limit != site.limit and (high if new.limit > site.limit else low) is None:
        return Rejected("limit_not_tunable", {"limit": new.limit})
    if (low is not None and new.limit < low) or (high is not None and new.limit > high):
        return Rejected("limit_outside_bounds", {"limit": new.limit, "min": low, "max": high})
    return None


def _times_outside(bounds: Bounds, site: Setting, new: Setting) -> Rejected | None:
    if new.deadband != site.deadband:
        highest = bounds.deadband_max if bounds.deadband_max is not None else site.deadband
        if not 0 <= new.deadband <= highest:
            return Rejected("deadband_outside_bounds", {"deadband": new.deadband, "max": highest})
    for name, value, was, most in (
        ("on_delay", new.on_delay_ms, site.on_delay_ms, bounds.on_delay_max_ms),
        ("off_delay", new.off_delay_ms, site.off_delay_ms, bounds.off_delay_max_ms),
    ):
        if value != was and not 0 <= value <= most:
            params = {"delay_s": value / 1000, "max_s": most / 1000}
            return Rejected(f"{name}_outside_bounds", params)
    return None


def candidate_id(setting: Setting) -> str:
    """An id that names the numbers themselves, so that it means the same in every record."""
    name = f"{setting.limit!r}_{setting.deadband!r}_{setting.on_delay_ms}_{setting.off_delay_ms}"
    return name if setting.filter == "raw" else f"{name}_{setting.filter}"


def candidates(
    setting: Setting, side: Side, bounds: Bounds, unit_step: float
) -> dict[str, Setting]:
    """A handful of settings around the current one, always with it, all inside the bounds."""
    sign = 1 if is_high(side) else -1
    delays = dict.fromkeys((0, setting.on_delay_ms, longest_delay(setting.on_delay_ms)))
    found = {candidate_id(setting): setting}
    for step in LIMIT_STEPS:
        # Step 0 keeps the very number in use: rounding it would make a "new" setting of it.
        limit = _tidy(setting.limit + sign * step * unit_step) if step else setting.limit
        for delay in delays:
            candidate = Setting(
                limit, setting.deadband, delay, setting.off_delay_ms, setting.filter
            )
            if outside(bounds, setting, candidate) is None:
                found[candidate_id(candidate)] = candidate
    return found


def verdict(
    setting: Setting,
    side: Side,
    samples: Iterable[tuple[int, float]],
    raised_at: int,
    until: int | None = None,
) -> tuple[bool, float]:
    """Whether and how much later (s) than `raised_at` this setting would have announced it.

    `samples`: (source time, value) of good quality, oldest first, over `raised_at - BEFORE_MS` to
    the return plus `AFTER_MS`; the last value holds until `until`. Never announced gives -1;
    earlier than `raised_at` counts as 0: a candidate earns nothing for haste. What it announced and
    took back before `raised_at` was another episode and does not count.
    """
    state, last = PointState(), None
    announced: int | None = None

    def note(change: str | None, at: int) -> None:
        nonlocal announced
        if change == "raise":
            announced = at
        elif change == "clear" and at < raised_at:
            announced = None

    for at, value in samples:
        if math.isnan(value):
            continue
        # A delay ends by the clock: between two samples, not at the second.
        ends = due(setting, state)
        if ends is not None and ends < at:
            state, change = tick(setting, state, ends)
            note(change, ends)
        if announced is not None and at >= raised_at:
            break
        state, change = sample(setting, side, state, value, at)
        note(change, at)
        last = at
    ends = due(setting, state)
    final = until if until is not None else last or 0
    if announced is None and ends is not None and state.beyond and ends <= final:
        announced = ends
    if announced is None:
        return False, -1.0
    return True, max(0.0, (announced - raised_at) / 1000)


def setting_data(setting: Setting) -> dict[str, float | None]:
    """A setting as it travels: limit and deadband in the tag's unit, delays in seconds.

    A filter goes as its number in `FILTERS`, and only where there is one.
    """
    return {
        "limit": setting.limit,
        "deadband": setting.deadband,
        "on_delay_s": setting.on_delay_ms / 1000,
        "off_delay_s": setting.off_delay_ms / 1000,
        **filter_data(setting.filter),
    }


def filter_data(name: str) -> dict[str, float]:
    """A setting's filter as it travels with its numbers; nothing for raw samples."""
    known = FILTERS.index(cast(Filter, name)) if name in FILTERS else 0
    return {"filter": float(known)} if known else {}


def setting_of(data: Mapping[str, float | None]) -> Setting:
    """Read what `setting_data` wrote."""
    return Setting(
        float(data.get("limit") or 0.0),
        float(data.get("deadband") or 0.0),
        round(float(data.get("on_delay_s") or 0.0) * 1000),
        round(float(data.get("off_delay_s") or 0.0) * 1000),
        FILTERS[min(max(0, int(data.get("filter") or 0)), len(FILTERS) - 1)],
    )


def bounds_data(bounds: Bounds, step: float) -> dict[str, float]:
    """The engineer's bounds as they travel, with the size of one limit step."""
    data = {**asdict(bounds), "locked": float(bounds.locked), "step": step}
    data.pop("filters")
    data |= {f"{FILTER_}{name}": 1.0 for name in bounds.filters}
    return {name: value for name, value in data.items() if value is not None}


def bounds_of(data: Mapping[str, float]) -> Bounds:
    """Read what `bounds_data` wrote; what is missing is as strict as in `Bounds`."""
    plain = Bounds()
    return Bounds(
        data.get("limit_min"),
        data.get("limit_max"),
        round(data.get("on_delay_max_ms", plain.on_delay_max_ms)),
        round(data.get("off_delay_max_ms", plain.off_delay_max_ms)),
        data.get("deadband_max"),
        bool(data.get("locked", False)),
        tuple(name for name in FILTERS if data.get(f"{FILTER_}{name}")),
        data.get("centre"),
    )


def _tidy(value: float) -> float:
    """Nine significant digits: no 1240.0000000000002 in front of an operator."""
    return float(f"{value:.9g}")
