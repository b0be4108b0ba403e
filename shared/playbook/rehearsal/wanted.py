"""What a test expects, and how much of the playbook the tests of a file must reach.

Parts of `document.py`; `judge.py` compares, this only describes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from shared.playbook.values import Duration, Id, Part

Status = Literal["success", "failure", "needs_human", "cancelled", "waiting"]


class CommandWanted(Part):
    """An actuation that must have reached the device so often."""

    device: Id
    op: str
    args: dict[str, Any] | None = None
    times: int = Field(default=1, ge=0)
    at: Duration | None = None
    """Exactly then, since the beginning of the test."""


class NotifiedWanted(Part):
    """Somebody who must have been told."""

    to: str
    channel: Literal["console", "urgent", "call"] | None = None
    at: Duration | None = None
    times: int | None = Field(default=None, ge=0)
    contains: str | None = None
    """A part of the text, in either language."""


class SentWanted(Part):
    """A webhook or request that must have gone out."""

    endpoint: Id
    type: str | None = None
    times: int | None = Field(default=None, ge=0)
    """Tries included."""


class ErrorWanted(Part):
    """What failed the run."""

    path: str | None = None
    kind: str | None = None


def _somebody(value: Any) -> Any:
    return {"to": value} if isinstance(value, str) else value


def _kind(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


Somebody = Annotated[NotifiedWanted, BeforeValidator(_somebody)]
AnError = Annotated[ErrorWanted, BeforeValidator(_kind)]
Steps = list[Id]


class Then(Part):
    """What must have followed; what is not named is not looked at."""

    sequence: Steps | None = None
    """Begun in this order; others may lie between."""
    executed: Steps | None = None
    """Begun, and not skipped."""
    not_executed: Steps | None = None
    skipped: Steps | None = None
    """Passed by: their `if` was not true, or they were not needed any more."""
    failed: Steps | None = None
    commands: list[CommandWanted] | None = None
    """`[]`: nothing was moved at all."""
    notified: list[Somebody] | None = None
    not_notified: list[str] | None = None
    sent: list[SentWanted] | None = None
    compensated: Steps | None = None
    """Exactly these were undone, in this order."""
    asked: Steps | None = None
    outcome: Status | None = None
    within: Duration | None = None
    """The run ended at this time of the test at the latest."""
    journal_has: list[str] | None = None
    """Phases (`reconciled`) or paths that the journal must hold."""
    error: AnError | None = None
    incident: dict[str, Any] | None = None
    emitted: list[str] | None = None
    metrics: dict[str, Any] | None = None
    runs: int | None = Field(default=None, ge=0)
    """How many runs began; `0`: the trigger must not fire."""
    attached: int | None = Field(default=None, ge=0)
    """How many firings joined a live run."""
    throttled: int | None = Field(default=None, ge=0)
    """How many firings a trigger's `throttle` swallowed."""


class Coverage(Part):
    """Percent of each kind that all tests of the file must have reached together."""

    steps: float = Field(default=0, ge=0, le=100)
    switch_arms: float = Field(default=0, ge=0, le=100)
    timeouts: float = Field(default=0, ge=0, le=100)
    catches: float = Field(default=0, ge=0, le=100)
