"""`kpi.yaml`: the thresholds of the alarm figures and the shifts that they are cut by.

Read by the site's loader, by `andon alarms kpi --limits` and by the brain. What is left out has
the default of `shared/alarm/kpi/limits.py`.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from shared.alarm.kpi.limits import DEFAULT, KpiLimits
from shared.site.fields import Duration, Model

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d\Z")
KPI_FILE = "kpi.yaml"


def _clock(text: str) -> str:
    if not _CLOCK.match(text):
        raise ValueError(f"{text!r} is no time of day; write it as '08:00', in quotes")
    return text


class FloodSpec(Model):
    """When a flood begins and ends."""

    over: int = Field(default=DEFAULT.flood_over, ge=1)
    below: int = Field(default=DEFAULT.flood_below, ge=1)


class ChatterSpec(Model):
    """How many annunciations within what time."""

    count: int = Field(default=DEFAULT.chatter_count, ge=2, le=1000)
    within: Duration = Field(default=DEFAULT.chatter_ms, ge=1)


class KpiFile(Model):
    """One site's choices."""

    window: Duration = Field(default=DEFAULT.window_ms, ge=10_000)
    resolution: Duration = Field(default=DEFAULT.resolution_ms, ge=1)
    flood: FloodSpec = Field(default_factory=FloodSpec)
    chattering: ChatterSpec = Field(default_factory=ChatterSpec)
    fleeting: Duration = Field(default=DEFAULT.fleeting_ms, ge=1)
    stale: Duration = Field(default=DEFAULT.stale_ms, ge=1)
    top: int = Field(default=DEFAULT.top, ge=1, le=1000)
    priorities: dict[str, str] = Field(default_factory=lambda: dict(DEFAULT.names))
    """Type of an alarm -> priority, for journals that name none."""
    shifts: list[Annotated[str, AfterValidator(_clock)]] = Field(
        default_factory=lambda: ["00:00", "08:00", "16:00"]
    )
    """When shifts begin, in the site's own time zone."""

    @model_validator(mode="after")
    def _whole(self) -> KpiFile:
        faults = self.limits().faults()
        if self.window % self.resolution:
            faults.append("window must be a whole number of resolution")
        if 3_600_000 % self.window:
            faults.append("window must divide an hour: 1min, 5min, 10min, 15min …")
        if not self.shifts or sorted(set(self.shifts)) != self.shifts:
            faults.append("shifts must be one or more times of day, each once, in order")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def limits(self) -> KpiLimits:
        """As the figures read it."""
        return KpiLimits(
            window_ms=self.window, flood_over=self.flood.over, flood_below=self.flood.below,
            chatter_count=self.chattering.count, chatter_ms=self.chattering.within,
            fleeting_ms=self.fleeting, stale_ms=self.stale, top=self.top,
            resolution_ms=self.resolution, names=dict(self.priorities),
        )  # fmt: skip
