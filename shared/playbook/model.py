"""The playbook document, version 1: the one model from which schema, lint and engine work.

A frozen description of what an engineer wrote; it evaluates nothing and knows no database.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from shared.playbook.before import plainly
from shared.playbook.triggers import Concurrency, Leave, Trigger
from shared.playbook.values import (
    Condition,
    Duration,
    DurationText,
    Id,
    Part,
    Text,
    Words,
)
from shared.playbook.verbs import (
    AskSpec,
    Call,
    CommandSpec,
    Compensate,
    CompensateAll,
    Emit,
    Fail,
    Http,
    Notify,
    Retry,
    Rung,
    Stop,
    Verify,
    WaitUntil,
    Webhook,
)

__all__ = [
    "VERBS", "Arm", "AskSpec", "Branch", "Budget", "Call", "Catch", "CommandSpec", "Compensate",
    "CompensateAll", "Concurrency", "Condition", "DeviceRole", "Duration", "DurationText", "Emit",
    "Fail", "ForEach", "Http", "Id", "Input", "Leave", "Notify", "Offline", "Outcome", "Parallel",
    "Part", "Playbook", "Repeat", "Retry", "Rung", "Step", "Stop", "Text", "Trigger", "Try",
    "Tunable", "Verify", "WaitUntil", "Webhook", "Words",
]  # fmt: skip
VERBS = (
    "notify", "http", "webhook", "emit", "command", "ask", "wait", "wait_until", "set",
    "set_incident", "switch", "parallel", "for_each", "repeat", "call", "try", "log", "stop",
    "fail", "compensate_all",
)  # fmt: skip
_NAMED = tuple((verb, "try_" if verb == "try" else verb) for verb in VERBS)


class Tunable(Part):
    """Bounds inside which the group may move an input."""

    min: float | str
    max: float | str


class Input(Part):
    """A typed input: the site fills it in, the group may move what is tunable."""

    type: Literal["number", "integer", "string", "boolean", "duration", "choice"]
    default: Any = None
    unit: str = ""
    description: Text = Words(zh="", en="")
    options: list[str] = Field(default_factory=list, max_length=20)
    """What a `choice` may be."""
    tunable: Tunable | None = None


class DeviceRole(Part):
    """A logical device; `bind` (and `role`) name the site's device `<bind>/<role>`."""

    type: str
    bind: Condition
    role: str = ""


class Arm(Part):
    """One arm of a switch."""

    when: Condition | None = None
    otherwise: Literal[True] | None = None
    steps: list[Step] = Field(default_factory=list)


class Branch(Part):
    """One branch of a parallel block."""

    id: Id
    steps: list[Step]


class Parallel(Part):
    """Branches side by side; goes on when all, any or N have ended well, and stops the others."""

    branches: list[Branch] = Field(min_length=2, max_length=10)
    wait: Literal["all", "any"] | int = "all"


class ForEach(Part):
    """The steps once for each item; they see it as `item`, its place as `index` (from 0)."""

    items: Condition
    """An expression that gives a list."""
    max: int = Field(ge=1, le=100)
    """More items than this is an error of the run, and what the worst case counts with."""
    together: int = Field(default=1, ge=1, le=10)
    """How many items are worked on at the same time."""
    steps: list[Step] = Field(min_length=1)


class Repeat(Part):
    """The steps again and again, at most `max` times; `index` counts from 0."""

    max: int = Field(ge=1, le=100)
    until: Condition | None = None
    """Looked at after each round; without it `max` rounds are run."""
    pause: DurationText = 0
    """Between two rounds."""
    steps: list[Step] = Field(min_length=1)


class Catch(Part):
    """A handler of a failure; the first whose condition holds takes it."""

    when: Condition = "true"
    steps: list[Step]


class Try(Part):
    """Steps whose failure is handled here; the run goes on after a handler that ends well."""

    steps: list[Step] = Field(min_length=1)
    catch: list[Catch] = Field(min_length=1, max_length=10)


class Step(Part):
    """One step: exactly one verb."""

    id: Id
    name: Text | None = None
    """What people see; else the id."""
    when: Condition | None = Field(default=None, alias="if")
    timeout: DurationText | None = None
    """The longest that this step may take, tries and blocks included."""
    on_error: Literal["fail", "continue"] = "fail"
    on_timeout: Literal["fail", "continue", "escalate"] = "fail"
    retry: Retry | None = None
    escalate: list[Rung] = Field(default_factory=list, max_length=10)
    compensate: Compensate | None = None
    detach: bool = False
    """Of a webhook: the same as its own `detach`."""
    notify: Notify | None = None
    http: Http | None = None
    webhook: Webhook | None = None
    emit: Emit | None = None
    command: CommandSpec | None = None
    ask: AskSpec | None = None
    wait: DurationText | None = None
    wait_until: WaitUntil | None = None
    set: dict[str, Any] | None = None
    set_incident: dict[str, Any] | None = None
    switch: list[Arm] | None = None
    parallel: Parallel | None = None
    for_each: ForEach | None = None
    repeat: Repeat | None = None
    call: Call | None = None
    try_: Try | None = Field(default=None, alias="try")
    log: str | None = None
    stop: Stop | None = None
    fail: Fail | None = None
    compensate_all: CompensateAll | None = None

    @model_validator(mode="before")
    @classmethod
    def _detached(cls, data: Any) -> Any:
        """`detach` may stand beside `webhook` as well as in it."""
        if isinstance(data, dict) and data.get("detach") and isinstance(data.get("webhook"), dict):
            return {**data, "webhook": {**data["webhook"], "detach": True}}
        return data

    @model_validator(mode="after")
    def _one_verb(self) -> Step:
        used = [verb for verb in VERBS if self.spec(verb) is not None]
        if len(used) != 1:
            raise ValueError(
                f"step {self.id!r} needs exactly one verb of {', '.join(VERBS)}; "
                f"it has {', '.join(used) or 'none'}"
            )
        return self

    def spec(self, verb: str) -> Any:
        """What is written under a verb; None if the step has another one."""
        return self.try_ if verb == "try" else getattr(self, verb)

    @property
    def verb(self) -> str:
        """The step's verb."""
        held = self.__dict__  # looked up for every step at every look at a run
        return next(verb for verb, name in _NAMED if held[name] is not None)

    def blocks(self) -> Iterator[tuple[tuple[str | int, ...], str, list[Step]]]:
        """The step's own blocks: (place in the document, part of the journal path, steps).

        In a loop the journal path has the round between the step and the block's steps.
        """
        for index, arm in enumerate(self.switch or []):
            yield ("switch", index, "steps"), str(index), arm.steps
        for index, branch in enumerate(self.parallel.branches if self.parallel else []):
            yield ("parallel", "branches", index, "steps"), branch.id, branch.steps
        if self.for_each is not None:
            yield ("for_each", "steps"), "", self.for_each.steps
        if self.repeat is not None:
            yield ("repeat", "steps"), "", self.repeat.steps
        if self.try_ is not None:
            yield ("try", "steps"), "try", self.try_.steps
            for index, handler in enumerate(self.try_.catch):
                yield ("try", "catch", index, "steps"), f"catch/{index}", handler.steps


class Offline(Part):
    """The safe part that an edge runs by itself while the factory's brain is away."""

    after: Duration = 10_000
    """How long the brain must have been away, and the alarm present."""
    steps: list[Step] = Field(min_length=1, max_length=50)


class Outcome(Part):
    """What counts as success, and what is measured for the group."""

    success: Condition | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)


class Budget(Part):
    """The most that a run may do; a plan whose worst case is above it is not released."""

    commands: int | None = Field(default=None, ge=0)
    duration: Duration | None = None
    people: int | None = Field(default=None, ge=0)
    """Addressees, each counted once."""


class Playbook(Part):
    """A response plan."""

    schema_: Literal["playbook/v1"] = Field(alias="schema")
    playbook: Id
    version: int = Field(ge=1)
    name: Text
    description: Text = Words(zh="", en="")
    owner: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    inputs: dict[str, Input] = Field(default_factory=dict)
    devices: dict[Id, DeviceRole] = Field(default_factory=dict)
    endpoints: dict[Id, dict[Literal["type"], Literal["webhook", "http"]]] = Field(
        default_factory=dict
    )
    triggers: list[Trigger] = Field(default_factory=list, max_length=20)
    """None: only other playbooks run it, by `call`."""
    concurrency: Concurrency = Concurrency()
    leave_when: list[Leave] = Field(default_factory=list, max_length=10)
    deadline: Duration = 45 * 60_000
    on_restart: Literal["resume", "ask", "abandon"] = "resume"
    """What a run does that finds its brain was down while it was due."""
    stale_after: Duration = 30 * 60_000
    """After so long an outage a person is asked, whatever `on_restart` says."""
    budget: Budget = Budget()
    steps: list[Step] = Field(min_length=1)
    catch: list[Catch] = Field(default_factory=list, max_length=10)
    finally_: list[Step] = Field(default_factory=list, alias="finally")
    outcome: Outcome = Outcome()
    offline: Offline | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, data: Any) -> Any:
        """`steps.<id>.before.<argument>` means the value that the command captured."""
        return plainly(data)

    def all_steps(self) -> list[Step]:
        """Every step, in the order of the text."""
        found: list[Step] = []
        alone = self.offline.steps if self.offline else []
        for block in (alone, self.steps, *(c.steps for c in self.catch), self.finally_):
            _collect(block, found)
        return found


def _collect(steps: list[Step], into: list[Step]) -> None:
    for step in steps:
        into.append(step)
        for _, _, block in step.blocks():
            _collect(block, into)


for _part in (Arm, Branch, ForEach, Repeat, Catch, Try, Step):
    _part.model_rebuild()
