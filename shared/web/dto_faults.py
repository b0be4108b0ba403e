"""Shapes of the REST interface for the record of faults.

Times are UTC milliseconds; the console's types are generated from these.
"""

from __future__ import annotations

from pydantic import Field

from shared.web.dto_base import Dto


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
