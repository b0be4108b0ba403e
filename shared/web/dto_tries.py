"""Shapes of "try before you change": alarm points that may be moved, and what a try told.

Used by the group cloud's routes; no rule lives here.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from shared.web.dto_base import Dto, Text
from shared.web.dto_group import Setting
from shared.web.dto_proposals import ProposalHistory, WishedSetting


class TunablePoint(Dto):
    """An alarm point whose setting people may propose to move."""

    site: str
    edge: str
    alarm: str
    line: str
    name: Text
    side: str
    unit: str
    setting: Setting
    """What runs."""
    bounds: dict[str, float]


class TunablePointList(Dto):
    """GET /api/tunable-points."""

    points: list[TunablePoint]


class TryRequest(Dto):
    """POST /api/setting-tries: what a setting would have told over the factory's history."""

    site: str = Field(min_length=1, max_length=64)
    alarm: str = Field(min_length=1, max_length=200)
    setting: WishedSetting


class Refusal(Dto):
    """Why something may not be proposed."""

    code: str
    params: dict[str, Any] = Field(default_factory=dict)


class TryAnswer(Dto):
    """A try: its name, what is known by now, and whether it could be proposed."""

    id: str
    history: ProposalHistory
    refusal: Refusal | None
