"""One alarm as the edge runs it: definition, state, condition over time, occurrence and versions.

`apply` runs the shared machine and keeps the books of occurrence and version; the alarm book calls
it. No IO, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from shared.alarm.definition import AlarmDefinition
from shared.alarm.machine import AlarmEvent, Step, Trigger, step
from shared.alarm.point import PointState, Setting
from shared.alarm.states import AlarmState
from shared.messages.bodies import AlarmTransition

KINDS = {
    Trigger.RAISE: "raised",
    Trigger.CLEAR: "returned",
    Trigger.ACKNOWLEDGE: "acknowledged",
    Trigger.CONFIRM: "confirmed",
    Trigger.RESET: "reset",
    Trigger.SHELVE_TIMED: "shelved",
    Trigger.SHELVE_ONE_SHOT: "shelved",
    Trigger.UNSHELVE: "unshelved",
    Trigger.SHELF_EXPIRED: "unshelved",
    Trigger.SUPPRESS: "suppressed",
    Trigger.UNSUPPRESS: "unsuppressed",
    Trigger.OUT_OF_SERVICE: "out_of_service",
    Trigger.IN_SERVICE: "in_service",
    Trigger.DISABLE: "disabled",
    Trigger.ENABLE: "enabled",
    Trigger.RE_ALARM: "re_alarmed",
}
BY_DESIGN = (Trigger.SUPPRESS, Trigger.UNSUPPRESS)
RESPONSES = (Trigger.ACKNOWLEDGE, Trigger.CONFIRM)
"""What people say about a version; it makes no new one, so that nobody invalidates another."""


@dataclass(slots=True)
class AlarmUnit:
    """The running state of one alarm."""

    definition: AlarmDefinition
    order: int = 0
    """Suppressing alarms come before those that they suppress."""
    state: AlarmState = field(default_factory=AlarmState)
    point: PointState = field(default_factory=PointState)
    occurrence: str = ""
    version: int = 0
    annunciated_version: int = 0
    annunciated_at: int = 0
    raised_at: int = 0
    value: float | None = None
    """The value that last changed the condition."""
    quality: str = "good"
    pending: tuple[Setting, int] | None = None
    """Settings with their version that wait for the return to normal."""
    unknown: str = ""
    """Why the condition cannot be evaluated now, if it cannot."""
    local_action: str | None = None

    @property
    def id(self) -> str:
        """The alarm's id."""
        return self.definition.id

    def suppresses(self) -> bool:
        """Whether it stands, and may hide the alarms that it makes redundant."""
        state = self.state
        return state.enabled and state.active and state.shelf == "U" and not state.out_of_service


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happened: steady time, the source's own time, when it was received."""

    at: int
    source: int
    received: int


@dataclass(frozen=True, slots=True)
class Transition:
    """One recorded change with what follows from it."""

    unit: AlarmUnit
    body: AlarmTransition
    raised: bool
    """The condition has become present: reflexes act, whatever hides the alarm from people."""
    late_ms: int = 0
    """How long after its due time the engine got to it (timers)."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The fact and the person behind a change, if there is one."""

    fact: str = ""
    actor: str = ""


NOBODY = Cause()


def apply(
    unit: AlarmUnit,
    event: AlarmEvent,
    moment: Moment,
    new_occurrence: Callable[[], str],
    cause: Cause = NOBODY,
) -> tuple[Step, Transition | None]:
    """Take one event: the machine's answer, and the transition if anything changed."""
    before = unit.state
    result = step(unit.definition.policy, before, event, moment.at)
    if not result.accepted or (result.state == before and not result.annunciate):
        return result, None
    unit.state = after = result.state
    if event.trigger in BY_DESIGN and not before.retained and not after.retained:
        return result, None  # hiding what is at rest is nothing to tell
    raised = after.active and not before.active
    if not unit.occurrence or raised:
        # An occurrence is one raise-to-normal episode: raised again while the last one still
        # waits for people it is another, so that each can be acknowledged and labelled by itself.
        unit.occurrence, unit.version, unit.annunciated_version = new_occurrence(), 0, 0
    if event.trigger not in RESPONSES:
        unit.version += 1
    if result.annunciate:
        unit.annunciated_version, unit.annunciated_at = unit.version, moment.at
    if raised:
        unit.raised_at = moment.source
    body = describe(unit, KINDS[event.trigger], result.annunciate, moment, cause)
    return result, Transition(unit, body, raised, max(0, moment.received - moment.at))


def describe(
    unit: AlarmUnit, kind: str, annunciate: bool, moment: Moment, cause: Cause = NOBODY
) -> AlarmTransition:
    """The unit's present state as a recorded change."""
    definition = unit.definition
    return AlarmTransition(
        alarm=definition.id,
        occurrence=unit.occurrence,
        version=unit.version,
        annunciated_version=unit.annunciated_version,
        kind=kind,
        annunciate=annunciate,
        state=unit.state.to_dict(),
        settings_version=definition.settings_version,
        priority=definition.priority,
        asset=definition.asset,
        tag=definition.tag,
        side=definition.side or "",
        value=unit.value,
        limit=definition.setting.limit if definition.kind == "limit" else None,
        unit=definition.unit,
        quality=unit.quality,
        source_time=moment.source,
        receive_time=moment.received,
        raised_at=unit.raised_at,
        fact=cause.fact,
        actor=cause.actor,
    )
