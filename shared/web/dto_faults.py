"""Shapes of the REST interface for the record of faults.

Times are UTC milliseconds; the console's types are generated from these.
"""

from __future__ import annotations

from pydantic import Field

from shared.web.dto_base import Dto, Text
from shared.web.dto_group import Setting


class FaultOut(Dto):
    """A fault that happened, as people said it."""

    id: str
    revision: int
    """Rises with every change; the group keeps the newest."""
    asset: str
    line: str
    """The line that the asset belongs to: its alarm points are held against the fault."""
    start: int
    end: int
    cause: str
    actor: str
    recorded_at: int
    alarms: list[str]
    """What told of it; empty: no alarm did."""
    incident: str
    """The incident whose label made it; empty: a person told it, or an occurrence by itself."""
    withdrawn: bool
    comment: str


class FaultList(Dto):
    """GET /api/faults: newest first."""

    items: list[FaultOut]
    next: str | None = None


class FaultRequest(Dto):
    """POST /api/faults: a fault that happened, also one that no alarm told of."""

    asset: str = Field(min_length=1, max_length=128)
    start: int = Field(ge=0, lt=1 << 53)
    end: int = Field(ge=0, lt=1 << 53)
    cause: str = Field(min_length=1, max_length=200)
    """One of the site's causes (GET /api/incidents/causes)."""
    comment: str = Field(default="", max_length=1000)
    alarms: list[str] = Field(default_factory=list, max_length=50)


class FaultWithdrawal(Dto):
    """POST /api/faults/{fault}/withdraw: it was none after all."""

    reason: str = Field(min_length=1, max_length=1000)


class CountedPoint(Dto):
    """An alarm point whose other settings are counted in shadow, and why."""

    alarm: str
    edge: str
    name: Text
    asset: str
    source: str
    """group: the group asked for it; site: chosen here while the group is silent."""
    reason: str
    """worst, nuisance, missed, drifted or candidate."""
    since: int
    runs: Setting | None
    candidate: Setting | None
    """A setting on its way in a roll-out, counted beside."""
    candidates: int
    """Settings that are counted at once; 0: nothing has been counted yet."""
    limits: list[float]
    """The limits among them."""
    days: int
    """Days counted so far, of the last sixty."""
    until: int | None
    """How far it is counted."""


class CountedPoints(Dto):
    """GET /api/shadow-points."""

    enabled: bool
    most: int
    """Alarm points of one edge that may be counted."""
    points: list[CountedPoint]


class AssetOut(Dto):
    """One asset of the site."""

    id: str
    name: Text
    kind: str


class AssetList(Dto):
    """GET /api/assets: what a fault may lie in."""

    assets: list[AssetOut]
