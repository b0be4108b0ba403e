"""Shapes of the group's notices of drift, its ranking of nuisance and its shelving proposals.

Used by the routes of the group cloud; no rule lives here.
"""

from __future__ import annotations

from typing import Literal

from shared.web.dto_base import Dto, Reason, Text


class NoticeOut(Dto):
    """Something is no longer as it was; a person should look why."""

    id: str
    site: str
    site_name: Text
    what: Literal["alarms", "judged", "dismissed", "forecast"]
    """Alarms a day; the share of finished alarms that was judged; the share of those that was
    nuisance; alarms against what a roll-out forecast, in deviations of chance."""
    alarm: str
    """Empty: the whole factory."""
    name: Text
    edge: str
    day: int
    """Days since 1970 (UTC)."""
    before: float
    now: float
    trend: list[tuple[int, float]]
    """(day, value), oldest first."""
    state: Literal["open", "taken", "closed"]
    opened_at: int
    taken_at: int | None
    taken_by: str
    closed_at: int | None
    closed_by: str
    reason: str


class NoticeList(Dto):
    """GET /api/notices."""

    notices: list[NoticeOut]
    more: int = 0
    """How many there are beside these."""


class NoticeClose(Dto):
    """POST /api/notices/{notice}/close."""

    reason: Reason


class NuisanceModel(Dto):
    """How well a factory's ranker has told what people then said, before they said it."""

    site: str
    champion: Literal["logistic", "bayes"]
    """Which of the two speaks."""
    labels: int
    nuisance: int
    scored: int
    """Verdicts, the newest, that were told before they were learnt."""
    auc_logistic: float | None
    auc_bayes: float | None
    brier: float | None
    """Mean squared error of the probability said; the lower, the better."""
    brier_base: float | None
    """The same, had the share of nuisance been said each time."""
    at: int


class NuisancePoint(Dto):
    """How probably an alarm of one point is nuisance, and what that rests on."""

    site: str
    alarm: str
    edge: str
    name: Text
    priority: int
    probability: float
    low: float
    high: float
    """Nine of ten times it lies between."""
    labels: int
    nuisance: int
    raised: int
    """In the last week."""
    last_true_at: int | None
    because: list[str]
    """Features that speak most for nuisance in its newest alarms."""


class NuisanceRanking(Dto):
    """GET /api/nuisance: the likeliest nuisance first; nothing is hidden anywhere."""

    models: list[NuisanceModel]
    points: list[NuisancePoint]
    more: int = 0
    """Points beside these ..."""
    models_more: int = 0
    """... and factories."""


class ShelvingOut(Dto):
    """A point that people could shelve for some hours, or whose settings they could look at."""

    id: str
    site: str
    site_name: Text
    alarm: str
    edge: str
    name: Text
    kind: Literal["shelve", "review"]
    hours: int
    status: Literal["open", "approved", "rejected", "withdrawn"]
    labels: int
    """The point's newest verdicts, at most 50 ..."""
    nuisance: int
    """... and how many of those were nuisance."""
    probability: float | None
    raised: int
    last_true_at: int | None
    created_at: int
    decided_at: int | None
    decided_by: str
    reason: str
    message: str
    """The message that asks the factory's desk; empty: none was sent."""


class ShelvingList(Dto):
    """GET /api/shelving-proposals."""

    proposals: list[ShelvingOut]
    more: int = 0
    """How many there are beside these."""


class ShelvingDecision(Dto):
    """POST /api/shelving-proposals/{proposal}/decision."""

    decision: Literal["approve", "reject"]
    reason: Reason
