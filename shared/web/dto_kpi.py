"""Shapes of the alarm figures: performance, diagnostic and audit apart, and what is behind them.

Times are UTC ms, lengths in seconds. Made by `factory_brain/web/routes/kpi.py`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.web.dto_base import Dto, Text


class KpiAnswers(Dto):
    """How long people took from annunciation to acknowledgement."""

    count: int
    mean_s: float
    median_s: float
    p90_s: float
    max_s: float


class KpiFlood(Dto):
    """One flood; `ended` is false where the period's end cut it."""

    start: int
    end: int
    ended: bool


class KpiPerformance(Dto):
    """How the alarm system does; the peak always beside the mean."""

    annunciations: int
    avg_per_10min: float
    max_bin: int
    peak_sliding: int
    bins: int
    bins_over10: int
    pct_bins_over10: float
    floods: int
    pct_time_flood: float
    standing_at_end: int
    answers: dict[str, KpiAnswers]
    """By priority."""
    unanswered: int
    flood_list: list[KpiFlood]


class KpiTop(Dto):
    """One of the most frequent alarms."""

    alarm: str
    name: Text
    count: int
    pct: float


class KpiDiagnostic(Dto):
    """Where to look."""

    distinct: int
    chattering: int
    fleeting: int
    stale: int
    dup_on: int
    orphan_off: int
    prio: dict[str, int]
    top10_pct: float
    re_alarms: int
    top: list[KpiTop]


class KpiAudit(Dto):
    """What people changed, and what was hidden by it."""

    suppressed_occurrences: int
    shelved: int
    suppressed: int
    out_of_service: int
    disabled: int
    reconfigured: int


class KpiSlot(Dto):
    """A part of the period: annunciations for each interval, mean and peak."""

    start: int
    mean: float
    peak: int


class KpiReport(Dto):
    """GET /api/kpi: the figures of one period."""

    since: int
    until: int
    performance: KpiPerformance
    diagnostic: KpiDiagnostic
    audit: KpiAudit
    series: list[KpiSlot] = Field(default_factory=list)
    """Along the period, for a plot; empty in the live figures."""


class KpiLimitsOut(Dto):
    """The thresholds that the figures were made with."""

    window_s: float
    flood_over: int
    flood_below: int
    chatter_count: int
    chatter_s: float
    fleeting_s: float
    stale_s: float
    resolution_s: float


class LiveKpi(Dto):
    """GET /api/kpi/live: figures up to now."""

    at: int
    flood: bool
    flood_since: int | None
    windows: dict[str, KpiReport]
    """10min, 1h, shift, 24h, 30d."""
    limits: KpiLimitsOut


Metric = Literal[
    "annunciations", "chattering", "fleeting", "stale", "standing", "dup_on", "orphan_off",
    "re_alarms", "suppressed", "unanswered", "top",
]  # fmt: skip


class KpiAlarm(Dto):
    """One alarm behind a figure."""

    alarm: str
    name: Text
    asset: str | None
    value: int
    """How often; for `standing` the seconds since it was annunciated."""


class KpiAlarms(Dto):
    """GET /api/kpi/alarms: what is behind a figure, most first."""

    items: list[KpiAlarm] = Field(default_factory=list)
    next: str | None = None
