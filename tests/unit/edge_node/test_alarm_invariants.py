"""Invariants I1 to I9 on the edge's own API: samples, clock and people, in any order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge_node.conformance_rig import RESTART, Outcome, Rig
from shared.alarm.conformance import EVENTS, REGIONS
from shared.alarm.machine import Policy

PROCESS = {"RAISE", "CLEAR", "SUPPRESS_ON", "SUPPRESS_OFF", "SHELF_EXPIRED", "REALARM_TIMER"}
POLICIES = st.builds(
    Policy,
    ack_required=st.booleans(),
    confirm_used=st.booleans(),
    latching=st.booleans(),
    leave=st.sampled_from(["rearm", "keep"]),
    hidden_ack=st.sampled_from(["reject", "accept"]),
    clear_unacked=st.sampled_from(["required", "auto"]),
    reshelve=st.sampled_from(["restart", "reject"]),
    latched_raise=st.sampled_from(["annunciate", "same"]),
    re_alarm_on=st.sampled_from(["standing", "unacked"]),
)
Flags = dict[str, str]


class LivingAlarm(RuleBasedStateMachine):
    """One alarm of a real pipeline, book and service, whatever happens to it."""

    @initialize(policy=POLICIES, re_alarm=st.booleans())
    def begin(self, policy: Policy, re_alarm: bool) -> None:
        self.policy, self.re_alarm = policy, re_alarm
        self.rig = Rig(policy, re_alarm)
        self.present = False
        """What the plant did last, beside the edge's own view of it."""

    @property
    def now(self) -> Flags:
        return dict(zip(REGIONS, self.rig.key, strict=True))

    @rule(event=st.sampled_from(EVENTS))
    def happen(self, event: str) -> None:
        before = self.now
        outcome = self.rig.fire(event)
        if event in ("RAISE", "CLEAR"):
            self.present = event == "RAISE"
        if event == "SHELF_EXPIRED" and self.re_alarm:
            return  # hours: the re-alarm timer has gone off too
        self._holds(event, before, outcome)

    @rule()
    def restart(self) -> None:
        before = self.now
        outcome = self.rig.fire(RESTART)
        assert (outcome.cells["result"], self.now) == ("noop", before)

    @rule(ms=st.integers(0, 20_000))
    def wait(self, ms: int) -> None:
        before = self.now
        self.rig.wait(ms)
        after = self.now
        assert (after["raw"], after["active"]) == (before["raw"], before["active"])

    def _holds(self, event: str, before: Flags, outcome: Outcome) -> None:
        cells, after = outcome.cells, self.now
        if cells["result"] not in ("ok", "noop"):  # I4
            assert event not in PROCESS
            assert (after, cells["annunciated"]) == (before, "0")
        if event not in ("RAISE", "CLEAR"):  # I5
            assert after["raw"] == before["raw"]
        if before["active"] > after["active"]:  # I6
            assert event in ("CLEAR", "DISABLE")
        if cells["annunciated"] == "1":  # I7
            assert cells["audible"] == "1"
        if event == "RESET" and cells["result"] == "ok":  # I8
            assert (before["raw"], before["active"], before["latched"]) == ("0", "0", "1")
        if _sounds(before) and after["acked"] == "1":  # I9
            allowed = {"ACK", "DISABLE"}
            if self.policy.clear_unacked == "auto":
                allowed.add("CLEAR")
            assert event in allowed

    @invariant()
    def state_holds(self) -> None:
        state, horn = self.now, self.rig.horn
        assert state["raw"] == str(int(self.present))
        if state["enabled"] == "1":
            assert state["active"] == state["raw"]  # I1
        else:
            assert state["active"] == "0"
            assert not horn  # I3
        if "1" in (state["supp"], state["oos"]) or state["shelf"] != "U":
            assert not horn  # I2
        assert horn == _sounds(state)


def _sounds(state: Flags) -> bool:
    hidden = "1" in (state["supp"], state["oos"]) or state["shelf"] != "U"
    return (state["enabled"], state["active"], state["acked"]) == ("1", "1", "0") and not hidden


LivingAlarm.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)
TestLivingAlarm = LivingAlarm.TestCase
