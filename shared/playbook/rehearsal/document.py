"""The test file of a playbook, `playbook-test/v1`: what is given, what happens, what must follow.

A frozen description of what an engineer wrote; it runs nothing.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from shared.playbook.rehearsal.drills import Drill
from shared.playbook.rehearsal.wanted import Coverage, Then
from shared.playbook.values import Duration, Id, Part

MockOutcome = Literal[
    "done", "interlock", "refused", "expired", "failed", "verify_failed", "answer_lost",
    "never_arrived", "unknown", "unreachable", "timeout", "connect",
]  # fmt: skip


class Given(Part):
    """How the world is at the beginning."""

    alarm: dict[str, Any] = Field(default_factory=dict)
    """What expressions see as `alarm`, beside the id and the time of the raise."""
    tags: dict[str, Any] = Field(default_factory=dict)
    """Logical tag -> value, or `{value, good, age}`."""
    inputs: dict[str, Any] = Field(default_factory=dict)
    """Instead of the playbook's defaults (and of the site's values)."""
    site: dict[str, Any] = Field(default_factory=dict)
    drill: bool = False


class Mock(Part):
    """What a step's device or receiver does; a list of them: one for each try, the last stays."""

    sets: dict[str, Any] = Field(default_factory=dict)
    """Tags that change when it takes effect."""
    status: int | None = Field(default=None, ge=100, le=599)
    json_: Any = Field(default=None, alias="json")
    text: str | None = None
    outcome: MockOutcome = "done"
    """`answer_lost`: done, but nobody heard; `never_arrived`: lost under way; `unknown`: not even
    the edge can tell; `unreachable`: the edge answers no questions about it."""
    takes: Duration = 0
    """Until it takes effect and answers."""
    before: Any = None
    """What the device was at before: `steps.<id>.before`."""
    kind: str = "failed"
    """The `error.kind` of outcome `failed`."""


class Event(Part):
    """One thing that happens: at a time, or (with `on`) once a step asks."""

    at: Duration | None = None
    """Since the beginning; without it: right away, or with `on` as soon as it is asked."""
    after: Duration = 0
    """With `on`: so long after the question."""
    raise_: str | None = Field(default=None, alias="raise")
    """Alarm, or alarm code, as the trigger names it."""
    alarm: dict[str, Any] = Field(default_factory=dict)
    """With `raise`, `event`, `incident`, `start`: other than given."""
    clear: str | None = None
    ack: str | None = None
    shelve: str | None = None
    suppress: str | None = None
    escalate: str | None = None
    event: str | None = None
    incident: Literal["opened", "escalated", "closed"] | None = None
    start: Id | None = None
    """A trigger that fires by itself: `manual` (with `by`) or `cron`."""
    tag: dict[str, Any] | None = None
    answer: str | None = None
    on: Id | None = None
    """The step that asks; `resume` for the engine's own question after an outage."""
    by: str = "user:tester"
    cancel: str | None = None
    """A person ends the run, for this reason."""
    compensate: bool = False
    suspend: bool | None = None
    """true: a person halts the run; false: lets it go on."""
    kill: Literal["brain"] | None = None
    link: Literal["down"] | None = None
    """The edge cannot be reached."""
    down: Duration = 10_000
    """With `kill` and `link`: for so long."""

    @model_validator(mode="after")
    def _one_kind(self) -> Event:
        named = [kind for kind in KINDS if getattr(self, FIELDS.get(kind, kind)) is not None]
        if len(named) != 1:
            raise ValueError(
                f"an event needs exactly one of {', '.join(KINDS)}; "
                f"it has {', '.join(named) or 'none'}"
            )
        if (self.answer is None) != (self.on is None):
            raise ValueError("`answer` and `on` (the step that asks) belong together")
        return self

    @property
    def kind(self) -> str:
        """Which kind of event it is."""
        return next(k for k in KINDS if getattr(self, FIELDS.get(k, k)) is not None)


KINDS = (
    "raise", "clear", "ack", "shelve", "suppress", "escalate", "event", "incident", "start", "tag",
    "answer", "cancel", "suspend", "kill", "link",
)  # fmt: skip
FIELDS = {"raise": "raise_"}


class Fault(Part):
    """Something breaks exactly at a step."""

    at_step: Id
    phase: Literal["before_effect", "after_effect"] = "before_effect"
    kill: Literal["brain"] | None = None
    link: Literal["down"] | None = None
    down: Duration = 10_000
    nth: int = Field(default=1, ge=1)
    """At the nth time (in loops and of tries)."""

    @model_validator(mode="after")
    def _one_kind(self) -> Fault:
        if (self.kill is None) == (self.link is None):
            raise ValueError("a fault needs one of `kill: brain`, `link: down`")
        return self


Mocks = dict[str, Mock | list[Mock]]


class Defaults(Part):
    """What every test begins with; a test's own values win, key by key."""

    given: Given = Given()
    mocks: Mocks = Field(default_factory=dict)


class Case(Part):
    """One test."""

    name: str = Field(min_length=1, max_length=200)
    given: Given = Given()
    mocks: Mocks = Field(default_factory=dict)
    when: list[Event] = Field(min_length=1, max_length=200)
    faults: list[Fault] = Field(default_factory=list, max_length=20)
    then: Then


class TestFile(Part):
    """A playbook's tests."""

    __test__ = False

    schema_: Literal["playbook-test/v1"] = Field(alias="schema")
    playbook: Id
    binding: str | None = None
    """File beside this one with the site's side, as `bindings.yaml` or a template of it: its
    devices, interlocks, limits and inputs count. Without it: `binding.template.yaml`, if any."""
    defaults: Defaults = Defaults()
    tests: list[Case] = Field(default_factory=list, max_length=200)
    coverage: Coverage = Coverage()
    drill: Drill | None = None
    """The only one; several are written as `drills`."""
    drills: list[Drill] = Field(default_factory=list, max_length=30)
    drill_coverage: Coverage = Coverage()
    """Percent that all drills of the file must have reached together."""

    @model_validator(mode="after")
    def _something(self) -> TestFile:
        if not self.tests and not self.all_drills:
            raise ValueError("a test file needs `tests`, a `drill` or `drills`")
        if self.drill is not None and self.drills:
            raise ValueError("write `drill`, or `drills` with a name each, not both")
        names = [one.name for one in self.drills]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"drills have names of their own; twice: {', '.join(twice)}")
        return self

    @property
    def all_drills(self) -> list[Drill]:
        """Every drill of the file."""
        return [self.drill] if self.drill is not None else list(self.drills)

    def place_of(self, number: int) -> tuple[str | int, ...]:
        """Where a drill stands in the file."""
        return ("drill",) if self.drill is not None else ("drills", number)
