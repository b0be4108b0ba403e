"""The playbook document, version 1: the one model from which schema, lint and engine work.

A frozen description of what an engineer wrote; it evaluates nothing and knows no database.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from shared.site.model import parse_duration

Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Condition = Annotated[str, Field(min_length=1, max_length=512)]
VERBS = (
    "notify", "webhook", "command", "ask", "wait", "wait_until", "set", "set_incident", "switch",
    "parallel", "log", "fail",
)  # fmt: skip


def _written(value: int | str) -> str:
    """A duration as it is written, so that a stored document reads back."""
    return f"{value}ms" if isinstance(value, int) else value


_AS_TEXT = PlainSerializer(_written, return_type=str, when_used="json")
_PATTERN = r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"
Duration = Annotated[
    int, BeforeValidator(parse_duration), _AS_TEXT,
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["10s", "5m", "1h30m"]}),
]  # fmt: skip
"""Milliseconds, written `10s`."""


def _duration_or_template(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("${"):
        return value
    return parse_duration(value)


DurationText = Annotated[
    int | str, BeforeValidator(_duration_or_template), _AS_TEXT,
    WithJsonSchema({"anyOf": [
        {"type": "string", "pattern": _PATTERN}, {"type": "string", "pattern": r"^\$\{.+\}$"},
    ]}),
]  # fmt: skip
"""Milliseconds, or a template such as `${inputs.ask_within}` that gives a duration."""


def _as_words(value: Any) -> Any:
    return {"zh": value, "en": value} if isinstance(value, str) else value


class Part(BaseModel):
    """A strict, frozen part of the document."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Words(Part):
    """A text that people read, in both languages (a plain text serves for both)."""

    zh: str
    en: str


_BOTH = {"type": "string"}
Text = Annotated[
    Words, BeforeValidator(_as_words),
    WithJsonSchema({"anyOf": [{"type": "string"}, {
        "type": "object", "required": ["zh", "en"], "additionalProperties": False,
        "properties": {"zh": _BOTH, "en": _BOTH},
    }]}),
]  # fmt: skip


class Tunable(Part):
    """Bounds inside which the group may move an input."""

    min: float | str
    max: float | str


class Input(Part):
    """A typed input."""

    type: Literal["number", "integer", "string", "boolean", "duration"]
    default: Any = None
    unit: str = ""
    description: str = ""
    tunable: Tunable | None = None


class DeviceRole(Part):
    """A logical device; `bind` (and `role`) name the site's device `<bind>/<role>`."""

    type: str
    bind: Condition
    role: str = ""


class Trigger(Part):
    """What starts a run: an alarm's raise, or a person."""

    id: Id
    alarm: str | None = None
    transition: Literal["raised"] = "raised"
    where: Condition | None = None
    hold: Duration = Field(default=0, alias="for")
    manual: dict[Literal["roles"], list[str]] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Trigger:
        if (self.alarm is None) == (self.manual is None):
            raise ValueError("a trigger needs either `alarm` or `manual`")
        return self


class Concurrency(Part):
    """One run for each value of `key`; a further alarm joins the live run."""

    key: Condition = "alarm.asset"
    mode: Literal["single"] = "single"
    on_conflict: Literal["attach"] = "attach"


class Notify(Part):
    """Tell people."""

    to: list[str] = Field(min_length=1)
    message: Text
    channel: Literal["console", "urgent", "call"] = "console"


class Retry(Part):
    """When a failed delivery is tried again, counted from the first try."""

    schedule: list[Duration] = Field(min_length=1, max_length=20)


class Webhook(Part):
    """Tell a linked system, signed."""

    endpoint: str
    type: str
    data: dict[str, Any] = Field(default_factory=dict)
    detach: bool = False
    """Handed to the outbox: the run does not wait for it."""


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
    require: list[Condition] = Field(default_factory=list)
    verify: Verify | None = None
    on_unknown: Literal["reconcile", "ask", "fail"] = "reconcile"
    approval: str | None = None


class AskSpec(Part):
    """A person decides."""

    to: list[str] = Field(min_length=1)
    question: Text
    options: list[Id] = Field(min_length=1, max_length=6)
    labels: dict[Id, Text] = Field(default_factory=dict)
    """What an option is called to people; an option without a label shows its id."""
    within: DurationText


class Rung(Part):
    """One rung of an escalation ladder after a timeout: tell others, or decide at last."""

    after: Duration
    to: list[str] = Field(default_factory=list)
    then: Id | None = None
    """The option that is taken when nobody has answered by then."""


class WaitUntil(Part):
    """Wait for the plant."""

    condition: Condition
    within: DurationText


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
    """Branches side by side; all must end."""

    branches: list[Branch] = Field(min_length=2, max_length=10)


class Fail(Part):
    """End the run."""

    outcome: Literal["failure", "needs_human"]
    reason: str = ""


class Step(Part):
    """One step: exactly one verb."""

    id: Id
    when: Condition | None = Field(default=None, alias="if")
    on_error: Literal["fail", "continue"] = "fail"
    on_timeout: Literal["fail", "continue", "escalate"] = "fail"
    retry: Retry | None = None
    escalate: list[Rung] = Field(default_factory=list)
    notify: Notify | None = None
    webhook: Webhook | None = None
    command: CommandSpec | None = None
    ask: AskSpec | None = None
    wait: DurationText | None = None
    wait_until: WaitUntil | None = None
    set: dict[str, Any] | None = None
    set_incident: dict[str, Any] | None = None
    switch: list[Arm] | None = None
    parallel: Parallel | None = None
    log: str | None = None
    fail: Fail | None = None

    @model_validator(mode="after")
    def _one_verb(self) -> Step:
        used = [verb for verb in VERBS if getattr(self, verb) is not None]
        if len(used) != 1:
            raise ValueError(
                f"step {self.id!r} needs exactly one verb of {', '.join(VERBS)}; "
                f"it has {', '.join(used) or 'none'}"
            )
        return self

    @property
    def verb(self) -> str:
        """The step's verb."""
        return next(verb for verb in VERBS if getattr(self, verb) is not None)


class Catch(Part):
    """A handler of the whole run's failure."""

    when: Condition = "true"
    steps: list[Step]


class Offline(Part):
    """The safe part that an edge runs by itself while the factory's brain is away."""

    after: Duration = 10_000
    """How long the brain must have been away, and the alarm present."""
    steps: list[Step] = Field(min_length=1, max_length=50)


class Outcome(Part):
    """What counts as success, and what is measured for the group."""

    success: Condition | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)


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
    endpoints: dict[Id, dict[Literal["type"], Literal["webhook"]]] = Field(default_factory=dict)
    triggers: list[Trigger] = Field(min_length=1)
    concurrency: Concurrency = Concurrency()
    deadline: Duration = 45 * 60_000
    stale_after: Duration = 30 * 60_000
    steps: list[Step] = Field(min_length=1)
    catch: list[Catch] = Field(default_factory=list)
    finally_: list[Step] = Field(default_factory=list, alias="finally")
    outcome: Outcome = Outcome()
    offline: Offline | None = None

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
        for arm in step.switch or []:
            _collect(arm.steps, into)
        for branch in step.parallel.branches if step.parallel else []:
            _collect(branch.steps, into)


Arm.model_rebuild()
Branch.model_rebuild()
