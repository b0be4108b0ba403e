"""What the tiers above fold from the edge's transitions and facts is what the edge itself holds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.application.alarm_service import AlarmService
from edge_node.application.ipc import OperatorAction
from edge_node.application.records import Emit
from shared.alarm.machine import Policy
from shared.alarm.occurrence import fold
from shared.messages.bodies import AlarmTransition, Fact
from tests.support.edge_script import Script, limit

WHY = {"reason": "test", "minutes": 5}
DEEDS = ["raise", "clear", "over", "under", "acknowledge", "confirm", "reset", "shelve",
         "unshelve", "out_of_service", "in_service", "disable", "enable", "wait"]  # fmt: skip
OFTEN = [*DEEDS, *("raise", "clear", "acknowledge", "confirm") * 4]
POLICIES = st.builds(
    Policy,
    ack_required=st.booleans(),
    confirm_used=st.booleans(),
    latching=st.booleans(),
    leave=st.sampled_from(["rearm", "keep"]),
    hidden_ack=st.sampled_from(["reject", "accept"]),
    clear_unacked=st.sampled_from(["required", "auto"]),
    latched_raise=st.sampled_from(["annunciate", "same"]),
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(policy=POLICIES, deeds=st.lists(st.sampled_from(OFTEN), min_size=12, max_size=40))
def test_the_fold_above_is_the_state_below(policy: Policy, deeds: list[str]) -> None:
    alarms = [limit("T.HI", "T", "HI", 100, policy=policy, suppressed_by=("S.HI",)),
              limit("S.HI", "S", "HI", 100, policy=Policy(ack_required=False))]  # fmt: skip
    script = Script(["T", "S"], alarms)
    service = AlarmService(script.book, script.clock, script.pipeline.steady, {}, {}, "")
    samples = {"raise": ("T", 110), "clear": ("T", 90), "over": ("S", 110), "under": ("S", 90)}
    unit, facts = script.book.units["T.HI"], list[Fact]()
    for second, deed in enumerate(deeds):
        script.at(second * 10)
        if deed in samples:
            script.sample(*samples[deed])
        elif deed != "wait":
            action = OperatorAction(
                id=f"a{second}", action=deed, alarm=unit.id, occurrence=unit.occurrence,
                version=unit.version, actor="li", args=WHY,
            )  # fmt: skip
            rows, _ = service.act(action)
            facts += [row.event.body for row in rows if _is_fact(row)]  # type: ignore[union-attr]
            script.log += script.pipeline.settle()
        mine = [t for t in script.log if t.body.alarm == unit.id]
        told: list[AlarmTransition] = [
            t.body for t in mine if t.told and t.body.occurrence == unit.occurrence
        ]
        view = fold(told, facts)
        if view is not None and mine[-1].told:
            assert view.state == unit.state


def _is_fact(row: object) -> bool:
    return isinstance(row, Emit) and isinstance(row.event.body, Fact)
