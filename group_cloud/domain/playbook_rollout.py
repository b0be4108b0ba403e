"""The life cycles of a playbook on its way to the factories, and what a roll-out does next: pure.

One small move per call, each persisted as one transaction by the drive, so that a crash anywhere
costs nothing. Canary factory first, then all; a factory may refuse; rollback restores what was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import comb
from typing import Any, Literal, get_args

from transitions import Machine

State = Literal[
    "proposed", "canary", "all", "paused", "rolling_back", "done", "rolled_back", "refused",
    "expired",
]  # fmt: skip
ENDED: frozenset[State] = frozenset({"done", "rolled_back", "refused", "expired"})
PushState = Literal["signed", "sent", "waiting", "applied", "refused", "rolled_back", "withdrawn"]
UNHEARD: frozenset[PushState] = frozenset({"signed", "sent"})
ALPHA = 0.01
USUAL_SUCCESS = 0.8
"""What is expected of a playbook of which nothing is known yet."""
RETRY_MS = 60_000
MIN_DWELL_HOLD_MS = 1_000

_PLAN = Machine(
    model=None, states=list(get_args(State)), initial="proposed", auto_transitions=False,
    transitions=[
        {"trigger": "approve", "source": "proposed", "dest": "canary"},
        {"trigger": "refuse", "source": ["proposed", "canary", "paused"], "dest": "refused"},
        {"trigger": "expire", "source": ["proposed", "canary", "paused"], "dest": "expired"},
        {"trigger": "go_on", "source": "canary", "dest": "all"},
        {"trigger": "pause", "source": ["canary", "all"], "dest": "paused"},
        {"trigger": "resume_canary", "source": "paused", "dest": "canary"},
        {"trigger": "resume_all", "source": "paused", "dest": "all"},
        {"trigger": "fail", "source": ["canary", "all", "paused", "done"], "dest": "rolling_back"},
        {"trigger": "settle", "source": "rolling_back", "dest": "rolled_back"},
        {"trigger": "finish", "source": "all", "dest": "done"},
    ],
)  # fmt: skip
_PUSH = Machine(
    model=None, states=list(get_args(PushState)), initial="signed", auto_transitions=False,
    transitions=[
        {"trigger": "send", "source": ["signed", "sent"], "dest": "sent"},
        {"trigger": "wait", "source": "sent", "dest": "waiting"},
        # Whoever had refused a text may have written it anew, and released it then.
        {"trigger": "apply", "source": ["sent", "waiting", "refused"], "dest": "applied"},
        {"trigger": "refuse", "source": ["sent", "waiting"], "dest": "refused"},
        # A refused text is rolled back too: whoever reopens its draft can release it no more.
        {"trigger": "roll_back", "source": ["sent", "waiting", "applied", "refused"],
         "dest": "rolled_back"},
        {"trigger": "withdraw", "source": ["signed", "sent"], "dest": "withdrawn"},
    ],
)  # fmt: skip
REPORTED = {"waiting": "wait", "applied": "apply", "refused": "refuse", "rolled_back": "roll_back"}
"""Status of a factory's report -> trigger."""


class _Model:
    """What a shared machine moves."""

    state = ""


def _advance(machine: Machine, state: str, trigger: str) -> str | None:
    if trigger not in machine.get_triggers(state):
        return None
    model = _Model()
    machine.add_model(model, initial=state)
    try:
        model.trigger(trigger)  # type: ignore[attr-defined]
        return model.state
    finally:
        machine.remove_model(model)


def advance(state: State, trigger: str) -> State | None:
    """A roll-out's state after `trigger`; None where that has no meaning."""
    return _advance(_PLAN, state, trigger)  # type: ignore[return-value]


def push_after(state: PushState, trigger: str) -> PushState | None:
    """A push's state after `trigger`; None where that has no meaning."""
    return _advance(_PUSH, state, trigger)  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class BookPlan:
    """One roll-out of a version or of inputs."""

    id: str
    state: State
    playbook: str
    version: int | None
    inputs: Mapping[str, Any]
    sites: tuple[str, ...]
    """The first one is the canary."""
    created_at: int
    created_by: str
    reason: str
    expires_at: int
    dwell_ms: int
    min_runs: int
    agreed_by: str = ""
    resumes: str = "canary"
    stage_at: int = 0
    hold: str = ""
    code: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    at: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One push of a roll-out as it stands."""

    id: str
    site: str
    counter: int
    kind: str
    status: PushState
    at: int
    restores: str = ""
    code: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Runs:
    """How runs at a factory ended since it has the change, and before, anywhere."""

    runs: int = 0
    succeeded: int = 0
    runs_before: int = 0
    succeeded_before: int = 0


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign one push for one factory."""

    site: str
    kind: str
    restores: str = ""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A push that no factory can have read is none any more."""

    push: str


@dataclass(frozen=True, slots=True)
class Become:
    """Move the life cycle."""

    trigger: str
    code: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing to do but wait; `code` says for what, `until` when to look again at the latest."""

    code: str
    until: int | None = None


Move = Sign | Withdraw | Become | Hold


def next_move(
    plan: BookPlan, parts: Sequence[Part], runs: Mapping[str, Runs], now: int
) -> Move:  # fmt: skip
    """The one thing to do next."""
    if plan.state == "rolling_back":
        return _take_back(parts, now)
    if plan.state == "proposed":
        late = now >= plan.expires_at
        return Become("expire", "expired") if late else Hold("second_person", plan.expires_at)
    if why := _gone_wrong(parts, runs):
        return Become("fail", why[0], why[1])
    if plan.state == "paused":
        return Hold("paused")
    if plan.state == "canary":
        return _canary(plan, parts, runs, now)
    return _all(plan, parts, now)


def unhealthy(runs: Runs) -> bool:
    """Whether so few successes are no chance any more, held against how it fared before."""
    if runs.runs <= runs.succeeded:
        return False
    before = (runs.succeeded_before + 2 * USUAL_SUCCESS) / (runs.runs_before + 2)
    usual = min(max(before, 0.05), 0.99)
    n = min(runs.runs, 500)
    ok = round(runs.succeeded * n / runs.runs)
    chance = sum(comb(n, k) * usual**k * (1 - usual) ** (n - k) for k in range(ok + 1))
    return chance < ALPHA


def _gone_wrong(
    parts: Sequence[Part], runs: Mapping[str, Runs]
) -> tuple[str, Mapping[str, Any]] | None:
    for part in _pushed(parts):
        found = runs.get(part.site, Runs())
        if part.status == "applied" and unhealthy(found):
            told = {"site": part.site, "runs": found.runs, "succeeded": found.succeeded}
            return "playbook_does_worse", told
    return None


def _pushed(parts: Sequence[Part]) -> list[Part]:
    return [part for part in parts if part.kind != "rollback"]


def _of(parts: Sequence[Part], site: str) -> Part | None:
    mine = [part for part in _pushed(parts) if part.site == site]
    return mine[-1] if mine else None


def _canary(
    plan: BookPlan, parts: Sequence[Part], runs: Mapping[str, Runs], now: int
) -> Move:  # fmt: skip
    site = plan.sites[0]
    part = _of(parts, site)
    kind = "release" if plan.version is not None else "inputs"
    if now >= plan.expires_at and (part is None or part.status != "applied"):
        if part is not None and part.status in ("sent", "waiting"):
            return Become("fail", "expired")  # it may be taken up at this very moment
        return Become("expire", "expired")
    if part is None:
        return Sign(site, kind)
    if part.status in ("refused", "rolled_back", "withdrawn"):
        return Become("refuse", part.code or "refused", {"site": site, **part.params})
    if part.status != "applied":
        return Hold("canary_silent" if part.status != "waiting" else "canary_decides",
                    plan.expires_at)  # fmt: skip
    due = part.at + plan.dwell_ms
    if now < due:
        return Hold("watching", due)
    if runs.get(site, Runs()).runs < plan.min_runs:
        return Hold("runs_missing", now + MIN_DWELL_HOLD_MS)
    return Become("go_on")


def _all(plan: BookPlan, parts: Sequence[Part], now: int) -> Move:
    kind = "release" if plan.version is not None else "inputs"
    open_parts: list[Part] = []
    last = plan.stage_at
    for site in plan.sites:
        part = _of(parts, site)
        if part is None:
            if now >= plan.expires_at:
                continue
            return Sign(site, kind)
        # Who was away all the time refuses it as expired when it is back.
        if part.status in ("signed", "sent", "waiting") and now < plan.expires_at:
            open_parts.append(part)
        last = max(last, part.at)
    if open_parts:
        return Hold("factories_decide", plan.expires_at)
    due = last + plan.dwell_ms
    return Hold("watching", due) if now < due else Become("finish")


def _may_return(part: Part) -> bool:
    """Whether a person who has refused it could still write it anew and release it."""
    return (part.status, part.kind, part.code) == ("refused", "release", "refused_by_person")


def _take_back(parts: Sequence[Part], now: int) -> Move:
    soonest: int | None = None
    waiting = False
    for part in _pushed(parts):
        if part.status == "signed":
            return Withdraw(part.id)
        if part.status not in ("sent", "waiting", "applied") and not _may_return(part):
            continue
        back = [each for each in parts if each.restores == part.id]
        if not back:
            return Sign(part.site, "rollback", part.id)
        last = back[-1]
        if last.status == "refused" and last.code not in ("superseded", "nothing_to_take_back"):
            # The factory could not go back: until it can, it is asked again.
            again = last.at + RETRY_MS
            if now >= again:
                return Sign(part.site, "rollback", part.id)
            soonest, waiting = min(again, soonest or again), True
        elif last.status in ("signed", "sent"):
            waiting = True
    return Hold("taking_back", soonest) if waiting else Become("settle")
