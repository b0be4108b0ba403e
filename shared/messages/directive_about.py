"""What a directive says of itself to the person who is to let it pass: reason, forecast, labels.

Written by the group into `Directive.extra`, shown by the factory. Words and figures only: nothing
in the plant follows from it, and what is not readable is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import msgspec

from shared.messages.directives import AlarmSetting

ABOUT = "about"
"""Its key in `Directive.extra`."""
MOST_POINTS = 50
LONGEST_REASON = 500


class AboutPoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What the group knows of one alarm point's change; None: it does not say."""

    alarm: str
    old: AlarmSetting | None = None
    """What it is to replace, as the group knows it."""
    per_day: float | None = None
    """Alarms a day that are forecast under the new setting."""
    before_per_day: float | None = None
    true_alarms: int | None = None
    """Alarms that people of the factories have called true."""
    nuisance: int | None = None


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Why a change is wanted."""

    reason: str = ""
    """What the person at the group wrote."""
    points: list[AboutPoint] = []


def told(about: About) -> dict[str, Any]:
    """As plain data, cut to what a directive may carry."""
    cut = About(reason=about.reason[:LONGEST_REASON], points=about.points[:MOST_POINTS])
    return msgspec.to_builtins(cut)


def about_of(extra: Mapping[str, Any]) -> About:
    """What a directive says of itself; empty where it is unreadable."""
    try:
        found = msgspec.convert(extra.get(ABOUT) or {}, About)
    except msgspec.ValidationError:
        return About()
    points = [each for each in found.points[:MOST_POINTS] if _sound(each)]
    return About(reason=found.reason[:LONGEST_REASON], points=points)


def _sound(point: AboutPoint) -> bool:
    rates = (point.per_day, point.before_per_day)
    counts = (point.true_alarms, point.nuisance)
    return (
        len(point.alarm) <= 200
        and all(rate is None or (isfinite(rate) and 0 <= rate < 1e9) for rate in rates)
        and all(count is None or 0 <= count < 1 << 40 for count in counts)
    )
