"""Equipment state charts: guards, waiting times, unknown values, restart."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edge_node.domain.statechart import Chart, StateCharts
from shared.expression import Reading
from shared.site.states import ChartSpec

WORDS = {"zh": "模式", "en": "mode"}


def spec(**changes: Any) -> ChartSpec:
    document: dict[str, Any] = {
        "id": "FUR-01.MODE",
        "edge": "e1",
        "asset": "FUR-01",
        "name": WORDS,
        "initial": "idle",
        "states": [{"id": name, "name": WORDS} for name in ("idle", "firing", "stopped")],
        "transitions": [
            {"from": "idle", "to": "firing", "when": 'tag("OUT").value > 5', "after": "5s"},
            {"from": "*", "to": "stopped", "when": 'tag("ESD").value'},
            {
                "from": ["firing", "stopped"],
                "to": "idle",
                "when": '!tag("ESD").value && tag("OUT").value < 1',
            },
        ],
    }
    return ChartSpec.model_validate(document | changes)


class Plant:
    """Tags as the guards see them."""

    def __init__(self) -> None:
        self.now = 0
        self.values: dict[str, Any] = {"OUT": 0.0, "ESD": False}
        self.bad: set[str] = set()

    def root(self, name: str) -> object:
        raise KeyError(name)

    def tag(self, name: str) -> Reading | None:
        return Reading(self.values[name], name not in self.bad, 0.0, "bad")

    def window(self, function: str, tag: str, seconds: float) -> object:
        return None


@pytest.fixture
def plant() -> Plant:
    return Plant()


@pytest.fixture
def chart() -> Chart:
    return StateCharts().add(spec(), ["OUT", "ESD"])


def test_a_guard_must_hold_for_its_whole_time(chart: Chart, plant: Plant) -> None:
    plant.values["OUT"] = 20.0
    assert chart.look(plant, 1000) == []
    assert chart.next_due == 6000
    plant.values["OUT"] = 2.0
    assert chart.look(plant, 3000) == []
    assert chart.next_due is None
    plant.values["OUT"] = 20.0
    assert chart.look(plant, 4000) == []
    assert chart.look(plant, 8999) == []
    (change,) = chart.look(plant, 9000)
    assert (change.before, change.after, change.at) == ("idle", "firing", 9000)
    assert chart.since == 9000


def test_any_state_may_be_left_and_the_state_itself_is_not_entered_again(
    chart: Chart, plant: Plant
) -> None:
    plant.values["ESD"] = True
    assert [c.after for c in chart.look(plant, 0)] == ["stopped"]
    assert chart.look(plant, 1) == []
    plant.values["ESD"] = False
    assert [c.after for c in chart.look(plant, 2)] == ["idle"]


def test_what_is_not_known_moves_nothing_and_is_told(chart: Chart, plant: Plant) -> None:
    plant.values["OUT"] = 20.0
    chart.look(plant, 0)
    plant.bad.add("OUT")
    assert chart.look(plant, 5000) == []
    assert chart.unknown
    plant.bad.clear()
    assert chart.look(plant, 6000) == []  # the wait has begun anew
    assert [c.after for c in chart.look(plant, 11000)] == ["firing"]
    assert chart.unknown == ""


def test_guards_that_chase_each_other_end_and_are_told() -> None:
    chasing = spec(
        transitions=[
            {"from": "idle", "to": "firing", "when": "true"},
            {"from": "firing", "to": "stopped", "when": "true"},
            {"from": "stopped", "to": "idle", "when": "true"},
        ]
    )
    chart = StateCharts().add(chasing, [])
    assert len(chart.look(Plant(), 0)) == 16
    assert chart.unknown == "guards_chase"


def test_states_are_remembered_where_the_chart_still_has_them(plant: Plant) -> None:
    charts = StateCharts()
    charts.add(spec(), ["OUT", "ESD"])
    other = charts.add(spec(id="FUR-02.MODE"), ["OUT", "ESD"])
    plant.values["ESD"] = True
    other.look(plant, 7)
    assert charts.current == {"FUR-01.MODE:idle", "FUR-02.MODE:stopped"}
    again = StateCharts()
    again.add(spec(id="FUR-02.MODE"), ["OUT", "ESD"])
    again.restore(charts.remember() | {"GONE": ("idle", 1)})
    assert again.current == {"FUR-02.MODE:stopped"}
    again.restore({"FUR-02.MODE": ("no-such-state", 1)})
    assert again.current == {"FUR-02.MODE:stopped"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"initial": "on"}, "none of its states"),
        ({"transitions": [{"from": "idle", "to": "on", "when": "true"}]}, "transition 1"),
        ({"transitions": [{"from": "idle", "to": "firing", "when": "true"}]}, "stopped"),
    ],
)
def test_a_chart_that_makes_no_sense_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec(**changes)
