"""A roll-out: one change set over its targets in stages, and its life cycle as a state machine.

One shared machine over light models, as people may look at it; callers persist every change. Pure:
sends nothing, knows no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from transitions import Machine

from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout_policy import CHANGING, STAGES, Policy, Stage
from shared.alarm.point import Setting
from shared.alarm.shadow import setting_data, setting_of

PlanState = Literal[
    "waiting", "dry_run", "shadow", "canary_line", "canary_factory", "all",
    "paused", "rolling_back", "rolled_back", "done", "refused", "expired",
]  # fmt: skip
STATES: tuple[PlanState, ...] = get_args(PlanState)
ENDED: tuple[PlanState, ...] = ("rolled_back", "done", "refused", "expired")
GOING: tuple[PlanState, ...] = ("waiting", *STAGES, "paused")
"""States in which a roll-out may still bring its change."""
Target = tuple[str, str]
"""(site, edge): what one directive addresses."""

TRANSITIONS: list[dict[str, Any]] = [
    *(
        {"trigger": f"enter_{stage}", "source": ["waiting", *STAGES[:place]], "dest": stage}
        for place, stage in enumerate(STAGES)
    ),
    {"trigger": "finish", "source": list(CHANGING), "dest": "done"},
    {"trigger": "pause", "source": list(STAGES), "dest": "paused"},
    *({"trigger": f"resume_{stage}", "source": "paused", "dest": stage} for stage in STAGES),
    # Only while no edge has been changed: what was changed is always taken back.
    {"trigger": "refuse", "source": list(GOING), "dest": "refused"},
    {"trigger": "expire", "source": list(GOING), "dest": "expired"},
    {"trigger": "fail", "source": [*CHANGING, "paused"], "dest": "rolling_back"},
    {"trigger": "settle", "source": "rolling_back", "dest": "rolled_back"},
]
_MACHINE = Machine(
    model=None, states=list(STATES), transitions=TRANSITIONS, initial="waiting",
    auto_transitions=False, send_event=False,
)  # fmt: skip


@dataclass(eq=False)
class _Light:
    """The light model that the shared machine moves."""

    state: PlanState = "waiting"


def advance(state: PlanState, trigger: str) -> PlanState | None:
    """The state after `trigger`, None where it has no meaning in `state`."""
    if trigger not in _MACHINE.get_triggers(state):
        return None
    model = _Light()
    _MACHINE.add_model(model, initial=state)
    try:
        model.trigger(trigger)  # type: ignore[attr-defined]
        return model.state
    finally:
        _MACHINE.remove_model(model)


@dataclass(frozen=True, slots=True)
class Change:
    """One alarm point's part of a change set."""

    point: Point
    line: str
    """The line or asset that the alarm speaks of: the smallest part that can go first."""
    old: Setting
    new: Setting
    side: str = ""
    per_day: float | None = None
    """Alarms a day that the proposal forecasts; None: it says nothing."""
    before_per_day: float | None = None
    """Alarms a day under the old setting; holds where there is no forecast."""
    labels: tuple[int, int] | None = None
    """(true, nuisance) alarms that people had labelled when it was proposed."""

    @property
    def target(self) -> Target:
        """The edge that runs it."""
        return self.point.site, self.point.edge

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "site": self.point.site, "edge": self.point.edge, "alarm": self.point.alarm,
            "line": self.line, "old": setting_data(self.old), "new": setting_data(self.new),
            "side": self.side, "per_day": self.per_day, "before_per_day": self.before_per_day,
            "labels": list(self.labels) if self.labels else None,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Change:
        """Read what `to_dict` wrote."""
        return cls(
            Point(data["site"], data["edge"], data["alarm"]), data["line"],
            setting_of(data["old"]), setting_of(data["new"]), data["side"],
            data["per_day"], data["before_per_day"],
            (data["labels"][0], data["labels"][1]) if data.get("labels") else None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """One roll-out as it stands."""

    id: str
    state: PlanState
    policy_name: str
    policy: Policy
    changes: tuple[Change, ...]
    proposals: tuple[str, ...]
    created_at: int
    created_by: str
    expires_at: int
    stage: Stage | None = None
    """The newest stage entered; stays while paused and while rolling back."""
    stage_at: int = 0
    agreed_by: str = ""
    """The second person, where the policy wants one."""
    reason: str = ""
    code: str = ""
    """Why it ended, or was taken back."""
    params: Mapping[str, Any] = field(default_factory=dict)
    hold: str = ""
    """What it waits for now."""
    hold_params: Mapping[str, Any] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)
    """Alarm point (`Point` as text) -> why its factory leaves it out."""
    at: int = 0
    """When anything last changed."""

    @property
    def ended(self) -> bool:
        """Whether nothing is to be done any more."""
        return self.state in ENDED

    def included(self) -> tuple[Change, ...]:
        """The changes that no factory has refused."""
        return tuple(each for each in self.changes if str(each.point) not in self.excluded)

    def wave(self, stage: Stage) -> tuple[Change, ...]:
        """The changes that go out in a stage."""
        waves = assigned(self.included(), self.policy)
        return tuple(each for each in self.included() if waves[each.point] == stage)


def line_of(alarm: str) -> str:
    """The line or asset in an alarm's id: what stands before its first dot.

    >>> line_of("FUR-01.TT-101.HI")
    'FUR-01'
    """
    return alarm.partition(".")[0]


def targets_of(changes: Iterable[Change]) -> list[Target]:
    """The edges that some changes are for."""
    return sorted({each.target for each in changes})


def assigned(changes: tuple[Change, ...], policy: Policy) -> dict[Point, Stage]:
    """In which stage each change goes out: one line of one edge, its factory, all others."""
    site, line = canary(changes, policy)
    found: dict[Point, Stage] = {}
    for each in changes:
        stage: Stage = "all"
        if each.point.site == site:
            on_line = (each.point.edge, each.line) == line
            stage = "canary_line" if on_line else "canary_factory"
        found[each.point] = stage if stage in policy.stages else policy.after(stage) or "all"
    return found


def canary(changes: tuple[Change, ...], policy: Policy) -> tuple[str, tuple[str, str]]:
    """The factory that goes first and, in it, the (edge, line) with the fewest changes."""
    if not changes:
        return "", ("", "")
    counts: dict[str, int] = {}
    for each in changes:
        counts[each.point.site] = counts.get(each.point.site, 0) + 1
    site = policy.canary_site
    if site not in counts:
        site = min(counts, key=lambda name: (-counts[name], name))
    lines: dict[tuple[str, str], int] = {}
    for each in changes:
        if each.point.site == site:
            name = (each.point.edge, each.line)
            lines[name] = lines.get(name, 0) + 1
    return site, min(lines, key=lambda name: (lines[name], name))
