"""Drills of a file: their form, and that a faster one waits shorter and differs in nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shared.paths import playbook_library
from shared.playbook.loader import load_playbook
from shared.playbook.rehearsal.document import Case, Defaults, TestFile
from shared.playbook.rehearsal.pace import paced, paced_inputs, scale_of
from shared.playbook.rehearsal.play import Cast, play

BOOK = load_playbook(playbook_library() / "furnace" / "furnace-overtemp.yaml").playbook
FILE = {"schema": "playbook-test/v1", "playbook": "furnace-overtemp"}


def test_only_what_the_plan_itself_waits_for_is_shortened() -> None:
    fast = paced(BOOK, 60)
    before, after = ({step.id: step for step in book.all_steps()} for book in (BOOK, fast))
    decide, cooled, hold = after["decide"], after["cooled"], after["hold-heat"]
    assert decide.ask is not None
    assert (decide.ask.within, decide.ask.reminders) == ("5000ms", [1_000]) or (
        decide.ask.within == "${inputs.ask_within}"
    )
    assert fast.inputs["ask_within"].default == "5000ms"
    assert paced_inputs(BOOK, {"ask_within": "2m", "safe_c": 1250}, 60) == {
        "ask_within": "2000ms", "safe_c": 1250
    }  # fmt: skip
    assert [rung.after for rung in decide.escalate] == [0, 10_000]
    assert cooled.wait_until is not None
    assert cooled.wait_until.within == 8_000
    assert hold.command == before["hold-heat"].command  # the device takes the time that it takes
    ticket = after["open-ticket"].retry
    assert ticket is not None
    assert ticket.schedule == [0, 83, 1_000, 5_000, 30_000, 120_000]
    assert paced(BOOK, 10).deadline == BOOK.deadline // 10
    assert fast.deadline == 60_000  # in it fall commands and requests, which take their time
    assert (fast.offline, fast.triggers) == (BOOK.offline, BOOK.triggers)
    assert paced(BOOK, 1.0) is BOOK


@pytest.mark.parametrize("times", [60, 7])
def test_it_goes_the_same_way_so_many_times_faster(times: int) -> None:
    case = Case.model_validate({
        "name": "x", "when": [{"raise": "FUR-01.TT-101.HIHI"}], "then": {},
        "given": {
            "alarm": {"asset": "FUR-01", "value": 1295.0},
            "tags": {"burner.setpoint": 35.0, "esd.active": False, "zone.temp": 1295.0,
                     "fan.running": True},
        },
    })  # fmt: skip
    slow, fast = (play(Cast(book), Defaults(), case).runs[0] for book in (BOOK, paced(BOOK, times)))
    ways = [[(row[0], row[2]) for row in run.rows] for run in (slow, fast)]
    assert ways[0] == ways[1]
    assert slow.ended_at is not None
    assert fast.ended_at is not None
    took = slow.ended_at - slow.started_at
    assert took == 23 * 60_000  # 15 minutes until the last rung, 8 until it gives up
    assert abs((fast.ended_at - fast.started_at) - took / times) <= 3


@pytest.mark.parametrize(
    ("context", "scale"),
    [({}, 1), ({"time_scale": 60}, 1), ({"drill": True, "time_scale": 60}, 60),
     ({"drill": True}, 1)],
)  # fmt: skip
def test_nothing_but_a_drill_runs_faster(context: dict[str, Any], scale: float) -> None:
    assert scale_of(context) == scale


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, "needs `tests`, a `drill` or `drills`"),
        ({"drill": {}, "drills": [{"name": "a"}]}, "not both"),
        ({"drills": [{"name": "a"}, {"name": "a"}]}, "twice: a"),
        ({"drill": {"faults": [{"plant": "furnace"}]}}, "`plant` and `fault`, or `link`"),
        ({"drill": {"faults": [{"plant": "p", "fault": "f", "link": "e1"}]}}, "or `link`"),
        ({"drill": {"time_scale": 0.5}}, "greater than or equal to 1"),
        ({"drill": {"time_scale": 601}}, "less than or equal to 600"),
    ],
)
def test_a_drill_that_makes_no_sense_is_refused(more: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TestFile.model_validate({**FILE, **more})
    assert why in str(caught.value)


def test_drills_have_their_place_in_the_file() -> None:
    one = TestFile.model_validate({**FILE, "drill": {}})
    two = TestFile.model_validate({**FILE, "drills": [{"name": "a"}, {"name": "b"}]})
    assert [drill.name for drill in one.all_drills] == ["drill"]
    assert (one.place_of(0), two.place_of(1)) == (("drill",), ("drills", 1))
