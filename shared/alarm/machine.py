"""The alarm's life cycle: the only alarm state machine in the product.

`step(policy, state, event, now)` is pure: the edge runs it live, the brain replays it, the tests
and the conformance verb run it too. It never reads a clock, logs or waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from shared.alarm.states import AlarmState


class Trigger(StrEnum):
    """What can happen to an alarm."""

    RAISE = "RAISE"
    CLEAR = "CLEAR"
    ACKNOWLEDGE = "ACK"
    CONFIRM = "CONFIRM"
    RESET = "RESET"
    SHELVE_TIMED = "SHELVE_TIMED"
    SHELVE_ONE_SHOT = "SHELVE_ONESHOT"
    UNSHELVE = "UNSHELVE"
    SHELF_EXPIRED = "SHELF_EXPIRED"
    SUPPRESS = "SUPPRESS_ON"
    UNSUPPRESS = "SUPPRESS_OFF"
    OUT_OF_SERVICE = "OOS_ON"
    IN_SERVICE = "OOS_OFF"
    DISABLE = "DISABLE"
    ENABLE = "ENABLE"
    RE_ALARM = "REALARM_TIMER"


@dataclass(frozen=True, slots=True)
class Policy:
    """The choice points of the life cycle (defaults: ISA-18.2 / IEC 62682)."""

    ack_required: bool = True
    confirm_used: bool = False
    latching: bool = False
    leave: Literal["rearm", "keep"] = "rearm"
    """Last suppression ends on a present condition: sound anew, or keep the acknowledgement."""
    hidden_ack: Literal["reject", "accept"] = "reject"
    clear_unacked: Literal["required", "auto"] = "required"
    """Return to normal while unacknowledged: stays until acknowledged, or ends by itself."""
    reshelve: Literal["restart", "reject"] = "restart"
    latched_raise: Literal["annunciate", "same"] = "annunciate"
    """Present again while latched and acknowledged: sound anew, or go on with the occurrence."""
    re_alarm_on: Literal["standing", "unacked"] = "standing"
    """Whether the re-alarm timer also takes back an acknowledgement."""
    max_shelve_ms: int = 8 * 3_600_000


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """One trigger with what it needs."""

    trigger: Trigger
    occurrence_matches: bool = True
    """Whether an acknowledge or confirm names the present occurrence."""
    shelve_ms: int | None = None
    seen: bool = False
    """An answer from another place to what was annunciated and seen there: a hiding since does not
    make it void (`hidden_ack` is about what one place may do by itself)."""


@dataclass(frozen=True, slots=True)
class Step:
    """What `step` returns: the state after, the result code, and whether to annunciate."""

    state: AlarmState
    result: str = "ok"
    """ok, noop, or a refusal code named as in OPC UA Part 9."""
    annunciate: bool = False

    @property
    def accepted(self) -> bool:
        """The event took effect or was harmless."""
        return self.result in ("ok", "noop")


OPERATOR_METHODS = frozenset(
    {
        Trigger.ACKNOWLEDGE, Trigger.CONFIRM, Trigger.RESET, Trigger.SHELVE_TIMED,
        Trigger.SHELVE_ONE_SHOT, Trigger.UNSHELVE, Trigger.OUT_OF_SERVICE, Trigger.IN_SERVICE,
    }
)  # fmt: skip


def step(policy: Policy, state: AlarmState, event: AlarmEvent, now: int) -> Step:
    """Apply one event at `now` (UTC ms); a refused event leaves the state untouched."""
    if not state.enabled and event.trigger in OPERATOR_METHODS:
        return Step(state, "Bad_ConditionDisabled")
    return _HANDLERS[event.trigger](policy, state, event, now)


def _annunciating(state: AlarmState) -> Step:
    return Step(state, "ok", state.audible)  # I7: annunciated implies audible


def _present(policy: Policy, state: AlarmState) -> AlarmState:
    """The state in which a present condition is announced anew."""
    # Confirm is asked for after an acknowledgement, never by the raise itself (Part 9 5.7.4).
    return replace(
        state, raw=True, active=True, acked=not policy.ack_required, confirmed=True,
        latched=policy.latching,
    )  # fmt: skip


def _raise(policy: Policy, state: AlarmState, _: AlarmEvent, now: int) -> Step:
    if not state.enabled:
        return Step(replace(state, raw=True), "noop" if state.raw else "ok")
    if state.raw:
        return Step(state, "noop")
    if policy.latched_raise == "same" and state.core == "LA":
        return Step(replace(state, raw=True, active=True))
    return _annunciating(_present(policy, state))


def _clear(policy: Policy, state: AlarmState, _: AlarmEvent, now: int) -> Step:
    if not state.enabled:
        return Step(replace(state, raw=False), "ok" if state.raw else "noop")
    if not state.raw:
        return Step(state, "noop")
    after = replace(state, raw=False, active=False)
    if policy.clear_unacked == "auto" and not after.acked:
        after = replace(after, acked=True)
    if after.shelf == "O":  # one-shot shelving ends with the occurrence
        after = replace(after, shelf="U", shelved_until=None)
        if not after.hidden:
            return _leave(policy, after)
    return Step(after)


def _leave(policy: Policy, state: AlarmState) -> Step:
    """The last suppression has ended."""
    if state.hidden or not state.enabled:
        return Step(state)
    if policy.leave == "keep":  # the underlying acknowledgement counts (Part 9)
        return _annunciating(state)
    if state.raw:
        return _annunciating(_present(policy, state))
    # Condition absent: back to normal without a sound; what was latched stays latched.
    return Step(state if state.latched else replace(state, acked=True, confirmed=True))


def _acknowledge(policy: Policy, state: AlarmState, event: AlarmEvent, now: int) -> Step:
    if not event.occurrence_matches:
        return Step(state, "Bad_EventIdUnknown")
    if state.acked:
        return Step(state, "Bad_ConditionBranchAlreadyAcked")
    if state.hidden and policy.hidden_ack == "reject" and not event.seen:
        return Step(state, "REJECT_not_annunciated")
    return Step(replace(state, acked=True, confirmed=not policy.confirm_used))


def _confirm(policy: Policy, state: AlarmState, event: AlarmEvent, now: int) -> Step:
    if not policy.confirm_used:
        return Step(state, "Bad_MethodInvalid")
    if not event.occurrence_matches:
        return Step(state, "Bad_EventIdUnknown")
    if state.confirmed:
        return Step(state, "Bad_ConditionBranchAlreadyConfirmed")
    return Step(replace(state, confirmed=True))


def _reset(policy: Policy, state: AlarmState, _: AlarmEvent, now: int) -> Step:
    if not policy.latching:
        return Step(state, "Bad_MethodInvalid")
    # Only a latched, returned and acknowledged alarm may be reset (I8: never hide a present one).
    if not state.latched or state.active or not state.acked or not state.confirmed:
        return Step(state, "Bad_InvalidState")
    return Step(replace(state, latched=False))


def _shelve_timed(policy: Policy, state: AlarmState, event: AlarmEvent, now: int) -> Step:
    duration = event.shelve_ms
    if duration is None or not 0 < duration <= policy.max_shelve_ms:
        return Step(state, "Bad_ShelvingTimeOutOfRange")
    if state.shelf == "T" and policy.reshelve == "reject":
        return Step(state, "Bad_ConditionAlreadyShelved")
    return Step(replace(state, shelf="T", shelved_until=now + duration))


def _shelve_one_shot(policy: Policy, state: AlarmState, _: AlarmEvent, now: int) -> Step:
    if state.shelf == "O":
        return Step(state, "Bad_ConditionAlreadyShelved")
    return Step(replace(state, shelf="O", shelved_until=now + policy.max_shelve_ms))


def _unshelve(policy: Policy, state: AlarmState, _: AlarmEvent, now: int) -> Step:
    if state.shelf == "U":
        return Step(state, "Bad_ConditionNotShelved")
    return _leave(policy, replace(state, shelf="U", shelved_until=None))


def _shelf_expired(policy: Policy, state: AlarmState, _: AlarmEvent, now: int) -> Step:
    if state.shelf == "U":
        return Step(state, "noop")
    return _leave(policy, replace(state, shelf="U", shelved_until=None))


def _suppress(policy: Policy, state: AlarmState, _: AlarmEvent, now: int) -> Step:
    return Step(replace(state, suppressed=True), "noop" if state.suppressed else "ok")


def _unsuppress(policy: Policy, state: AlarmState, _: AlarmEvent, now: int) -> Step:
    if not state.suppressed:
        return Step(state, "noop")
    return _leave(policy, replace(state, suppressed=False))


def _out_of_service(policy: Policy, state: AlarmState, _: AlarmEvent, now: int) -> Step:
    if state.out_of_service:
        return Step(state, "Bad_NothingToDo")
    return Step(replace(state, out_of_service=True))


def _in_service(policy: Policy, state: AlarmState, _: AlarmEvent, now: int) -> Step:
    if not state.out_of_service:
        return Step(state, "Bad_NothingToDo")
    return _leave(policy, replace(state, out_of_service=False))


def _disable(policy: Policy, state: AlarmState, _: AlarmEvent, now: int) -> Step:
    if not state.enabled:
        return Step(state, "Bad_ConditionAlreadyDisabled")
    # Silent and not retained; the condition is still tracked in `raw` (Part 9 5.5.2).
    return Step(AlarmState(enabled=False, raw=state.raw, suppressed=state.suppressed))


def _enable(policy: Policy, state: AlarmState, _: AlarmEvent, now: int) -> Step:
    if state.enabled:
        return Step(state, "Bad_ConditionAlreadyEnabled")
    after = replace(state, enabled=True)
    return _annunciating(_present(policy, after)) if after.raw else Step(after)


def _re_alarm(policy: Policy, state: AlarmState, _: AlarmEvent, now: int) -> Step:
    if not re_alarms(policy, state) or (policy.re_alarm_on == "unacked" and state.acked):
        return Step(state, "noop")
    return _annunciating(_present(policy, state))


def re_alarms(policy: Policy, state: AlarmState) -> bool:
    """Whether it stands where people see it, so that its re-alarm timer runs."""
    return policy.ack_required and state.enabled and state.active and not state.hidden


_Handler = Callable[[Policy, AlarmState, AlarmEvent, int], Step]
_HANDLERS: dict[Trigger, _Handler] = {
    Trigger.RAISE: _raise,
    Trigger.CLEAR: _clear,
    Trigger.ACKNOWLEDGE: _acknowledge,
    Trigger.CONFIRM: _confirm,
    Trigger.RESET: _reset,
    Trigger.SHELVE_TIMED: _shelve_timed,
    Trigger.SHELVE_ONE_SHOT: _shelve_one_shot,
    Trigger.UNSHELVE: _unshelve,
    Trigger.SHELF_EXPIRED: _shelf_expired,
    Trigger.SUPPRESS: _suppress,
    Trigger.UNSUPPRESS: _unsuppress,
    Trigger.OUT_OF_SERVICE: _out_of_service,
    Trigger.IN_SERVICE: _in_service,
    Trigger.DISABLE: _disable,
    Trigger.ENABLE: _enable,
    Trigger.RE_ALARM: _re_alarm,
}
