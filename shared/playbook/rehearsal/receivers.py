"""What commands and requests meet in a rehearsal: an edge with a journal by id, and receivers.

Both outlive every kill of the brain, as the real ones do; mocks of the test say how they behave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.expression import compile_expression
from shared.playbook.journal import ROOTS, Effect, Phase
from shared.playbook.model import CommandSpec, Step
from shared.playbook.rehearsal.document import Mock, Mocks
from shared.playbook.rehearsal.plant import Plant
from shared.playbook.rehearsal.site_side import SiteDevice, SiteSide
from shared.playbook.rehearsal.told import Act, Told

ANSWER_MS = 8_000
"""How long the answer to a command is waited for."""
LOOK_MS, UNREACHABLE_MS, HTTP_MS = 2_000, 60_000, 20_000
DONE = Mock()


@dataclass(slots=True)
class Flight:
    """A command, a request or a delivery under way in the brain; a kill loses it."""

    effect: Effect
    data: Mapping[str, Any]
    due: int | None
    """When it is looked at again; None: when the plant changes."""
    kind: Literal["command", "silent", "settled", "http"]
    key: str = ""
    """What the edge knows a command by."""
    ends: Phase = "done"


@dataclass(slots=True)
class Work:
    """A command at the edge, which goes on whatever becomes of the brain."""

    id: str
    spec: CommandSpec
    mock: Mock
    data: Mapping[str, Any]
    path: str
    acts_at: int
    expires_at: int = 0
    acted: bool = False
    verify_until: int = 0
    result: dict[str, Any] | None = None
    at: SiteDevice | None = None
    before: Any = None
    """What the device stood at when it was looked whether it may be moved."""


@dataclass(slots=True)
class Receivers:
    """The outside of a run."""

    plant: Plant
    mocks: Mocks
    told: Told
    begin: int
    works: dict[str, Work] = field(default_factory=dict)
    """The edge's own journal."""
    bound: dict[str, SiteDevice] = field(default_factory=dict)
    """Command's id -> the site's device, where a binding is given."""
    site: SiteSide = field(init=False)

    def __post_init__(self) -> None:
        self.site = SiteSide(self.plant)

    def mock(self, step: str, attempt: int) -> Mock:
        """How the step's receiver behaves at this try."""
        found = self.mocks.get(step, DONE)
        if isinstance(found, Mock):
            return found
        return found[min(attempt, len(found)) - 1] if found else DONE

    # the edge

    def send(
        self, key: str, effect: Effect, data: Mapping[str, Any], now: int, again: bool = False,
        here: bool = False,
    ) -> bool:  # fmt: skip
        """Hand a command to the edge, under its id once more; False when it does not arrive.

        `here`: it is the edge's own, which no link can lose.
        """
        mock = self.mock(mock_name(effect), effect.attempt)
        if key in self.works:
            return True
        lost = mock.outcome == "never_arrived" and not again
        if not here and (lost or not self.plant.linked(now)):
            return False
        spec = command_of(effect)
        work = Work(
            key, spec, mock, data, effect.path, now + mock.takes, int(data["expires_at"])
        )  # fmt: skip
        self.works[key] = work
        work.at = self.bound.get(key)
        refused = self._refused(work, now)
        if refused:
            work.result = refused
        self.tend(now)
        return True

    def _refused(self, work: Work, now: int) -> dict[str, Any] | None:
        forced = {
            "interlock": ("interlock", "interlock"), "refused": ("refused", "refused"),
            "expired": ("expired", "too_late"), "failed": (work.mock.kind, "write_failed"),
        }.get(work.mock.outcome)  # fmt: skip
        if forced is not None:
            return {"kind": forced[0], "reason": forced[1]}
        if work.at is not None:
            operation = work.at.spec.operations.get(work.spec.op)
            work.before = self.site.before(work.at, operation)
            found = self.site.refusal(work.at, work.spec.op, work.data["args"], now)
            if found is not None:
                return found
        for text in work.data["require"]:
            if _true(text, self.plant) is not True:
                return {"kind": "interlock", "reason": "require", "params": {"expression": text}}
        return None

    def tend(self, now: int) -> None:
        """Let the edge act and verify what is due."""
        for work in self.works.values():
            if work.result is not None or now < work.acts_at:
                continue
            if not work.acted:
                self._act(work, now)
            verify = str(work.data.get("verify") or "")
            if work.mock.outcome == "verify_failed":
                work.result = {"kind": "verify_failed", "reason": "verify_failed"}
            elif not verify or _true(verify, self.plant) is True:
                work.result = {}
            elif now >= work.verify_until:
                work.result = {"kind": "verify_failed", "reason": "verify_failed"}

    def _act(self, work: Work, now: int) -> None:
        work.acted = True
        if work.at is not None:
            self.site.rates.count(work.at.name, work.spec.op, now)
        within = work.spec.verify.within if work.spec.verify else 0
        work.verify_until = now + within
        args = dict(work.data["args"])
        act = Act(now - self.begin, work.path, work.spec.device, work.spec.op, args)
        self.told.acts.append(act)
        self.plant.put(work.mock.sets, now)

    def next_at(self) -> int | None:
        """When the edge has something to do next."""
        times = [
            work.verify_until if work.acted else work.acts_at
            for work in self.works.values() if work.result is None
        ]  # fmt: skip
        return min(times, default=None)

    def outcome(self, key: str, data: Mapping[str, Any], phase: Phase) -> tuple[Phase, Any] | None:
        """What the edge says of a command; None while it is at it."""
        work = self.works[key]
        if work.result is None:
            return None
        told = {
            **data, "outcome": "done" if not work.result else "refused", "reason": "",
            "params": {}, "before": work.before if work.mock.before is None else work.mock.before,
            "readback": None, **work.result,
        }  # fmt: skip
        return ("failed" if "kind" in work.result else phase), told


def command_of(effect: Effect) -> CommandSpec:
    """What a command's step says, or what is said of undoing it."""
    step: Step | None = effect.step
    assert step is not None
    undo = effect.path.endswith("/compensate") and step.compensate is not None
    spec = step.compensate.command if undo and step.compensate else step.command
    assert spec is not None
    return spec


def mock_name(effect: Effect) -> str:
    """The name under which a test mocks it: the step's, or `<step>/compensate`."""
    parts = effect.path.rsplit("/", 2)
    return f"{parts[-2]}/compensate" if parts[-1] == "compensate" else parts[-1]


def _true(text: str, plant: Plant) -> bool | None:
    found = compile_expression(text, roots=ROOTS).evaluate(plant.here())
    return found if isinstance(found, bool) else None


def read_back(data: Mapping[str, Any], plant: Plant, now: int) -> bool | None:
    """What the brain's own newest samples say of a command's condition."""
    if not data.get("verify"):
        return None
    found = compile_expression(str(data["verify"]), roots=ROOTS).evaluate(plant.seen(now))
    return found if isinstance(found, bool) else None
