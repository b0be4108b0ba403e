"""Shapes of what stands behind a proposal: bars, trend, faults, and what a factory's history says.

Used by the group cloud's routes; no rule lives here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.web.dto_base import Dto, Reason


class WishedSetting(Dto):
    """What somebody wants; what is not said stays as it is."""

    limit: float | None = None
    deadband: float | None = Field(default=None, ge=0)
    on_delay_s: float | None = Field(default=None, ge=0, le=86_400)
    off_delay_s: float | None = Field(default=None, ge=0, le=86_400)


class ProposeRequest(Dto):
    """POST /api/proposals: a person's own proposal for one alarm point."""

    site: str = Field(min_length=1, max_length=64)
    alarm: str = Field(min_length=1, max_length=200)
    setting: WishedSetting
    reason: Reason


class SearchRequest(Dto):
    """POST /api/proposals/search: look for better settings now; no site: everywhere."""

    site: str = Field(default="", max_length=64)


class SearchAnswer(Dto):
    """The factories that are being searched."""

    sites: list[str]


class ProposalBar(Dto):
    """What one setting does, as far as it is known."""

    alarms_per_day: float | None = None
    """All alarms of the point, true ones too."""
    false_per_day: float | None = None
    false_alarms: float | None = None
    """Of the judged occurrences, where nothing was counted by day."""
    missed: int | None = None
    delay_s: float | None = None
    standing_h_per_day: float | None = None


class ProposalBars(Dto):
    """The bars of a proposal."""

    now: ProposalBar
    proposed: ProposalBar


class TrendDay(Dto):
    """One counted day of the alarm point's tag."""

    day: int
    """Days since 1970."""
    mean: float | None = None
    sigma: float | None = None
    now: float | None = None
    """Alarms under the setting in force."""
    proposed: float | None = None


class FaultLater(Dto):
    """A fault of which people would be told at another time."""

    fault: str
    at: int
    before_s: float
    after_s: float


class ShadowEvidence(Dto):
    """What a proposal from shadow counts rests on."""

    days: int
    """Judged days of the point."""
    faults: int
    group_faults: int
    """Recorded faults of the owner's other factories."""
    caught: list[str] = Field(default_factory=list)
    lost: list[str] = Field(default_factory=list)
    later: list[FaultLater] = Field(default_factory=list)
    supposes: list[str] = Field(default_factory=list)
    """Alarms whose own proposals this one takes as accepted."""


class PastAlarm(Dto):
    """An alarm of the past under the setting in force; `told_at` under the proposed one."""

    raised_at: int
    cleared_at: int | None = None
    told_at: int | None = None


class PastFault(Dto):
    """A recorded fault, and how long after its beginning each setting told of it."""

    fault: str
    start: int
    end: int
    before_s: float | None = None
    after_s: float | None = None


class ProposalHistory(Dto):
    """GET /api/proposals/{id}/history: both settings over the factory's stored samples."""

    proposal: str
    status: Literal["asked", "known", "no_samples"]
    """asked: the factory has not answered yet."""
    answered_at: int | None = None
    since: int | None = None
    until: int | None = None
    coverage: float | None = None
    limit_now: float | None = None
    limit_proposed: float | None = None
    points: list[list[float]] = Field(default_factory=list)
    """[time in ms, lowest, highest value] of each part of the span."""
    before: int = 0
    after: int = 0
    vanish: list[PastAlarm] = Field(default_factory=list)
    vanish_more: int = 0
    """So many more than are listed."""
    later: list[PastAlarm] = Field(default_factory=list)
    later_more: int = 0
    new: int = 0
    """Alarms that only the proposed setting tells."""
    faults: list[PastFault] = Field(default_factory=list)
