"""Invariants I1 to I9 of the alarm machine, on any policy and any sequence of events."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared.alarm.machine import OPERATOR_METHODS, AlarmEvent, Policy, Step, Trigger, step
from shared.alarm.states import NORMAL, AlarmState

POLICIES = st.builds(
    Policy,
    ack_required=st.booleans(),
    confirm_used=st.booleans(),
    latching=st.booleans(),
    leave=st.sampled_from(["rearm", "keep"]),
    hidden_ack=st.sampled_from(["reject", "accept"]),
    clear_unacked=st.sampled_from(["required", "auto"]),
    reshelve=st.sampled_from(["restart", "reject"]),
)
EVENTS = st.builds(
    AlarmEvent,
    trigger=st.sampled_from(list(Trigger)),
    occurrence_matches=st.sampled_from([True, True, True, False]),
    shelve_ms=st.sampled_from([60_000, 1, 0, -1, None, 10**12]),
)


class AnyLife(RuleBasedStateMachine):
    """Any events in any order, under one policy."""

    @initialize(policy=POLICIES)
    def begin(self, policy: Policy) -> None:
        self.policy = policy
        self.state: AlarmState = NORMAL
        self.now = 0

    @rule(event=EVENTS, later=st.integers(0, 100_000))
    def happen(self, event: AlarmEvent, later: int) -> None:
        before = self.state
        self.now += later
        result = step(self.policy, before, event, self.now)
        assert result == step(self.policy, before, event, self.now)  # a function, nothing else
        self._transition_holds(before, event.trigger, result)
        self.state = result.state

    def _transition_holds(self, before: AlarmState, trigger: Trigger, result: Step) -> None:
        after = result.state
        if not result.accepted:  # I4
            assert after == before
            assert not result.annunciate
        if result.result == "noop":
            assert after == before
        if trigger in OPERATOR_METHODS:  # I5
            assert after.raw == before.raw
        if before.active and not after.active:  # I6
            assert trigger in (Trigger.CLEAR, Trigger.DISABLE)
        if result.annunciate:  # I7
            assert after.audible
        if trigger is Trigger.RESET and result.result == "ok":  # I8
            assert not before.raw
            assert not before.active
        if before.audible and after.acked:  # I9
            allowed = {Trigger.ACKNOWLEDGE, Trigger.DISABLE}
            if self.policy.clear_unacked == "auto":
                allowed.add(Trigger.CLEAR)
            assert trigger in allowed

    @invariant()
    def state_holds(self) -> None:
        state = self.state
        if state.enabled:
            assert state.active == state.raw  # I1
        else:
            assert not state.audible  # I3
            assert not state.retained
        if state.hidden:
            assert not state.audible  # I2
        assert (state.shelved_until is None) == (state.shelf == "U")
        assert AlarmState.from_dict(state.to_dict()) == state


AnyLife.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyLife = AnyLife.TestCase
