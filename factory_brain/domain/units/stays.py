"""From a station's numbers to the stays of units in it. Pure.

The same readings always make the same stays, whatever order they came in: so a late reading is put
right by reckoning again, and nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby

from shared.site.process import Role, UnitTags

Reading = tuple[int, Role, float]
"""(source time in UTC ms, what it says, the number); good ones only."""


@dataclass(frozen=True, slots=True)
class Stay:
    """One unit in one station from `entered_at` until `left_at` (None: it is there)."""

    unit: str
    entered_at: int
    left_at: int | None = None
    batch: str = ""
    recipe: str = ""


@dataclass(slots=True)
class _Now:
    """What the station shows at a moment."""

    values: dict[Role, float] = field(default_factory=dict)
    gated: bool = False

    def unit(self) -> float | None:
        """The unit that is in it, as its number."""
        if self.gated and not self.values.get("inside"):
            return None
        return self.values.get("unit") or None


def name(number: float, prefix: str = "") -> str:
    """What a unit, a batch or a recipe of this number is called."""
    return prefix + (str(int(number)) if number.is_integer() else f"{number:.17g}")


def stays(
    readings: Iterable[Reading], tags: UnitTags, before: Mapping[Role, float] | None = None,
    begun: Stay | None = None,
) -> list[Stay]:  # fmt: skip
    """The stays that begin within `readings`, oldest first.

    `before` is what the station showed when they began: the unit then in it is not told, only its
    leaving ends; unless `begun` is its stay, which goes on then and is the first of those told.
    Batch and recipe are those that stood when the unit came in.
    """
    now = _Now(dict(before or {}), tags.inside is not None)
    here = now.unit()
    goes_on = begun is not None and here is not None and name(here, tags.prefix) == begun.unit
    found = [replace(begun, left_at=None)] if begun is not None and goes_on else []
    told = goes_on
    for at, same in groupby(sorted(readings, key=lambda each: each[0]), lambda each: each[0]):
        # What has one time stamp was shown together: no stay of no length in between.
        now.values |= {role: value for _, role, value in same}
        unit = now.unit()
        if unit == here:
            continue
        if told:
            found[-1] = replace(found[-1], left_at=at)
        here, told = unit, unit is not None
        if unit is not None:
            found.append(_stay(unit, at, now.values, tags))
    return found


def _stay(unit: float, at: int, values: Mapping[Role, float], tags: UnitTags) -> Stay:
    batch, recipe = values.get("batch") or None, values.get("recipe") or None
    return Stay(
        name(unit, tags.prefix), at, None,
        "" if batch is None else name(batch, tags.batch_prefix),
        "" if recipe is None else name(recipe),
    )  # fmt: skip
