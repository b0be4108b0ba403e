"""Shapes of the REST interface for directives that wait for people of the factory.

Times are UTC milliseconds; the console's types are generated from these.
"""

from __future__ import annotations

from typing import Any, Literal

from shared.web.dto_base import Dto, Reason, Text
from shared.web.dto_group import Setting


class DirectiveTrial(Dto):
    """What the edge found when it replayed its own recent signal."""

    before: int
    """Alarms with the setting that ran then."""
    after: int
    hours: float
    """Time with good samples."""


class DirectiveChange(Dto):
    """What a directive makes of one alarm point."""

    alarm: str
    name: Text
    asset: str
    tag: str
    unit: str
    side: str | None
    priority: int
    old: Setting | None
    """What runs now."""
    new: Setting
    per_day: float | None
    """Alarms a day that the group forecasts."""
    before_per_day: float | None
    true_alarms: int | None
    """Alarms that people had called true when it was proposed."""
    nuisance: int | None
    trial: DirectiveTrial | None


class ConsentOut(Dto):
    """What one person said."""

    actor: str
    accept: bool
    reason: str
    at: int


class DirectiveOut(Dto):
    """A directive of the group as this factory holds it."""

    id: str
    edge: str
    counter: int
    kind: str
    """settings, or rollback."""
    status: Literal["waiting", "approved", "relayed", "refused"]
    """approved: people have let it pass, it is being countersigned."""
    code: str
    params: dict[str, Any]
    at: int
    issued_at: int
    expires_at: int
    group_people: str
    """Who approved it at the group."""
    reason: str
    rollout: str
    stage: str
    changes: list[DirectiveChange]
    more: int
    """Changes that are not listed."""
    unchanged: int
    """Settings it repeats: they run already."""
    models: list[str]
    """Alarms whose model it replaces."""
    needed: int
    """How many people have to agree."""
    consents: list[ConsentOut]
    newer: int | None
    """A newer number, which carries what this one was to bring: that one is decided on."""


class DirectiveList(Dto):
    """GET /api/directives: what waits first, then what people decided lately."""

    policy: Literal["ask", "auto"]
    needed: int
    items: list[DirectiveOut]


class DirectiveDecision(Dto):
    """POST /api/directives/{edge}/{counter}/decision."""

    accept: bool
    reason: Reason
