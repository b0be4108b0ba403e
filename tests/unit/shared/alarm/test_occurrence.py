"""The fold of an occurrence: order, duplication and partition must not matter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.alarm.occurrence import fold
from shared.alarm.states import AlarmState
from shared.messages.bodies import AlarmTransition, Fact


def transition(version: int, kind: str, annunciated: int, **state: object) -> AlarmTransition:
    return AlarmTransition(
        alarm="A", occurrence="o1", version=version, annunciated_version=annunciated, kind=kind,
        annunciate=annunciated == version, state=AlarmState(**state).to_dict(),  # type: ignore[arg-type]
        settings_version=1, priority=2, asset="X-1", tag="TT-1", source_time=1000 + version,
        raised_at=1001,
    )  # fmt: skip


def fact(name: str, seen: int, ms: int, action: str = "acknowledge", **args: object) -> Fact:
    return Fact(
        id=name, alarm="A", occurrence="o1", version_seen=seen, action=action, actor=f"by-{name}",
        place="edge", hlc=f"{ms:013d}.00000", args=args,
    )  # fmt: skip


RAISED = transition(1, "raised", 1, raw=True, active=True, acked=False)
RETURNED = transition(2, "returned", 1, raw=False, active=False, acked=False)
AGAIN = transition(3, "raised", 3, raw=True, active=True, acked=False)


def test_no_transition_is_no_view() -> None:
    assert fold([], [fact("f", 1, 5)]) is None


def test_an_acknowledgement_of_the_newest_annunciation_counts() -> None:
    view = fold([RAISED, RETURNED], [fact("f", 1, 5)])
    assert view is not None
    assert view.acked
    assert view.state.name == "normal"
    assert view.returned_at == 1002


def test_an_acknowledgement_of_an_older_annunciation_does_not_count() -> None:
    view = fold([RAISED, RETURNED, AGAIN], [fact("f", 2, 5)])
    assert view is not None
    assert not view.acked
    assert view.acked_by is None
    assert view.returned_at is None


def test_the_first_acknowledgement_wins_and_the_second_is_kept() -> None:
    view = fold([RAISED], [fact("late", 1, 9), fact("early", 1, 5)])
    assert view is not None
    assert view.acked_by is not None
    assert view.acked_by.fact == "early"
    assert [said.fact for said in view.also_acked_by] == ["late"]


def test_what_was_never_annunciated_cannot_be_acknowledged() -> None:
    hidden = transition(1, "raised", 0, raw=True, active=True, acked=False, suppressed=True)
    view = fold([hidden], [fact("f", 1, 5)])
    assert view is not None
    assert not view.acked


def test_a_recorded_acknowledgement_does_not_hide_the_process_of_its_version() -> None:
    acked = transition(1, "acknowledged", 1, raw=True, active=True, acked=True)
    view = fold([acked, RAISED], [fact("f", 1, 5)])
    assert view is not None
    assert view.state.name == "acknowledged"
    without = fold([acked, RAISED], [])
    assert without is not None
    assert not without.acked


FACTS = [
    fact("a", 1, 5), fact("b", 3, 6), fact("c", 3, 6), fact("d", 1, 7, "comment", text="hm"),
    fact("e", 3, 8, "assign", to="li"), fact("f", 2, 9, "outcome", label="true"),
]  # fmt: skip
TRANSITIONS = [RAISED, RETURNED, AGAIN]


@given(st.permutations(TRANSITIONS * 2), st.permutations(FACTS * 2), st.integers(0, 6), st.data())
def test_order_duplication_and_partition_do_not_matter(
    transitions: list[AlarmTransition], facts: list[Fact], cut: int, data: st.DataObject
) -> None:
    assert fold(transitions, facts) == fold(TRANSITIONS, FACTS)
    merged = data.draw(st.permutations(facts[:cut] + FACTS))
    assert fold(transitions, merged) == fold(TRANSITIONS, FACTS)
