"""The published traces, replayed through samples and people's actions on a virtual clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.alarm.machine import Policy
from shared.alarm.states import AlarmState
from tests.support.edge_script import limit
from tests.unit.edge_node.test_suppression import Place, place

SHOWN = {"A": "N", "B": "U", "C": "A", "D": "R", "LU": "U", "LA": "L"}


def play(condition: str, ack: str, reset: str, **more: Any) -> str:
    """One character a second: time, then people, then the sample."""
    p = place(limit("T.HI", "T", "HI", 100, **more))
    shown = ""
    for second, mark in enumerate(condition):
        p.script.at(second - 0.001)
        if ack[second] == "#":
            assert p.do("T.HI", "acknowledge") == "ok"
        if reset[second] == "#":
            p.do("T.HI", "reset")
        p.script.at(second).sample("T", 110 if mark == "#" else 90)
        shown += SHOWN[p.unit("T.HI").state.core]
    return shown


def test_the_delay_trace() -> None:
    shown = play(
        "_#__#######__#####_____", "_________#__________#__", "_" * 23, on_ms=3000
    )  # fmt: skip
    assert shown == "NNNNNNNUUAANNNNNUURRNNN"


def test_the_latching_trace() -> None:
    policy = Policy(latching=True)
    shown = play("__####_________", "________#______", "_____#_____#___", on_ms=1000, policy=policy)
    assert shown == "NNNUUUUULLLNNNN"


def flags(p: Place) -> str:
    state = AlarmState.from_dict(p.script.log[-1].body.state) if p.script.log else AlarmState()
    shown = (state.active, state.acked, state.confirmed, state.retained)
    return "".join(str(int(flag)) for flag in shown)


def test_table_b1_of_opc_ua_part_9() -> None:
    p = place(limit("T.HI", "T", "HI", 100, policy=Policy(confirm_used=True)))
    seen = [flags(p)]
    for second, what in enumerate("RACFRCAF"):
        p.script.at(second)
        if what in "RC":
            p.script.sample("T", 110 if what == "R" else 90)
        else:
            assert p.do("T.HI", "acknowledge" if what == "A" else "confirm") == "ok"
        seen.append(flags(p))
    assert seen == ["0110", "1011", "1101", "0101", "0110", "1011", "0011", "0101", "0110"]


def test_table_b2_of_opc_ua_part_9_with_occurrences_for_branches() -> None:
    """Part 9 keeps an unanswered episode as a branch; here it is an occurrence of its own.

    The raise of row 8 begins a new occurrence, whose predecessor (branch 1 of row 7) stays open in
    the records of the tiers above until it is answered there; at the edge the newest one rules.
    """
    p = place(limit("T.HI", "T", "HI", 100, policy=Policy(confirm_used=True)))
    rows = [("R", "1011"), ("A", "1101"), ("C", "0101"), ("F", "0110"), ("R", "1011"),
            ("C", "0011"), ("R", "1011")]  # fmt: skip
    occurrences = []
    for second, (what, wanted) in enumerate(rows):
        p.script.at(second)
        if what in "RC":
            p.script.sample("T", 110 if what == "R" else 90)
        else:
            assert p.do("T.HI", "acknowledge" if what == "A" else "confirm") == "ok"
        assert flags(p) == wanted, second
        occurrences.append(p.unit("T.HI").occurrence)
    assert occurrences == ["o1"] * 4 + ["o2"] * 2 + ["o3"]
    closed = [t.body for t in p.script.log if t.body.occurrence == "o2"]
    assert [body.kind for body in closed] == ["raised", "returned"]  # rows 5 and 6: branch 1
    assert closed[-1].state["acked"] is False
    unit, script = p.unit("T.HI"), p.script
    assert p.do("T.HI", "acknowledge") == "ok"  # row 9, here for the one that stands
    script.at(8).sample("T", 90)
    assert flags(p) == "0101"
    assert p.do("T.HI", "confirm") == "ok"
    assert (flags(p), unit.occurrence) == ("0110", "o3")  # row 14: retain 0


def test_a_raise_from_latched_acknowledged_may_go_on_with_its_occurrence() -> None:
    for choice, occurrences, sounds in (("annunciate", 2, 2), ("same", 1, 1)):
        policy = replace(Policy(latching=True), latched_raise=choice)  # type: ignore[arg-type]
        p = place(limit("T.HI", "T", "HI", 100, policy=policy))
        p.script.at(0).sample("T", 110)
        p.do("T.HI", "acknowledge")
        p.script.at(1).sample("T", 90).at(2).sample("T", 110)
        assert len({t.body.occurrence for t in p.script.log}) == occurrences
        assert len(p.sounded) == sounds
        assert p.unit("T.HI").state.active
