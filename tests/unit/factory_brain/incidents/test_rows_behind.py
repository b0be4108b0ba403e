"""Rows behind a parent: what the live list knows first is never hidden by what follows later."""

from __future__ import annotations

from typing import Any

import msgspec

from factory_brain.application.fleet import FleetView
from factory_brain.application.live_view import LiveView
from factory_brain.domain.rows import Occurrence, Understood, make_row
from shared.alarm.states import AlarmState
from shared.clock import ManualClock
from shared.messages.bodies import AlarmTransition
from shared.web.dto import AlarmRow
from shared.web.sse import Broadcaster


def standing(alarm: str, version: int = 1, **state: Any) -> Occurrence:
    regions: dict[str, Any] = {"active": True, "acked": False} | state
    body = AlarmTransition(
        alarm=alarm, occurrence=f"o-{alarm}", version=version, annunciated_version=1,
        kind="raised", annunciate=True, settings_version=1, priority=2, asset="A", tag="t",
        state=AlarmState(**regions).to_dict(),
    )  # fmt: skip
    return Occurrence(body.occurrence, alarm, "e1", body, f"{version}", 1, None, 1, False)


async def world(*parents: Occurrence) -> LiveView:
    clock = ManualClock()
    view = LiveView({}, clock, Broadcaster(clock.now_ms), FleetView("f1", [], clock))
    known = {"o-CHILD": Understood("INC-1", "", "PARENT")}
    view.understood = lambda occurrence: known.get(occurrence, Understood())
    for each in (*parents, standing("CHILD")):
        await view.on_occurrence(each, True)
    return view


def child(view: LiveView) -> AlarmRow:
    return next(row for row in view.snapshot().rows if row.alarm == "CHILD")


async def test_a_standing_child_is_behind_its_standing_parent() -> None:
    view = await world(standing("PARENT"))
    assert (child(view).hidden_behind, child(view).incident) == ("PARENT", "INC-1")


async def test_a_childs_recovery_is_shown_before_the_correlator_hears_of_it() -> None:
    view = await world(standing("PARENT"))
    await view.on_occurrence(standing("CHILD", 2, active=False), True)
    assert child(view).hidden_behind == ""


async def test_a_childs_row_comes_back_in_the_moment_its_parent_ends() -> None:
    for end in ({"active": False}, {"active": False, "acked": True}, {"suppressed": True}):
        view = await world(standing("PARENT"))
        assert child(view).hidden_behind == "PARENT"
        view._flush()  # all is sent: what is sent next is what changed
        await view.on_occurrence(standing("PARENT", 2, **end), True)
        assert "CHILD" in view._changed
        assert child(view).hidden_behind == ""


async def test_a_parent_that_is_not_in_the_list_hides_nothing_until_it_is() -> None:
    view = await world()
    assert child(view).hidden_behind == ""
    await view.on_occurrence(standing("PARENT"), True)
    assert child(view).hidden_behind == "PARENT"


def test_marks_and_first_out_stand_on_the_row() -> None:
    row = make_row(standing("X"), None, understood=Understood("I", "tie", "", ("stale",)))
    assert (row.incident, row.first_out, row.marks) == ("I", "tie", ["stale"])
    assert msgspec.json.decode(row.model_dump_json())["hidden_behind"] == ""
