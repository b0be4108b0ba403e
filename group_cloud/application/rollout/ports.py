"""What roll-outs need of the outside: where plans are kept, and what the health gate may look at.

Implemented in `adapters/postgres`; plain values go through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from group_cloud.application.ports import Transaction
from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout_gate import Factory, Shadowed, Told, Watched
from group_cloud.domain.rollout_plan import Plan
from shared.alarm.point import Setting


@dataclass(frozen=True, slots=True)
class RolloutSetting:
    """A setting that is to be counted in shadow."""

    plan: str
    point: Point
    setting: Setting


@dataclass(frozen=True, slots=True)
class PlanMove:
    """One audited move of a roll-out."""

    at: int
    actor: str
    action: str
    data: dict[str, Any]
    why: str = ""


class Plans(Protocol):
    """Roll-outs as they stand."""

    async def lock_all(self, tx: Transaction, /) -> None:
        """One beginner at a time."""
        ...

    async def insert(self, tx: Transaction, /, plan: Plan) -> None:
        """A new roll-out."""
        ...

    async def save(self, tx: Transaction, /, plan: Plan) -> None:
        """What may change of it."""
        ...

    async def get(self, tx: Transaction, /, plan: str) -> Plan | None:
        """One roll-out, locked."""
        ...

    async def free(self, tx: Transaction, /, plan: str) -> Plan | None:
        """The same; None also while another process works on it."""
        ...

    async def going(self) -> list[str]:
        """Roll-outs that have not ended, oldest first."""
        ...

    async def listed(self, limit: int, before: str, sites: list[str] | None) -> list[Plan]:
        """Newest first, those that touch one of these sites; None: all."""
        ...

    async def one(self, plan: str) -> Plan | None:
        """One roll-out, to be shown."""
        ...

    async def of_proposals(self, proposals: list[str]) -> dict[str, Plan]:
        """The newest roll-out of each of some proposals."""
        ...


Span = tuple[Point, int, int]
"""A point, and from when to when it is looked at."""


class Health(Protocol):
    """What the health gate looks at; every answer is of the group's own tables."""

    async def watched(self, tx: Transaction, /, point: Point, since: int, until: int) -> Watched:
        """What a changed point has told since, and the recorded faults that it missed."""
        ...

    async def shadowed(self, tx: Transaction, /, point: Point, since: int, until: int) -> Shadowed:
        """What the candidate would have told by the shadow counts of these days."""
        ...

    async def watched_many(self, tx: Transaction, /, spans: Sequence[Span]) -> list[Watched]:
        """`watched` for many points in one question, in their order."""
        ...

    async def shadowed_many(self, tx: Transaction, /, spans: Sequence[Span]) -> list[Shadowed]:
        """`shadowed` for many points in one question, in their order."""
        ...

    async def told(self, tx: Transaction, /, point: Point, since: int, until: int) -> Told:
        """Recorded faults and episodes of the engineer's setting alone, in that time."""
        ...

    async def moves(self, tx: Transaction, /, plan: str) -> list[PlanMove]:
        """What happened to a roll-out, oldest first, as it was audited."""
        ...

    async def factory(self, tx: Transaction, /, site: str) -> Factory:
        """How far a factory has told its events."""
        ...
