"""What the rules of a roll-out look at, and the moves that they choose among: plain values.

Made by the drive, read and returned by `rollout_step.py`; decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout import Kind, Status
from group_cloud.domain.rollout_gate import Factory, Shadowed, Watched
from group_cloud.domain.rollout_plan import Change, Target
from group_cloud.domain.rollout_policy import Stage


@dataclass(frozen=True, slots=True)
class Sent:
    """One directive of the roll-out as it stands; given in the order of their numbers."""

    target: Target
    stage: Stage | None
    kind: Kind
    status: Status
    at: int
    alarms: frozenset[str]
    """The alarms whose settings it changes."""
    code: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    expires_at: int = 0

    @property
    def too_early(self) -> bool:
        """Whether somebody below called it expired before it was: a clock there is wrong."""
        return (self.status, self.code) == ("refused", "expired") and self.at < self.expires_at


@dataclass(frozen=True, slots=True)
class Seen:
    """What the health gate looks at."""

    watched: Mapping[Point, Watched] = field(default_factory=dict)
    shadowed: Mapping[Point, Shadowed] = field(default_factory=dict)
    factories: Mapping[str, Factory] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign one directive for one edge."""

    kind: Kind
    target: Target
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Become:
    """Move the life cycle."""

    trigger: str
    code: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exclude:
    """A factory refuses its part: the rest goes on without it."""

    points: tuple[Point, ...]
    code: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing to do but wait; `code` says for what, `until` when to look again at the latest."""

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)
    until: int | None = None


Move = Sign | Become | Exclude | Hold
