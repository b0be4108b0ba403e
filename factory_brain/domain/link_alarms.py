"""The alarms of linked systems: what a report and what a person's fact do to one. Pure.

The same state machine as everywhere; here the brain stands where an edge stands for its own alarms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from factory_brain.domain.link_mapping import Incoming
from shared.alarm.machine import AlarmEvent, Policy, Step, Trigger, step
from shared.alarm.states import NORMAL, AlarmState
from shared.messages.bodies import AlarmTransition, Fact

POLICY = Policy()
KINDS = {
    Trigger.RAISE: "raised", Trigger.RE_ALARM: "re_alarmed", Trigger.CLEAR: "returned",
    Trigger.ACKNOWLEDGE: "acknowledged",
    Trigger.CONFIRM: "confirmed", Trigger.RESET: "reset", Trigger.SHELVE_TIMED: "shelved",
    Trigger.SHELVE_ONE_SHOT: "shelved", Trigger.UNSHELVE: "unshelved",
    Trigger.SHELF_EXPIRED: "unshelved", Trigger.SUPPRESS: "suppressed",
    Trigger.UNSUPPRESS: "unsuppressed", Trigger.OUT_OF_SERVICE: "out_of_service",
    Trigger.IN_SERVICE: "in_service", Trigger.DISABLE: "disabled", Trigger.ENABLE: "enabled",
}  # fmt: skip
_TRIGGERS = {
    "acknowledge": Trigger.ACKNOWLEDGE, "confirm": Trigger.CONFIRM, "reset": Trigger.RESET,
    "unshelve": Trigger.UNSHELVE, "out_of_service": Trigger.OUT_OF_SERVICE,
    "in_service": Trigger.IN_SERVICE, "disable": Trigger.DISABLE, "enable": Trigger.ENABLE,
    "suppress": Trigger.SUPPRESS, "unsuppress": Trigger.UNSUPPRESS,
}  # fmt: skip
_WANT_REASON = ("shelve", "suppress", "out_of_service", "disable")
_SPOKEN = ("comment", "assign", "outcome")


@dataclass(frozen=True, slots=True)
class LinkAlarm:
    """One alarm of a linked system as the brain keeps it."""

    alarm: str
    link: str
    occurrence: str = ""
    version: int = 0
    annunciated_version: int = 0
    state: AlarmState = NORMAL
    raised_at: int = 0
    reported_at: int = 0
    """Time of the newest report that was applied."""
    asset: str = ""
    names: dict[str, str] | None = None
    priority: int = 3
    value: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The alarm after, the record of the change if it is one, and what became of the request."""

    alarm: LinkAlarm
    transition: AlarmTransition | None
    result: str
    code: str = ""


def report(before: LinkAlarm, said: Incoming, now: int, new_occurrence: str) -> Done:
    """What a linked system says of its alarm; what a newer report has overtaken changes nothing."""
    if said.time < before.reported_at:
        return Done(before, None, "older")
    alarm = replace(
        before, reported_at=said.time, asset=said.asset, names=said.names, unit=said.unit,
        priority=said.priority, value=before.value if said.value is None else said.value,
    )  # fmt: skip
    trigger = Trigger.RAISE if said.active else Trigger.CLEAR
    answer = step(POLICY, alarm.state, AlarmEvent(trigger), now)
    if answer.result == "noop":
        told = (before.priority, before.names, before.asset)
        if not said.active or told == (alarm.priority, alarm.names, alarm.asset):
            return Done(alarm, None, "unchanged")
        trigger = Trigger.RE_ALARM if alarm.priority < before.priority else None
        if trigger is not None:  # worse than what people have acknowledged: it sounds anew
            answer = step(POLICY, alarm.state, AlarmEvent(trigger), now)
        return _changed(alarm, trigger, answer, said.time, now)
    return _changed(alarm, trigger, answer, said.time, now, new_occurrence=new_occurrence)


def expire(before: LinkAlarm, now: int) -> Done | None:
    """The end of a shelf whose time is over; None while it is not."""
    until = before.state.shelved_until
    if until is None or until > now:
        return None
    answer = step(POLICY, before.state, AlarmEvent(Trigger.SHELF_EXPIRED), now)
    return _changed(before, Trigger.SHELF_EXPIRED, answer, now, now)


def answer_fact(before: LinkAlarm | None, fact: Fact, now: int) -> Done:
    """What a person's fact does: applied, recorded (somebody was faster) or refused with why."""
    if before is None or not before.occurrence:
        return Done(before or LinkAlarm(fact.alarm, ""), None, "refused", "unknown_alarm")
    if fact.action in _SPOKEN:
        return Done(before, None, "applied")
    wanted = _event(fact)
    if isinstance(wanted, str):
        return Done(before, None, "refused", wanted)
    if wanted.trigger in (Trigger.ACKNOWLEDGE, Trigger.CONFIRM):
        if fact.occurrence != before.occurrence:
            return Done(before, None, "recorded", "occurrence_closed")
        if not 0 < before.annunciated_version <= fact.version_seen:
            return Done(before, None, "refused", "not_seen")
        if wanted.trigger is Trigger.ACKNOWLEDGE and before.state.acked:
            return Done(before, None, "recorded", "already_acknowledged")
    answer = step(POLICY, before.state, wanted, now)
    if not answer.accepted:
        return Done(before, None, "refused", answer.result)
    if answer.result == "noop":
        return Done(before, None, "applied")
    return _changed(before, wanted.trigger, answer, now, now, fact=fact)


def _event(fact: Fact) -> AlarmEvent | str:
    reason = fact.args.get("reason")
    if fact.action in _WANT_REASON and not (isinstance(reason, str) and reason.strip()):
        return "reason_required"
    if fact.action in _TRIGGERS:
        return AlarmEvent(_TRIGGERS[fact.action], seen=True)
    if fact.action != "shelve":
        return "unknown_action"
    if fact.args.get("one_shot"):
        return AlarmEvent(Trigger.SHELVE_ONE_SHOT)
    length: Any = fact.args.get("ms")
    if isinstance(length, bool) or not isinstance(length, int | float):
        return "bad_argument"
    return AlarmEvent(Trigger.SHELVE_TIMED, shelve_ms=int(length))


def _changed(
    alarm: LinkAlarm, trigger: Trigger | None, answer: Step, at: int, now: int, *,
    new_occurrence: str = "", fact: Fact | None = None,
) -> Done:  # fmt: skip
    after = replace(alarm, state=answer.state)
    if answer.state.active and not alarm.state.active and new_occurrence:
        after = replace(
            after, occurrence=new_occurrence, version=0, annunciated_version=0, raised_at=at
        )
    if trigger is not Trigger.ACKNOWLEDGE:  # said by its fact: keeps the version it answers
        after = replace(after, version=after.version + 1)
    if answer.annunciate:
        after = replace(after, annunciated_version=after.version)
    body = AlarmTransition(
        alarm=after.alarm, occurrence=after.occurrence, version=after.version,
        annunciated_version=after.annunciated_version,
        kind=KINDS[trigger] if trigger else "reconfigured",
        annunciate=answer.annunciate, state=after.state.to_dict(), settings_version=0,
        priority=after.priority, asset=after.asset, tag="", value=after.value, unit=after.unit,
        source_time=at, receive_time=now, raised_at=after.raised_at, names=after.names or {},
        fact=fact.id if fact else "", actor=fact.actor if fact else "",
    )  # fmt: skip
    return Done(after, body, body.kind if fact is None else "applied")
