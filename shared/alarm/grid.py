"""The candidate settings of one alarm point: every combination of a few limits, bands and delays.

Pure. The brain counts them in shadow and the cloud chooses among them; both speak of candidates by
their index in the same grid. It never judges a candidate.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, TypeVar, cast, get_args

from shared.alarm.definition import Bounds
from shared.alarm.filters import FILTERS, Filter
from shared.alarm.point import Setting, Side, is_high
from shared.alarm.shadow import outside

__all__ = ["FILTERS", "MOST", "Filter", "Grid", "grid_around"]
MOST = 1350
"""Candidates of one alarm point at the most: 10 limits, 3 deadbands, 5 x 3 delays, 3 filters."""
MOST_EVER = 3 * MOST
"""Of a grid that is never counted: the lattice on which those of many points find their places."""
LIMIT_OFFSETS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Limits around the one in use, in steps of a sigma; positive is the later alarm."""
DEADBANDS = (0.0, 0.5, 1.0)
ON_MS = (0, 60_000, 120_000, 300_000, 600_000)
OFF_MS = (0, 300_000, 900_000)
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Grid:
    """Candidates in C order of (filter, limit, deadband, on, off)."""

    side: Side
    limits: tuple[float, ...]
    deadbands: tuple[float, ...] = (0.0,)
    on_ms: tuple[int, ...] = (0,)
    off_ms: tuple[int, ...] = (0,)
    filters: tuple[Filter, ...] = ("raw",)
    centre: float = 0.0
    """The value that stands for "no deviation" under the filter `day`."""
    fallback: Setting | None = None
    """What the samples are held against while a filter's window is not known yet: the engineer's
    setting on raw samples. None: the candidate's own numbers."""

    def __post_init__(self) -> None:
        axes = (self.limits, self.deadbands, self.on_ms, self.off_ms, self.filters)
        if not all(axes) or any(len(set(axis)) != len(axis) for axis in axes):
            raise ValueError("every axis of a grid has values, each of them once")
        numbers = (*self.limits, *self.deadbands, *self.on_ms, *self.off_ms, self.centre)
        numbers += _numbers(self.fallback) if self.fallback is not None else ()
        if not all(isfinite(number) for number in numbers):
            raise ValueError("a grid has finite numbers only")
        if min(*self.deadbands, *self.on_ms, *self.off_ms, 0) < 0:
            raise ValueError("deadbands and delays of a grid are not negative")
        if not set(self.filters) <= set(FILTERS):
            raise ValueError(f"unknown filter among {self.filters}; there are {FILTERS}")
        if len(self) > MOST_EVER:
            raise ValueError(f"{len(self)} candidates; at most {MOST_EVER}")

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """How many filters, limits, deadbands, on-delays and off-delays."""
        return (
            len(self.filters),
            len(self.limits),
            len(self.deadbands),
            len(self.on_ms),
            len(self.off_ms),
        )

    def __len__(self) -> int:
        filters, limits, deadbands, on, off = self.shape
        return filters * limits * deadbands * on * off

    def setting(self, index: int) -> Setting:
        """The candidate's numbers and its filter."""
        rest, off = divmod(self._checked(index), len(self.off_ms))
        rest, on = divmod(rest, len(self.on_ms))
        rest, band = divmod(rest, len(self.deadbands))
        limit = rest % len(self.limits)
        return Setting(
            self.limits[limit], self.deadbands[band], self.on_ms[on], self.off_ms[off],
            self.filter_of(index),
        )  # fmt: skip

    def filter_of(self, index: int) -> Filter:
        """What the candidate's limit is held against."""
        return self.filters[self._checked(index) // (len(self) // len(self.filters))]

    def index(self, setting: Setting) -> int | None:
        """The candidate with these very numbers and this filter, None if the grid has none."""
        try:
            place = self.filters.index(setting.filter)
            place = place * len(self.limits) + self.limits.index(setting.limit)
            place = place * len(self.deadbands) + self.deadbands.index(setting.deadband)
            place = place * len(self.on_ms) + self.on_ms.index(setting.on_delay_ms)
            return place * len(self.off_ms) + self.off_ms.index(setting.off_delay_ms)
        except ValueError:
            return None

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"candidate {index} of {len(self)}")
        return index

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        data = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        # Left out where there is none: a grid of raw samples keeps the name that it always had.
        data.pop("fallback")
        return data if self.fallback is None else {**data, "fallback": [*_numbers(self.fallback)]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Grid:
        """Read what `to_dict` wrote; raises ValueError on anything that is no grid."""
        try:
            side = cast(Side, data["side"])
            if side not in get_args(Side):
                raise ValueError(f"unknown side {side!r}")
            made = cls(
                side,
                tuple(float(v) for v in data["limits"]),
                tuple(float(v) for v in data["deadbands"]),
                tuple(int(v) for v in data["on_ms"]),
                tuple(int(v) for v in data["off_ms"]),
                tuple(data["filters"]),
                float(data.get("centre", 0.0)),
                _fallback(data.get("fallback")),
            )
            if len(made) > MOST:
                raise ValueError(f"{len(made)} candidates; at most {MOST}")
            return made
        except (KeyError, TypeError, IndexError, OverflowError) as error:
            raise ValueError(f"not a grid: {error!r}") from error

    @property
    def digest(self) -> str:
        """A name for these very candidates: counters of two grids add up only if it is equal."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def grid_around(
    setting: Setting,
    side: Side,
    bounds: Bounds,
    sigma: float,
    filters: tuple[Filter, ...] = ("raw",),
    centre: float = 0.0,
) -> Grid:
    """Candidates around the setting in use, always with it, all inside the engineer's bounds.

    `sigma` is the tag's spread in normal operation, or what stands for it (a share of the span).
    """
    sign = 1.0 if is_high(side) else -1.0
    step = sigma if isfinite(sigma) and sigma > 0 else abs(setting.limit) / 100 or 1.0
    limits = [_limit(setting.limit, sign * offset * step) for offset in LIMIT_OFFSETS]
    bands = [_tidy(share * step) for share in DEADBANDS]

    def allowed(candidate: Setting) -> bool:
        return outside(bounds, setting, candidate) is None

    return Grid(
        side,
        _axis(setting.limit, [v for v in limits if allowed(_with(setting, limit=v))], 10),
        _axis(setting.deadband, [v for v in bands if allowed(_with(setting, deadband=v))], 3),
        _axis(setting.on_delay_ms, [v for v in ON_MS if allowed(_with(setting, on=v))], 5),
        _axis(setting.off_delay_ms, [v for v in OFF_MS if allowed(_with(setting, off=v))], 3),
        filters,
        centre,
        None if filters == ("raw",) else setting.on_raw,
    )


def _numbers(setting: Setting) -> tuple[float, float, int, int]:
    return setting.limit, setting.deadband, setting.on_delay_ms, setting.off_delay_ms


def _fallback(row: Any) -> Setting | None:
    return None if row is None else Setting(float(row[0]), float(row[1]), int(row[2]), int(row[3]))


def _with(
    setting: Setting,
    limit: float | None = None,
    deadband: float | None = None,
    on: int | None = None,
    off: int | None = None,
) -> Setting:
    return Setting(
        setting.limit if limit is None else limit,
        setting.deadband if deadband is None else deadband,
        setting.on_delay_ms if on is None else on,
        setting.off_delay_ms if off is None else off,
        setting.filter,
    )


def _axis(current: Number, values: list[Number], most: int) -> tuple[Number, ...]:
    """The values with the one in use among them; where that is one too many, its neighbour goes."""
    found = sorted({*values, current})
    while len(found) > most:
        found.remove(min((v for v in found if v != current), key=lambda v: abs(v - current)))
    return tuple(found)


def _limit(limit: float, shift: float) -> float:
    """Moved by `shift`; not moved it is the very number in use."""
    return _tidy(limit + shift) if shift else limit


def _tidy(value: float) -> float:
    """Nine significant digits: no 1240.0000000000002 in front of an operator."""
    return float(f"{value:.9g}")
