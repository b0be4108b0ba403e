"""One alarm as the edge runs it: definition, state, condition over time, occurrence and versions.

`apply` runs the shared machine and keeps the books of occurrence and version; the alarm book calls
it. No IO, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import msgspec

from shared.alarm.condition import ModelParameters
from shared.alarm.definition import AlarmDefinition
from shared.alarm.machine import AlarmEvent, Policy, Step, Trigger, step
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
CONDITION = frozenset({AlarmEvent(Trigger.RAISE), AlarmEvent(Trigger.CLEAR)})
BY_DESIGN = (Trigger.SUPPRESS, Trigger.UNSUPPRESS)


@dataclass(frozen=True, slots=True)
class Note:
    """Who keeps an alarm from people, why, since when (UTC ms), under which permit."""

    actor: str
    reason: str
    at: int
    permit: str = ""


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
    returned_at: int = 0
    """Source time of the present occurrence's return to normal; 0 while it stands."""
    value: float | None = None
    """The value that last changed the condition."""
    quality: str = "good"
    pending: tuple[Setting, int] | None = None
    """Settings with their version that wait for the return to normal."""
    pending_model: tuple[ModelParameters, int] | None = None
    """The same for a model's parameters."""
    under: Setting | None = None
    """The setting that the present delay runs by, where it is not the definition's."""
    filling: bool = False
    """Its filter does not know its window yet: samples are held against the engineer's limit."""
    unknown: str = ""
    """Why the condition cannot be evaluated now, if it cannot."""
    local_action: str | None = None
    by_operator: bool = False
    """Suppressed by a person, whatever else suppresses it."""
    causes: tuple[str, ...] = ()
    """Why it is suppressed (`suppression.Suppression.causes`)."""
    notes: dict[str, Note] = field(default_factory=dict)
    """By region: shelf, suppressed, out_of_service, disabled."""
    first_out: bool = False
    in_view: bool = False
    """It stood where people could see it, at the last look of its first-out group."""
    re_alarm_at: int = 0
    """Steady time before which the re-alarm timer says nothing."""
    internal: bool = False
    """A condition of the book's own, told to nobody."""
    mark: str = ""
    """What its condition is (`site_change.condition_mark`), once that was asked."""

    @property
    def id(self) -> str:
        """The alarm's id."""
        return self.definition.id

    @property
    def running(self) -> Setting:
        """The setting that counts now: the engineer's while a filter is filling."""
        return self.definition.fallback if self.filling else self.definition.setting

    @property
    def waits(self) -> Setting:
        """The setting whose delays count."""
        return self.under or self.definition.setting

    def suppresses(self) -> bool:
        """Whether it stands, and may hide the alarms that it makes redundant."""
        state = self.state
        return state.enabled and state.active and state.shelf == "U" and not state.out_of_service

    def forget_notes(self) -> None:
        """Drop the notes of the regions that have ended."""
        if not self.notes:
            return
        state = self.state
        ended = (
            ("shelf", state.shelf == "U"), ("suppressed", not self.by_operator),
            ("out_of_service", not state.out_of_service), ("disabled", state.enabled),
        )  # fmt: skip
        for region, over in ended:
            if over:
                self.notes.pop(region, None)


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
    told: bool = True
    """Whether the tiers above hear of it; what is at rest or disabled changes for this place alone:
    the next transition that is told carries the whole state."""

    def with_first_out(self) -> Transition:
        """The same, marked as the first of its group."""
        body = msgspec.structs.replace(self.body, first_out=True)
        return replace(self, body=body)


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
    result = _step(unit.definition.policy, before, event, moment.at)
    if not result.accepted or (result.state == before and not result.annunciate):
        return result, None
    unit.state = after = result.state
    if not _to_tell(event.trigger, before, after):
        body = describe(unit, KINDS[event.trigger], False, moment, cause)
        return result, Transition(unit, body, False, told=False)
    raised = after.active and not before.active
    continues = before.latched and unit.definition.policy.latched_raise == "same"
    if not unit.occurrence or (raised and not continues):
        # An occurrence is one raise-to-normal episode: raised again while the last one still
        # waits for people it is another, so that each can be acknowledged and labelled by itself.
        unit.occurrence, unit.version, unit.annunciated_version = new_occurrence(), 0, 0
        unit.local_action = None  # what the edge did about another occurrence says nothing of this
        unit.raised_at = moment.source  # of one that never stood: when people began to speak of it
        unit.returned_at = 0
    if not _said_by_its_fact(unit, event.trigger):
        unit.version += 1
    if result.annunciate:
        unit.annunciated_version, unit.annunciated_at = unit.version, moment.at
    if raised:
        unit.raised_at, unit.returned_at = moment.source, 0
    elif before.active and not after.active:
        unit.returned_at = moment.source
    body = describe(unit, KINDS[event.trigger], result.annunciate, moment, cause)
    return result, Transition(unit, body, raised, max(0, moment.received - moment.at))


def _step(policy: Policy, state: AlarmState, event: AlarmEvent, now: int) -> Step:
    """`step`, remembered for what a storm is made of: there time plays no part."""
    if event in CONDITION and state.shelved_until is None:
        return _timeless(policy, state, event)
    return step(policy, state, event, now)


@lru_cache(maxsize=4096)
def _timeless(policy: Policy, state: AlarmState, event: AlarmEvent) -> Step:
    return step(policy, state, event, 0)


def _to_tell(trigger: Trigger, before: AlarmState, after: AlarmState) -> bool:
    if trigger in BY_DESIGN:  # hiding what is at rest is nothing to tell
        return before.retained or after.retained
    return trigger not in (Trigger.RAISE, Trigger.CLEAR) or after.enabled


def _said_by_its_fact(unit: AlarmUnit, trigger: Trigger) -> bool:
    """Whether whoever folds the facts gets to this state without a version of its own.

    So is a plain acknowledgement of what was annunciated: any number of people may give it. A
    confirmation, and an acknowledgement that asks for one or was given to what never sounded, are
    known to the machine alone.
    """
    plain = not unit.definition.policy.confirm_used and unit.annunciated_version > 0
    return trigger is Trigger.ACKNOWLEDGE and plain


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
        limit=definition.shown_limit if definition.kind == "limit" else None,
        unit=definition.unit,
        quality=unit.quality,
        source_time=moment.source,
        receive_time=moment.received,
        raised_at=unit.raised_at,
        fact=cause.fact,
        actor=cause.actor,
        first_out=unit.first_out,
        returned_at=unit.returned_at,
        suppressed_by=list(unit.causes) if unit.state.suppressed else [],
    )
