"""A drill scenario as written in YAML: faults, actions of people, and what must happen by when.

Loaded by the drill command with file:line:column complaints; never runs anything.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from shared.errors import ConfigError
from shared.paths import ROOT
from shared.site.model import Duration, Names
from simulators.documents import load
from simulators.equipment.model import Value
from simulators.plant import EQUIPMENT
from simulators.settings import MAX_SPEED, Token
from simulators.suggest import hint_en

SHIPPED = ROOT / "simulators" / "scenarios"
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _known(name: str, known: Iterable[str]) -> str:
    """`name` if it exists; else a ValueError with the nearest name."""
    names = list(known)
    if name not in names:
        raise ValueError(f"unknown name {name!r}; {hint_en(name, names)}")
    return name


class FaultStep(_Closed):
    """Switch a fault of a simulated plant."""

    plant: str
    fault: str
    on: bool = True
    args: dict[str, float] = Field(default_factory=dict)

    @field_validator("plant")
    @classmethod
    def _plant_exists(cls, plant: str) -> str:
        return _known(plant, EQUIPMENT)

    @field_validator("fault")
    @classmethod
    def _fault_exists(cls, fault: str, info: ValidationInfo) -> str:
        plant = info.data.get("plant")
        return _known(fault, EQUIPMENT[plant].faults) if plant else fault

    @field_validator("args")
    @classmethod
    def _args_exist(cls, args: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        plant, fault = info.data.get("plant"), info.data.get("fault")
        if plant and fault:
            for name in args:
                _known(name, EQUIPMENT[plant].faults[fault].args)
        return args


class WriteExpectation(_Closed):
    """An actuator write that must reach the device; `address` may be the signal's name."""

    plant: str
    address: str
    op: Literal["==", "!=", "<", "<=", ">", ">="] = "=="
    value: bool | float | str
    times: int | None = Field(default=None, ge=0)
    """Exactly so many such writes in the whole drill."""

    @field_validator("plant")
    @classmethod
    def _plant_exists(cls, plant: str) -> str:
        return _known(plant, EQUIPMENT)

    def matches(self, value: Value | None) -> bool:
        """Whether a written value is the expected one."""
        if value is None or isinstance(value, str) != isinstance(self.value, str):
            return False
        return _COMPARE[self.op](value, self.value)


class RunExpectation(_Closed):
    """A playbook run that must reach a status."""

    playbook: str
    status: Literal["running", "waiting", "success", "failure", "needs_human", "cancelled"]


class Expectation(_Closed):
    """One thing that must happen, `within` counted from the last fault or action."""

    alarm: str | None = None
    state: Literal["raised", "returned", "acknowledged"] = "raised"
    write: WriteExpectation | None = None
    run: RunExpectation | None = None
    within: Duration

    @model_validator(mode="after")
    def _one_kind(self) -> Expectation:
        if sum(part is not None for part in (self.alarm, self.write, self.run)) != 1:
            raise ValueError("name exactly one of alarm, write, run")
        return self


class Answer(_Closed):
    """An answer to a playbook's question, given as soon as it is asked."""

    playbook: str
    option: str


class Action(_Closed):
    """What a person does in the console."""

    ack: str | None = None
    answer: Answer | None = None
    within: Duration = 30_000

    @model_validator(mode="after")
    def _one_kind(self) -> Action:
        if (self.ack is None) == (self.answer is None):
            raise ValueError("name exactly one of ack, answer")
        return self


class Step(_Closed):
    """One step; with `at` it waits for that time since the start of the drill."""

    at: Duration | None = None
    fault: FaultStep | None = None
    expect: Expectation | None = None
    do: Action | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Step:
        if sum(part is not None for part in (self.fault, self.expect, self.do)) != 1:
            raise ValueError("name exactly one of fault, expect, do")
        return self


class Scenario(_Closed):
    """The whole drill."""

    version: Literal[1]
    name: Names
    site: Token
    speed: float = Field(default=1.0, gt=0, le=MAX_SPEED)
    settle: Duration = 90_000
    """How long the plant may take to be free of the drill's alarms before it starts."""
    steps: list[Step] = Field(min_length=1)

    def alarms(self) -> set[str]:
        """Every alarm the drill speaks of."""
        named = {s.expect.alarm for s in self.steps if s.expect and s.expect.alarm}
        return named | {s.do.ack for s in self.steps if s.do and s.do.ack}

    def plants(self) -> set[str]:
        """Every plant the drill touches."""
        named = {s.fault.plant for s in self.steps if s.fault}
        return named | {s.expect.write.plant for s in self.steps if s.expect and s.expect.write}


def load_scenario(name: str) -> Scenario:
    """Read a scenario by path, or a shipped one by its name."""
    path = Path(name)
    if not path.exists() and (shipped := SHIPPED / f"{name}.yaml").exists():
        path = shipped
    if not path.exists():
        known = [p.stem for p in SHIPPED.glob("*.yaml")]
        raise ConfigError(
            f"no such scenario; {hint_en(path.stem, known)}",
            where=name,
            mend="give a file or the name of a shipped scenario",
        )
    return load(path, Scenario)
