"""Shapes of what would have happened: a playbook's triggers over a period, a draft's own test.

Part of the REST interface beside `dto_playbooks.py`; no rule lives here.
"""

from __future__ import annotations

from pydantic import Field

from shared.web.dto_base import Dto


class PastRequest(Dto):
    """A period of the past: at most 31 days, not in the future."""

    since: int = Field(ge=0, le=1 << 53, examples=[1_714_521_600_000])
    until: int = Field(ge=0, le=1 << 53, examples=[1_714_608_000_000])


class ReplayLine(Dto):
    """One firing: what would have come of it, and what really did."""

    at: int
    trigger: str
    by: str
    alarm: str
    occurrence: str | None
    outcome: str
    """started, queued, attached, ignored, throttled, dipped, superseded, where, where_unknown; and
    none: it really fired and would not any more."""
    key: str
    real_outcome: str | None
    real_run: str | None
    real_status: str | None


class ReplayOut(Dto):
    """What a playbook's triggers would have made of a period."""

    events: int
    truncated: bool
    until: int
    assumed_ms: int
    """How long a run counts as live that never really ran."""
    counts: dict[str, int]
    real: dict[str, int]
    lines: list[ReplayLine]
    """The newest 500."""


class TestOut(Dto):
    """POST /api/drafts/{draft}/test: the draft's own test on a virtual clock."""

    holds: bool
    cases: list[TestCaseOut]
    faults: list[str]
    coverage: float | None
    """Of steps, arms and timeouts, 0 to 1."""


class TestCaseOut(Dto):
    """One case of a test."""

    name: str
    holds: bool
    faults: list[str]


TestOut.model_rebuild()
