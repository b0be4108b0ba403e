"""Rehearsals know the site: interlocks, limits, rates, throttles, what an edge does alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from shared.cli.playbook_rehearse import run_file
from shared.playbook.faults import Fault, PlaybookFaults
from shared.playbook.rehearsal.loader import load_tests
from shared.playbook.rehearsal.report import Played

BINDING: dict[str, Any] = {
    "alarms": {"zone.overtemp": ["FUR-02.TT-201.HIHI"]},
    "devices": {
        "FUR-02/burner": {
            "type": "burner.modulating", "edge": "e1", "source": "plc",
            "tags": {"burner.output": "B2.OUT", "esd.active": "ESD-02", "zone.temp": "TT-201"},
            "operations": {
                "set_output": {"write": "x", "arg": "pct", "min": 20, "max": 100, "max_step": 60,
                               "max_per_min": 2, "capture_before": "B2.OUT"},
            },
            "interlocks": ["tag('ESD-02').good && !tag('ESD-02').value", "!tag('DOOR-02').value"],
        },
    },
}  # fmt: skip
BOOK: dict[str, Any] = {
    "schema": "playbook/v1", "playbook": "hold", "version": 1, "name": "hold",
    "inputs": {"pct": {"type": "number", "default": 40.0}},
    "devices": {"burner": {"type": "burner.modulating", "bind": "alarm.asset", "role": "burner"}},
    "triggers": [{"id": "hot", "alarm": "zone.overtemp"}],
    "concurrency": {"mode": "parallel", "max": 9, "key": "alarm.asset"}, "deadline": "45m",
    "steps": [
        {"id": "low", "command": {
            "device": "burner", "op": "set_output", "args": {"pct": "${inputs.pct}"},
            "expires": "20s", "require": ["tag('zone.temp').good"]}},
    ],
    "outcome": {"success": "steps.low.ok"},
}  # fmt: skip
GIVEN: dict[str, Any] = {
    "alarm": {"asset": "FUR-02", "value": 1295.0},
    "tags": {"burner.output": 85.0, "esd.active": False, "zone.temp": 1295.0, "DOOR-02": False},
}


def written(folder: Path, case: dict[str, Any], **book: Any) -> Path:
    """A test file with its playbook and binding."""
    case = {"name": "x", "when": [{"raise": "zone.overtemp"}], "then": {}, **case}
    test = {"schema": "playbook-test/v1", "playbook": "hold", "binding": "bindings.yaml",
            "defaults": {"given": GIVEN}, "tests": [case]}  # fmt: skip
    documents = {"hold.yaml": {**BOOK, **book}, "bindings.yaml": BINDING, "hold.test.yaml": test}
    for name, document in documents.items():
        with (folder / name).open("w") as stream:
            YAML().dump(document, stream)
    return folder / "hold.test.yaml"


def played(folder: Path, case: dict[str, Any], **book: Any) -> Played:
    """One test, played; all that it expects holds."""
    found = run_file(written(folder, case, **book)).played[0]
    assert [miss.message["en"] for miss in found.misses] == []
    return found


@pytest.mark.parametrize(
    ("given", "kind", "reason"),
    [
        ({"tags": {"esd.active": True}}, "interlock", "interlock"),
        ({"tags": {"esd.active": {"value": False, "good": False}}}, "interlock", "interlock"),
        ({"tags": {"DOOR-02": True}}, "interlock", "interlock"),
        ({"inputs": {"pct": 10.0}}, "refused", "out_of_range"),
        ({"tags": {"burner.output": 95.0}, "inputs": {"pct": 30.0}}, "refused", "step_too_large"),
        ({"tags": {"burner.output": {"value": 85.0, "good": False}}}, "refused", "no_base_value"),
    ],
)
def test_the_site_forbids_what_its_binding_forbids(
    tmp_path: Path, given: dict[str, Any], kind: str, reason: str
) -> None:
    then = {"commands": [], "failed": ["low"], "error": kind}
    found = played(tmp_path, {"given": given, "then": then})
    data = found.told.runs[0].journal["/steps/low"].data
    assert (data["kind"], data["reason"]) == (kind, reason)


def test_a_rate_is_kept_over_all_runs_and_what_a_device_stood_at_is_known(tmp_path: Path) -> None:
    when = [{"at": f"{10 * n}s", "raise": "zone.overtemp"} for n in range(3)]
    when.append({"at": "61s", "raise": "zone.overtemp"})
    found = played(tmp_path, {"when": when, "then": {"runs": 4}})
    kinds = [run.journal["/steps/low"].data.get("reason") for run in found.told.runs]
    assert kinds == ["", "", "rate_limited", ""]
    assert found.told.runs[0].journal["/steps/low"].data["before"] == 85.0


@pytest.mark.parametrize(
    ("throttle", "at", "runs", "throttled"),
    [
        ({"once_within": "30s"}, [0, 10, 29, 31], [0, 31], 2),
        ({"once_after": "30s"}, [0, 10, 29], [30], 3),
        ({"accumulate_within": "30s", "count": 3}, [0, 10, 20], [20], 2),
        ({"accumulate_within": "30s", "count": 3}, [0, 10, 31], [], 3),
        ({"once_within": "30s", "by": "alarm.value"}, [0, 10], [0], 1),
    ],
)
def test_a_throttle_is_played(
    tmp_path: Path, throttle: dict[str, Any], at: list[int], runs: list[int], throttled: int
) -> None:
    when = [{"at": f"{second}s", "raise": "zone.overtemp"} for second in at]
    triggers = [{"id": "hot", "alarm": "zone.overtemp", "throttle": throttle}]
    then = {"runs": len(runs), "throttled": throttled}
    found = played(tmp_path, {"when": when, "then": then}, triggers=triggers).told
    assert [(run.started_at - found.begin) // 1000 for run in found.runs] == runs


OFFLINE = {"after": "10s", "steps": [
    {"id": "alone", "command": {
        "device": "burner", "op": "set_output", "args": {"pct": "${inputs.pct}"},
        "expires": "20s", "verify": {"until": "tag('burner.output').value < 50.0"}}},
    {"id": "cooler", "wait_until": {"condition": "tag('zone.temp').value < 1250.0",
                                    "within": "5m"}, "on_timeout": "continue"},
]}  # fmt: skip
MOCKS = {"alone": {"sets": {"burner.output": 40.0}}}
AWAY: list[dict[str, Any]] = [{"at": "0s", "kill": "brain", "down": "2m"},
                              {"at": "5s", "raise": "zone.overtemp"}]  # fmt: skip


def alone(folder: Path, **case: Any) -> Any:
    """What happened with an `offline` part."""
    case = {"mocks": MOCKS, "when": AWAY, **case}
    return played(folder, case, offline=OFFLINE).told


def test_an_edge_left_alone_acts_in_its_time_and_the_run_adopts_it(tmp_path: Path) -> None:
    when = [*AWAY, {"at": "1m", "tag": {"zone.temp": 1200.0}}]
    told = alone(tmp_path, when=when, then={
        "sequence": ["alone", "cooler", "low"], "outcome": "success",
        "commands": [{"device": "burner", "op": "set_output", "at": "15s"},
                     {"device": "burner", "op": "set_output", "times": 2}],
    })  # fmt: skip
    journal = told.runs[0].journal
    assert journal["/offline/cooler"].phase == "done"
    assert journal["/offline"].data["status"] == "success"


def test_an_edge_hands_over_in_the_middle(tmp_path: Path) -> None:
    told = alone(tmp_path, then={"executed": ["alone", "cooler", "low"]})
    assert told.runs[0].journal["/offline"].data["status"] == "handed_over"
    assert told.runs[0].began["/steps/low"] == 120_000


@pytest.mark.parametrize(
    "when",
    [
        [{"at": "0s", "kill": "brain", "down": "9s"}, {"at": "0s", "raise": "zone.overtemp"}],
        [*AWAY, {"at": "14s", "clear": "zone.overtemp"}],
    ],
)
def test_an_edge_does_nothing_alone_before_its_time(
    tmp_path: Path, when: list[dict[str, Any]]
) -> None:
    alone(tmp_path, when=when, then={"not_executed": ["alone"], "runs": 1})


def test_interlocks_hold_for_an_edge_alone_too(tmp_path: Path) -> None:
    alone(
        tmp_path, given={"tags": {"esd.active": True}}, then={"commands": [], "failed": ["alone"]}
    )


def test_a_cut_link_shows_the_brain_what_it_heard_last(tmp_path: Path) -> None:
    wait = {"id": "seen", "wait_until": {"condition": "tag('zone.temp').value < 1250.0",
                                         "within": "1m"}, "on_timeout": "continue"}  # fmt: skip
    when = [{"at": "0s", "raise": "zone.overtemp"}, {"at": "1s", "link": "down", "down": "30s"},
            {"at": "2s", "tag": {"zone.temp": 1200.0}}]  # fmt: skip
    told = played(tmp_path, {"when": when, "then": {"executed": ["seen"]}},
                  steps=[wait], outcome={}).told  # fmt: skip
    assert told.runs[0].journal["/steps/seen"].at - told.begin == 31_000


@pytest.mark.parametrize(
    ("case", "at", "mend"),
    [
        ({"given": {"tags": {"zone.tmep": 1.0}}}, "zone.tmep", "did you mean 'zone.temp'?"),
        ({"when": [{"tag": {"esd.activ": True}}]}, "esd.activ", "did you mean 'esd.active'?"),
        ({"mocks": {"low": {"sets": {"burner": 1.0}}}}, "burner", "there is: B2.OUT, DOOR-02, "),
        ({"mocks": {"lwo": {}}}, "lwo", "did you mean 'low'?"),
        ({"given": {"inputs": {"prc": 3}}}, "prc", "correct it"),
        ({"thne": {}}, "thne", "did you mean 'then'?"),
    ],
)
def test_a_name_that_leads_nowhere_is_told_in_both_languages(
    tmp_path: Path, case: dict[str, Any], at: str, mend: str
) -> None:
    with pytest.raises(PlaybookFaults) as caught:
        load_tests(written(tmp_path, case))
    (fault,) = caught.value.faults
    assert isinstance(fault, Fault)
    line = (
        (tmp_path / "hold.test.yaml").read_text().splitlines()[int(fault.where.split(":")[1]) - 1]
    )
    assert at in line
    assert fault.mends["en"].startswith(mend)
    assert fault.mends["zh"] != fault.mends["en"]
    assert any("\u4e00" <= letter <= "\u9fff" for letter in fault.mends["zh"])
