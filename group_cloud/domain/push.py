"""What a person's push would make of one alarm point's settings, and whether the plant allows it.

Pure: the same guard rails as for learnt settings; what is not named stays as it is.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from group_cloud.domain.guardrails import Guardrails
from shared.alarm.point import Setting
from shared.alarm.shadow import bounds_of, setting_data, setting_of
from shared.errors import Rejected


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to change; None: as it is."""

    alarm: str = ""
    side: str = ""
    on_delay_s: float | None = None
    off_delay_s: float | None = None
    deadband_factor: float | None = None
    limit_steps: float | None = None
    """Positive: further from the normal state, so that the alarm tells less."""

    @property
    def empty(self) -> bool:
        """Nothing would change."""
        moves = (self.on_delay_s, self.off_delay_s, self.deadband_factor, self.limit_steps)
        return all(each is None for each in moves)

    def fits(self, alarm: str, side: str) -> bool:
        """Whether a point is meant."""
        pattern = not self.alarm or fnmatch.fnmatchcase(alarm, self.alarm)
        return pattern and (not self.side or side == self.side)


@dataclass(frozen=True, slots=True)
class Pushed:
    """One alarm point before and after."""

    site: str
    edge: str
    alarm: str
    line: str
    side: str
    unit: str
    names: Mapping[str, str]
    old: Setting
    new: Setting
    refused: Rejected | None = None


def pushed(row: Any, wanted: Wanted) -> Pushed | None:
    """What becomes of one point; None where it is not meant."""
    tuning = row["tuning"]
    side = str(tuning.get("side", ""))
    if not wanted.fits(row["alarm"], side):
        return None
    old, bounds = setting_of(tuning["setting"]), tuning["bounds"]
    step = float(bounds.get("step", 0.0))
    away = 1.0 if side.startswith("HI") else -1.0
    new = replace(
        old,
        limit=old.limit + away * (wanted.limit_steps or 0.0) * step,
        deadband=old.deadband * (1.0 if wanted.deadband_factor is None else wanted.deadband_factor),
        on_delay_ms=_ms(wanted.on_delay_s, old.on_delay_ms),
        off_delay_ms=_ms(wanted.off_delay_s, old.off_delay_ms),
    )
    refusal = None if new == old else Guardrails(bounds_of(bounds), step).refuse(old, new)
    return Pushed(
        row["site"], row["edge"], row["alarm"], row["process"] or row["asset"], side,
        str(tuning.get("unit", "")), row["names"], old, new, refusal,
    )  # fmt: skip


def _ms(seconds: float | None, now: int) -> int:
    return now if seconds is None else round(seconds * 1000)


def digest(points: Iterable[Pushed]) -> str:
    """Of what would change: the same while the plants stand as they were looked at."""
    told = [
        (p.site, p.edge, p.alarm, setting_data(p.old), setting_data(p.new), p.refused is not None)
        for p in points
    ]
    return hashlib.blake2b(msgspec.msgpack.encode(told), digest_size=12).hexdigest()
