"""Urgency, the life of an assignment, whom to ask next, and what a push makes of a setting."""

from __future__ import annotations

from typing import Any

import pytest

from group_cloud.domain.assignment import (
    LIVE,
    MOVES,
    STATES,
    Move,
    Resource,
    State,
    advance,
    next_of,
    overdue,
)
from group_cloud.domain.push import Wanted, digest, pushed
from group_cloud.domain.urgency import Plight, score, urgency


def test_the_parts_of_urgency_are_as_they_are_documented() -> None:
    assert urgency(Plight()) == {}
    assert urgency(Plight(worst_priority=1))["priority"] == 400
    assert urgency(Plight(2, 300_000))["unacknowledged"] == 100
    assert urgency(Plight(2, 9_000_000))["unacknowledged"] == 200
    assert urgency(Plight(3, 9_000_000))["unacknowledged"] == 100
    assert urgency(Plight(in_ten_minutes=10)) == {}
    assert urgency(Plight(in_ten_minutes=11))["flood"] == 110
    assert urgency(Plight(in_ten_minutes=900))["flood"] == 300
    assert urgency(Plight(silent_ms=29_999)) == {}
    assert urgency(Plight(silent_ms=30_000))["silence"] == 100
    assert urgency(Plight(silent_ms=9_000_000))["silence"] == 300
    assert urgency(Plight(grave_incidents=9, missed=3)) == {"incidents": 150, "deadline": 150}
    assert score(urgency(Plight(4, 1, 0, None, 1))) == 20 + 0 + 50


def test_an_assignment_ends_and_is_never_taken_up_again() -> None:
    ended: list[State] = [each for each in STATES if each not in LIVE]
    assert all(advance(each, move) is None for each in ended for move in MOVES)
    path: list[Move] = ["accept", "depart", "arrive", "finish"]
    state: State = "offered"
    for move in path:
        assert advance(state, "cancel") == "cancelled"
        after = advance(state, move)
        assert after is not None
        state = after
    assert state == STATES[4] == "done"
    assert advance("accepted", "lapse") is None  # who has accepted is no more timed out
    assert advance("accepted", "arrive") == "on_site"


def able(name: str, *skills: str, site: str = "", available: bool = True) -> Resource:
    return Resource(name, "t", "expert", {}, skills, site, available, "")


def test_whom_to_ask_next() -> None:
    here, narrow, broad = able("z", "a", site="f1"), able("y", "a"), able("x", "a", "b")
    every = [broad, narrow, here, able("w", "b"), able("v", "a", available=False)]
    order = []
    for _ in range(4):
        found = next_of(every, ["a"], "f1", order, ())
        if found is not None:
            order.append(found.id)
    assert order == ["z", "y", "x"]
    assert next_of([here], ["a"], "f1", (), {"z"}) is None


def test_the_clocks() -> None:
    assert overdue("offered", 10, 20, 9) == []
    assert overdue("offered", 10, 20, 10) == ["accept"]
    assert overdue("offered", 10, 20, 20) == ["accept", "arrive"]
    assert overdue("en_route", 10, 20, 20) == ["arrive"]
    assert overdue("on_site", 10, 20, 99) == []


def point(side: str = "HI", **bounds: float) -> dict[str, Any]:
    setting = {"limit": 50.0, "deadband": 1.0, "on_delay_s": 5.0, "off_delay_s": 0.0}
    held = {"limit_min": 40.0, "limit_max": 60.0, "deadband_max": 3.0, "step": 2.0,
            "on_delay_max_ms": 60_000.0, "off_delay_max_ms": 60_000.0} | bounds  # fmt: skip
    return {
        "site": "f", "edge": "e", "alarm": "A.HI", "asset": "X", "process": "P", "names": {},
        "tuning": {"setting": setting, "bounds": held, "side": side, "unit": "°C"},
    }  # fmt: skip


@pytest.mark.parametrize(("side", "limit"), [("HI", 52.0), ("LOLO", 48.0)])
def test_a_limit_moves_away_from_the_normal_state(side: str, limit: float) -> None:
    found = pushed(point(side), Wanted(limit_steps=1))
    assert found is not None
    assert (found.new.limit, found.refused) == (limit, None)


def test_the_plants_bounds_and_steps_hold_for_people_too() -> None:
    too_far = pushed(point(limit_max=51.0), Wanted(limit_steps=1))
    assert too_far is not None
    assert too_far.refused is not None
    long = pushed(point(), Wanted(on_delay_s=59.0))
    assert long is not None
    assert long.refused is not None
    assert long.refused.code == "delay_step_too_large"


def test_what_is_not_named_stays_and_what_is_not_meant_is_left_out() -> None:
    found = pushed(point(), Wanted(off_delay_s=3))
    assert found is not None
    assert (found.new.limit, found.new.on_delay_ms, found.new.off_delay_ms) == (50.0, 5000, 3000)
    assert pushed(point(), Wanted(alarm="B*", off_delay_s=3)) is None
    assert pushed(point(), Wanted(side="LO", off_delay_s=3)) is None
    same, other = pushed(point(), Wanted(off_delay_s=3)), pushed(point(), Wanted(off_delay_s=4))
    assert same is not None
    assert other is not None
    assert digest([found]) == digest([same]) != digest([other])
    assert Wanted(alarm="A*").empty
