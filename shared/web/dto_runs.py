"""What the interface says of playbook runs: their steps, questions, who joined them.

Re-exported by `dto.py`; shapes only.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.web.dto_base import Dto, Text


class RunStep(Dto):
    """One step of a run, by its path in the YAML."""

    path: str
    id: str
    verb: str
    status: Literal[
        "waiting",
        "running",
        "done",
        "failed",
        "unknown",
        "reconciled",
        "skipped",
        "compensated",
    ]
    started_at: int | None = None
    ended_at: int | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class Ask(Dto):
    """The human task that a run waits for."""

    step: str
    path: str = ""
    """Its place in the run, which no other open question has: answers name it."""
    quorum: int = 1
    """How many people must choose the same."""
    question: Text
    options: list[str]
    labels: dict[str, Text] = Field(default_factory=dict)
    """option -> what people call it."""
    roles: list[str]
    until: int | None


class JoinedAlarm(Dto):
    """An alarm that joined a run which was live already."""

    alarm: str
    occurrence: str
    at: int


class Run(Dto):
    """GET /api/runs/{id} (in lists `steps` is empty)."""

    id: str
    playbook: str
    version: int
    name: Text
    alarm: str | None
    occurrence: str | None
    status: Literal[
        "queued", "running", "waiting", "suspended", "success", "failure", "needs_human",
        "cancelled",
    ]  # fmt: skip
    started_at: int
    ended_at: int | None
    drill: bool = False
    """It is a drill: all that it says to people says so."""
    time_scale: float = 1.0
    """How many times as fast a drill's own waiting passes."""
    ask: Ask | None = None
    """The first of `asks`."""
    asks: list[Ask] = Field(default_factory=list)
    """Every question that is open."""
    steps: list[RunStep] = Field(default_factory=list)
    attached: int = 0
    """How many further alarms joined this run instead of getting one of their own."""
    joined: list[JoinedAlarm] = Field(default_factory=list)
    """The newest of them, at most a hundred (in lists empty)."""


class RunList(Dto):
    """GET /api/runs?limit=&cursor=, newest first; on the event stream: the changed ones."""

    runs: list[Run]
    next: str | None = None


class JournalRow(Dto):
    """One row of a run's journal."""

    path: str
    attempt: int
    phase: str
    at: int
    data: dict[str, Any] = Field(default_factory=dict)


class RunJournal(Dto):
    """GET /api/runs/{id}/journal: all that a run is made of, in the order in which it came."""

    run: Run
    document: dict[str, Any]
    """The released playbook that the run pins."""
    books: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Those that it calls."""
    context: dict[str, Any] = Field(default_factory=dict)
    """alarm, inputs, site, started_by, trigger."""
    deadline_at: int
    rows: list[JournalRow]


class StartRequest(Dto):
    """POST /api/playbooks/{playbook}/runs; without a body it is no drill."""

    drill: bool = False
    alarm: dict[str, str | float | int | bool | None] = Field(default_factory=dict, max_length=20)
    """With `drill`: what the run sees of an alarm, such as its value."""
    time_scale: float = Field(default=1.0, ge=1.0, le=600.0)
    """With `drill`, where all devices are simulators: its own waiting passes so much faster."""


class DeadWebhook(Dto):
    """A playbook's webhook that nobody took."""

    id: str
    """`run:path`, its webhook-id: the same over all tries."""
    run: str
    path: str
    endpoint: str
    attempt: int
    at: int
    due: int
    """When it was given up."""
    error: str | None
    type: str
    """What it tells of: its CloudEvents type."""
    size: int
    """Its body's length in characters; the body itself is of the run's step `path`."""


class DeadWebhooks(Dto):
    """GET /api/playbook-webhooks/dead, newest first."""

    items: list[DeadWebhook]
    next: str | None = None


class WebhookReplay(Dto):
    """POST /api/playbook-webhooks/replay."""

    id: str = Field(max_length=500)


class ControlRequest(Dto):
    """POST /api/runs/{id}/cancel, terminate, suspend, resume."""

    reason: str = Field(default="", max_length=1000)
    compensate: bool = False
    """With `cancel`: undo first what was done and says how."""


class AnswerRequest(Dto):
    """POST /api/runs/{id}/answers: the question by its `path`.

    By its `step` alone only where one question of that name is open, and the run's own.
    """

    step: str = ""
    path: str = ""
    option: str
    comment: str = Field(default="", max_length=1000)
