"""Rehearsals: the worked example passes, every wrong expectation is told with its place and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from shared.cli.playbook_rehearse import run_file, summary
from shared.playbook.loader import PlaybookFaults
from shared.playbook.rehearsal import loader
from shared.playbook.rehearsal.loader import load_tests, schema
from shared.playbook.rehearsal.report import Played
from shared.playbook.rehearsal.seen import unmarked

HERE = Path(__file__).resolve().parents[3] / "support" / "rehearsal"
WORKED = HERE / "hot-zone.test.yaml"
DOCUMENT = YAML(typ="safe").load(WORKED)


@pytest.fixture(autouse=True)
def _read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The playbook is the same in every test: reading its YAML is most of their time."""
    monkeypatch.setattr(loader, "load_playbook", lambda path: READ)


READ = loader.load_playbook(HERE / "hot-zone.yaml")


def written(folder: Path, **changed: Any) -> Path:
    """A test file beside a copy of the playbook, with parts of the worked one replaced."""
    document = {**DOCUMENT, **changed}
    (folder / "hot-zone.yaml").write_text((HERE / "hot-zone.yaml").read_text())
    file = folder / "hot-zone.test.yaml"
    with file.open("w") as stream:
        YAML().dump(document, stream)
    return file


def one(folder: Path, **case: Any) -> Played:
    """One test, played alone."""
    case = {"name": "x", "when": [{"raise": "zone.overtemp"}], **case}
    return run_file(written(folder, tests=[case], coverage={})).played[0]


def test_the_worked_example_passes_and_covers_all() -> None:
    ran = run_file(WORKED)
    missed = {p.case.name: [m.message["en"] for m in p.misses] for p in ran.played if p.misses}
    assert not missed
    assert [(c.kind, c.percent) for c in ran.covered] == [
        ("steps", 100), ("switch_arms", 100), ("timeouts", 100), ("catches", 100)
    ]  # fmt: skip
    assert ran.holds
    assert summary(ran.played[0].told) == "success 4m30s"


WRONG = [
    ({"sequence": ["hold-heat", "tell-shift"]}, "tell-shift came out of order"),
    ({"executed": ["keep"]}, "keep was not executed"),
    ({"not_executed": ["vent"]}, "vent must not be executed, but was at 33m10s"),
    ({"skipped": ["decide"]}, "decide should be skipped; it is: 8m10s /steps/decide: done"),
    ({"failed": ["hold-heat"]}, "hold-heat should be failed; it is: 10s /steps/hold-heat: done"),
    ({"commands": []}, "nothing should be moved; it was: 10s burner.set_output"),
    (
        {"commands": [{"device": "burner", "op": "set_output", "times": 2}]},
        "burner.set_output should act 2 times, it did 1",
    ),
    (
        {"commands": [{"device": "fan", "op": "start", "at": "33m"}]},
        "fan.start @33m should act 1 times, it did 0",
    ),
    ({"notified": ["role:maintenance"]}, "role:maintenance should be told, was 0 times"),
    (
        {"notified": [{"to": "role:area-manager", "at": "13m11s"}]},
        "role:area-manager @13m11s should be told, was 0 times; who was told: 10s",
    ),
    ({"not_notified": ["role:plant-manager"]}, "role:plant-manager must not be told, but was"),
    ({"sent": [{"endpoint": "cmms", "times": 3}]}, "cmms x3 should be sent, was 1 times"),
    ({"compensated": ["hold-heat"]}, "should be undone: ['hold-heat']; were: []"),
    ({"asked": ["keep"]}, "keep asked nobody"),
    ({"journal_has": ["reconciled"]}, "the journal has no reconciled; it has: done, "),
    ({"error": "interlock"}, "error.kind should be interlock; it is no error"),
    ({"incident": {"outcome": "success"}}, "incident.outcome should be 'success'; it is 'failure'"),
    ({"emitted": ["a.b"]}, "the event a.b was not emitted; there were: -"),
    ({"outcome": "success"}, "the outcome should be success; it is failure; `outcome.success` did"),
    ({"within": "33m"}, "should end within 33m; it ended at 33m10s"),
    ({"metrics": {"decided": "none"}}, "metrics.decided should be 'none'; it is 'vent'"),
    ({"runs": 2}, "expected 2, got 1"),
    ({"attached": 1}, "expected 1, got 0"),
]


@pytest.mark.parametrize(("then", "told"), WRONG, ids=[next(iter(then)) for then, _ in WRONG])
def test_a_wrong_expectation_is_told_with_its_place(
    tmp_path: Path, then: dict[str, Any], told: str
) -> None:
    played = one(tmp_path, then=then)
    assert len(played.misses) == 1
    miss = played.misses[0]
    assert told in miss.message["en"]
    assert miss.message["zh"] != miss.message["en"]
    key = next(iter(then))
    text = (tmp_path / "hot-zone.test.yaml").read_text().splitlines()
    name, line, column = miss.where.split(":")
    assert (name, miss.code) == ("hot-zone.test.yaml", key)
    pointed = text[int(line) - 1][int(column) - 1 :]
    below = str(then[key])  # a name in the list, or a key of the mapping
    assert pointed.startswith(key) or pointed.strip("'").partition(":")[0] in below
    assert int(line) > next(n for n, row in enumerate(text, 1) if row.strip() == "then:")


def test_why_something_was_not_reached(tmp_path: Path) -> None:
    stopped = one(
        tmp_path, given={"tags": {"esd.active": True}}, then={"executed": ["decide"]}
    ).misses[0]
    assert "failed at /steps/hold-heat: interlock require (!(tag(" in stopped.message["en"]
    passed = one(tmp_path, when=[
        {"raise": "zone.overtemp"}, {"at": "4m", "tag": {"zone.temp": 1200.0}},
        {"on": "decide", "answer": "vent"},
    ], then={"executed": ["decide"]}).misses  # fmt: skip
    assert [m.code for m in passed] == ["executed", "unused"]
    assert "passed by at 4m30s, its `if` was false" in passed[0].message["en"]
    assert "never asked: the answer vent was not used" in passed[1].message["en"]
    idle = one(tmp_path, given={"alarm": {"value": 1.0}}, then={"outcome": "success"}).misses[0]
    assert (idle.code, idle.message["en"]) == (
        "not_started", "no run began (fired no trigger: 0s raise)"
    )  # fmt: skip


def test_quality_and_age_fail_safe(tmp_path: Path) -> None:
    for broken in ({"value": "AUTO", "quality": "bad"}, {"value": "AUTO", "good": False}):
        played = one(tmp_path, given={"tags": {"burner.mode": broken}},
                     then={"commands": [], "error": "interlock"})  # fmt: skip
        assert not played.misses


OUTCOMES = [
    ("refused", "failure", "refused", 0), ("expired", "failure", "expired", 0),
    ("verify_failed", "needs_human", "verify_failed", 1),
    ("answer_lost", "failure", None, 1), ("never_arrived", "failure", "expired", 0),
    ("unreachable", "failure", None, 1), ("unknown", "failure", None, 1),
]  # fmt: skip


@pytest.mark.parametrize(("outcome", "ended", "kind", "acts"), OUTCOMES)
def test_what_can_become_of_a_command(
    tmp_path: Path, outcome: str, ended: str, kind: str | None, acts: int
) -> None:
    mocks = {"hold-heat": {"outcome": outcome, "sets": {"burner.output": 40.0}}}
    then: dict[str, Any] = {
        "outcome": ended, "commands": [{"device": "burner", "op": "set_output", "times": acts}]
    }  # fmt: skip
    if kind is not None:
        then["error"] = {"kind": kind, "path": "/steps/hold-heat"}
    elif outcome != "done":
        then["journal_has"] = ["reconciled"]
    played = one(tmp_path, mocks=mocks, then=then)
    assert [m.message["en"] for m in played.misses] == []


def test_a_link_that_is_down_stops_commands(tmp_path: Path) -> None:
    when = [{"link": "down", "down": "30s"}, {"raise": "zone.overtemp"}]
    assert not one(tmp_path, when=when, then={"commands": [], "error": "edge_unreachable"}).misses


def test_a_long_outage_asks_before_it_goes_on(tmp_path: Path) -> None:
    when: list[dict[str, Any]] = [
        {"raise": "zone.overtemp"}, {"at": "1m", "kill": "brain", "down": "40m"},
        {"on": "resume", "answer": "abandon"},
    ]  # fmt: skip
    played = one(tmp_path, when=when, then={"outcome": "cancelled", "not_executed": ["act"]})
    assert not played.misses
    assert any(path.startswith("/resume/") for path in played.told.runs[0].asked)


def test_started_by_hand_cannot_answer_himself(tmp_path: Path) -> None:
    when: list[dict[str, Any]] = [
        {"start": "by-hand", "by": "user:lee"},
        {"on": "decide", "answer": "vent", "by": "user:lee"},
    ]
    played = one(tmp_path, when=when, then={"commands": [{"device": "fan", "op": "start"}],
                                            "metrics": {"decided": "vent"}})  # fmt: skip
    refused = [h for h in played.told.happened if h.about == "answer_refused"]
    assert len(refused) == 1
    assert not played.misses  # the ladder decided


FAULTY = [
    ({"tests": []}, "needs `tests`"),
    ({"tests": [{"name": "x", "when": [{"at": "0s"}], "then": {}}]}, "exactly one of raise"),
    ({"tests": [{"name": "x", "when": [{"raise": "zone.over"}], "then": {}}]}, "'zone.overtemp'"),
    (
        {"tests": [{"name": "x", "when": [{"raise": "zone.overtemp"}],
                    "then": {"executed": ["vend"]}}]},
        "'vent'",
    ),
    (
        {"tests": [{"name": "x", "when": [{"raise": "zone.overtemp"},
                                          {"on": "decide", "answer": "vend"}], "then": {}}]},
        "'vent'",
    ),
    (
        {"tests": [{"name": "x", "when": [{"raise": "zone.overtemp"}],
                    "mocks": {"hold-het": {"status": 200}}, "then": {}}]},
        "'hold-heat'",
    ),
    (
        {"tests": [{"name": "x", "when": [{"raise": "zone.overtemp"}],
                    "given": {"inputs": {"trip_c": "hot"}}, "then": {}}]},
        "a number",
    ),
    ({"playbook": "hot-zones"}, "hot-zones"),
    ({"coverage": {"step": 100}}, "unknown key"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "told"), FAULTY)
def test_a_faulty_file_is_told_with_its_place(
    tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    file = written(tmp_path, **changed)
    with pytest.raises(Exception, match=r"hot-zone\.test\.yaml:\d+:\d+: ") as error:
        load_tests(file)
    assert told in str(error.value)
    assert isinstance(error.value, PlaybookFaults) or "hot-zones" in told


def test_too_little_coverage_fails_and_names_what_is_missing(tmp_path: Path) -> None:
    from shared.cli.playbook import app

    file = written(tmp_path, tests=DOCUMENT["tests"][:1])
    answer = CliRunner().invoke(app, ["test", str(file), "--json"])
    assert answer.exit_code == 1
    report = json.loads(answer.stdout)
    assert all(case["passed"] for case in report["files"][0]["tests"])
    found = report["files"][0]["coverage"]
    assert found["switch_arms"]["percent"] == 25
    assert [m["name"] for m in found["switch_arms"]["missing"]] == ["act/1", "act/2", "act/3"]
    assert [m["name"] for m in found["timeouts"]["missing"]] == ["cooled", "decide"]
    assert [m["name"] for m in found["catches"]["missing"]] == ["catch/0"]
    assert {m["name"] for m in found["steps"]["missing"]} == {
        "decide", "vent", "undo", "keep", "page-maint", "manual-now"
    }  # fmt: skip
    assert all(m["where"].startswith("hot-zone.yaml:") for m in found["steps"]["missing"])
    alone = CliRunner().invoke(app, ["test", str(file), "-k", "cools"])
    assert alone.exit_code == 0  # one test by name: no coverage is demanded


def test_the_schema_of_test_files_names_every_key() -> None:
    text = json.dumps(schema())
    for key in ("raise", "at_step", "switch_arms", "not_executed", "json", "before_effect"):
        assert f'"{key}"' in text


def test_a_drill_says_so_in_everything_that_people_are_told(tmp_path: Path) -> None:
    given = {"drill": True, "tags": {"esd.active": False}}
    played = one(tmp_path, given=given, then={})
    told = [h.detail["message"] for h in played.told.happened if h.what == "notify"]
    asked = [h.detail["question"] for h in played.told.happened if h.what == "ask"]
    assert len(told) == 5  # the shift, two reminders, two rungs
    assert len(asked) == 1
    for words in (*told, *asked):
        assert words["zh"].startswith("【演练】")
        assert words["en"].startswith("DRILL: ")
    sent = [h.detail["data"] for h in played.told.happened if h.what == "webhook"]
    assert [data["drill"] for data in sent] == [True]
    assert not unmarked(played.told, "")
    plain = one(tmp_path, then={}).told
    assert {miss.code for miss in unmarked(plain, "")} == {"unmarked"}
