"""What each verb of a playbook takes: one model per verb that holds no steps of its own.

Used by `model.py`, which adds the verbs that hold steps; evaluates nothing.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from shared.playbook.values import Condition, Duration, DurationText, Id, Part, Text

Outcome = Literal["success", "failure", "needs_human"]
"""How a run ends by its own steps."""


class Notify(Part):
    """Tell people."""

    to: list[str] = Field(min_length=1, max_length=20)
    message: Text
    channel: Literal["console", "urgent", "call"] = "console"


_RULED = ("max", "delay", "backoff", "max_delay", "jitter")


class Retry(Part):
    """When a failed try is made again: by a rule, or by an explicit schedule from the first try.

    The pause before try n+1 is `delay` (constant), n times `delay` (linear) or `delay` doubled
    each time (exponential), at most `max_delay`, moved by up to `jitter` of itself either way.
    """

    max: int | None = Field(default=None, ge=1, le=50)
    """How many tries are made after the first."""
    delay: Duration = 1_000
    backoff: Literal["constant", "linear", "exponential"] = "constant"
    max_delay: Duration | None = None
    jitter: float = Field(default=0.0, ge=0.0, le=0.5)
    retry_on: list[str] = Field(default_factory=list, max_length=20)
    """Kinds of error that are tried again (`timeout`, `connect`, `5xx`, `429`, …); none: every."""
    schedule: list[Duration] = Field(default_factory=list, max_length=20)

    @model_validator(mode="after")
    def _one_form(self) -> Retry:
        plain = {name: one.default for name, one in type(self).model_fields.items()}
        ruled = [name for name in _RULED if getattr(self, name) != plain[name]]
        if self.schedule and ruled:
            raise ValueError(f"retry has `schedule` and {', '.join(sorted(ruled))}: choose one")
        if not self.schedule and self.max is None:
            raise ValueError("retry needs `max` or `schedule`")
        if self.max_delay is not None and self.max_delay < self.delay:
            raise ValueError("retry: `max_delay` is shorter than `delay`")
        if self.schedule != sorted(self.schedule):
            raise ValueError("retry: `schedule` counts from the first try, so it must not go back")
        return self


class Webhook(Part):
    """Tell a linked system, signed."""

    endpoint: str
    type: str
    data: dict[str, Any] = Field(default_factory=dict)
    detach: bool = False
    """Handed to the outbox: the run does not wait for it."""


class Http(Part):
    """Ask a linked system; its answer is `steps.<id>.status` and `.json` (or `.text`)."""

    endpoint: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str = ""
    """Below the endpoint's address; may hold templates."""
    body: Any = None
    """JSON; may hold templates."""
    expect: list[int] = Field(default_factory=list, max_length=20)
    """Statuses that count as done; none: every 2xx."""


class Emit(Part):
    """Write an event into the factory's journal; other playbooks may answer it."""

    event: str = Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")
    data: dict[str, Any] = Field(default_factory=dict)


class Verify(Part):
    """What must be read back from the device, within a time."""

    until: Condition
    within: Duration = 10_000


class CommandSpec(Part):
    """Move a device: expiring, checked and read back at the edge."""

    device: str
    op: str
    args: dict[str, Any] = Field(default_factory=dict)
    expires: Duration
    require: list[Condition] = Field(default_factory=list, max_length=20)
    verify: Verify | None = None
    on_unknown: Literal["reconcile", "ask", "fail"] = "reconcile"
    approval: str | None = None
    """The `ask` step without whose answer nothing is sent."""


class AskSpec(Part):
    """People decide."""

    to: list[str] = Field(min_length=1, max_length=20)
    question: Text
    options: list[Id] = Field(min_length=1, max_length=6)
    labels: dict[Id, Text] = Field(default_factory=dict)
    """What an option is called to people; an option without a label shows its id."""
    within: DurationText
    quorum: int = Field(default=1, ge=1, le=5)
    """How many people must choose the same option."""
    deny: list[str] = Field(default_factory=list, max_length=20)
    """Who may not answer, such as `user:${run.started_by}` (four eyes); may hold templates."""
    reminders: list[Duration] = Field(default_factory=list, max_length=10)
    """When those asked are told again, counted from the question."""


class Rung(Part):
    """One rung of an escalation ladder after a timeout: tell others, or decide at last."""

    after: Duration
    to: list[str] = Field(default_factory=list, max_length=20)
    channel: Literal["console", "urgent", "call"] = "call"
    then: Id | None = None
    """The option that is taken when nobody has answered by then."""


class WaitUntil(Part):
    """Wait for the plant."""

    condition: Condition
    within: DurationText
    hold: Duration = Field(default=0, alias="for")
    """How long it must have been true without a break; counted anew after an unknown value."""


class Call(Part):
    """Run another released playbook's steps in this place, with inputs of its own."""

    playbook: Id
    inputs: dict[str, Any] = Field(default_factory=dict)


class Fail(Part):
    """End with an error: the nearest `catch` takes it, else the run ends so."""

    outcome: Literal["failure", "needs_human"]
    reason: str = ""
    kind: str = "failed"
    """What `error.kind` says to a handler."""


class Stop(Part):
    """End the run here and now, on purpose; `finally` still runs."""

    outcome: Outcome = "success"
    reason: str = ""


class CompensateAll(Part):
    """Undo every actuation so far whose step says how, newest first."""

    reason: str = ""


class Compensate(Part):
    """How a step is undone: one effect, with tries of its own."""

    command: CommandSpec | None = None
    http: Http | None = None
    webhook: Webhook | None = None
    retry: Retry | None = None

    @model_validator(mode="after")
    def _one_verb(self) -> Compensate:
        if sum(each is not None for each in (self.command, self.http, self.webhook)) != 1:
            raise ValueError("`compensate` needs exactly one of command, http, webhook")
        return self
