"""Scenarios load or name the faulty place; observations keep first sightings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.errors import ConfigError
from shared.web.dto import AlarmRow, Run, Text
from simulators.documents import load
from simulators.observations import Observations
from simulators.scenario import (
    SHIPPED,
    Expectation,
    WriteExpectation,
    load_scenario,
)
from simulators.settings import SimulatorSettings

GOOD = """version: 1
name: {zh: 试, en: try}
site: f1
steps:
  - fault: {plant: furnace, fault: spike}
  - expect: {alarm: FUR-01.TT-101.HI, within: 10s}
"""


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_scenarios_load(path: Path) -> None:
    scenario = load_scenario(path.stem)
    assert scenario.alarms()
    assert scenario.plants()


@pytest.mark.parametrize(
    ("old", "new", "place", "hint"),
    [
        ("plant: furnace", "plant: furnce", ":5:13", "'furnace'"),
        ("fault: spike", "fault: spik", ":5:29", "'spike'"),
        ("within", "wihtin", ":6:", "'within'"),
        ("10s", "10", ":6:39", "unit"),
        ("site: f1", "site: F 1", ":3:1", "[a-z0-9]"),
        ("version: 1", "version: 1\nversion: 1", ":2:1", "duplicate"),
        ("alarm: FUR-01.TT-101.HI, ", "", ":6:5", "exactly one"),
    ],
)
def test_a_faulty_scenario_names_the_place(
    tmp_path: Path, old: str, new: str, place: str, hint: str
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_scenario(str(path))
    assert place in str(caught.value)
    assert hint in str(caught.value)


def test_an_unknown_scenario_suggests_one() -> None:
    with pytest.raises(ConfigError, match="furnace-overheat"):
        load_scenario("furnace-overheet")


def test_settings_refuse_unknown_keys(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("control_prot: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="control_port") as caught:
        load(path, SimulatorSettings)
    assert caught.value.where.endswith(":1:1")


def row(**changes: Any) -> AlarmRow:
    fields: dict[str, Any] = {
        "alarm": "A", "occurrence": "o1", "version": 1, "annunciated_version": 1, "edge": "e1",
        "asset": "X", "tag": "T", "name": Text(), "priority": 1, "state": "unacknowledged",
        "isa": "B", "active": True, "acked": False, "value": 1.0, "limit": 0.5, "unit": "",
        "raised_at": 1000, "returned_at": None, "received_at": 1001,
    }  # fmt: skip
    return AlarmRow(**{**fields, **changes})


def run_is(status: str) -> Expectation:
    return Expectation.model_validate({"run": {"playbook": "p", "status": status}, "within": "1s"})


def expect(state: Any) -> Expectation:
    return Expectation.model_validate({"alarm": "A", "state": state, "within": "1s"})


def test_alarm_states_are_first_sightings() -> None:
    seen = Observations(())
    assert seen.when(expect("raised")) is None
    seen.see_alarms([row()], 1500)
    seen.see_alarms([row(acked=True, acked_at=2000)], 2500)
    seen.see_alarms([], 3000)
    seen.see_alarms([row(raised_at=9000, occurrence="o2")], 9500)
    assert seen.when(expect("raised")) == 1000
    assert seen.when(expect("acknowledged")) == 2000
    assert seen.when(expect("returned")) == 3000


def test_an_old_returned_alarm_counts_for_nothing() -> None:
    seen = Observations(())
    seen.see_alarms([row(active=False, acked=True, returned_at=900)], 1500)
    assert [seen.when(expect(s)) for s in ("raised", "acknowledged", "returned")] == [None] * 3


def run(id: str, status: Any, started: int) -> Run:
    return Run(
        id=id, playbook="p", version=1, name=Text(), alarm="A", occurrence="o", status=status,
        started_at=started, ended_at=None,
    )  # fmt: skip


def test_runs_from_before_the_drill_do_not_count() -> None:
    seen = Observations(["old"])
    wanted = run_is("success")
    began = run_is("running")
    seen.see_runs([run("old", "success", 1)], 10)
    assert seen.when(wanted) is None
    seen.see_runs([run("new", "success", 5), run("old", "success", 1)], 20)
    assert seen.when(wanted) == 20
    assert seen.when(began) == 5
    assert seen.runs["p"].id == "new"


@pytest.mark.parametrize(
    ("op", "value", "written", "matches"),
    [
        ("<=", 40, 40.0, True), ("<=", 40, 41, False), ("==", True, True, True),
        ("==", "AUTO", "AUTO", True), ("==", 1, "1", False), ("!=", 0, 5, True),
    ],
)  # fmt: skip
def test_write_comparison(op: Any, value: Any, written: Any, matches: bool) -> None:
    expected = WriteExpectation(plant="furnace", address="a", op=op, value=value)
    assert expected.matches(written) is matches


def test_refused_writes_do_not_satisfy() -> None:
    seen = Observations(())
    expected = WriteExpectation(plant="furnace", address="Burner.OutSP", op="<=", value=40)
    base = {"plant": "furnace", "address": "ns=2;s=x", "signal": "Burner.OutSP", "at": 5}
    seen.see_writes([{**base, "value": 30.0, "accepted": False}])
    assert seen.matching(expected) == []
    seen.see_writes([{**base, "value": 30.0, "accepted": True}])
    assert len(seen.matching(expected)) == 1
