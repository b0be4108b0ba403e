"""`andon playbook dry-run`: what would happen by real tags, and no socket while it is told."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shared.cli.playbook import app
from shared.paths import ROOT, demo_sites

F1 = demo_sites() / "f1"
DATA = ROOT / "tests" / "data" / "playbooks"
BOOK = """
schema: playbook/v1
playbook: hold
version: 1
name: {zh: 压火, en: Hold}
inputs: {output: {type: number, default: 35}}
devices: {burner: {type: burner.modulating, bind: alarm.asset, role: burner}}
triggers:
  - {id: hot, alarm: FUR-01.TT-101.HIHI, where: alarm.value > 1285.0}
steps:
  - id: hold
    command:
      device: burner
      op: set_output
      args: {output_pct: "${inputs.output}"}
      require: [tag("zone.temp").value > 1200.0]
      expires: 20s
      verify: {until: tag("burner.setpoint").value <= 50.5, within: 10s}
  - id: decide
    ask:
      to: [role:shift-lead]
      question: {zh: "现在 ${tag('zone.temp').value}", en: "Now ${tag('zone.temp').value}"}
      options: [vent, keep]
      within: 5m
    on_timeout: escalate
    escalate: [{after: 10m, then: vent}]
  - id: told
    log: "${steps.decide.answer} by ${steps.decide.by}"
  - id: cooled
    wait_until: {condition: tag("zone.temp").value < 1250.0, within: 8m}
    on_timeout: continue
catch:
  - steps:
      - {id: page, notify: {to: [role:maintenance], message: "${error.kind} ${error.path}"}}
"""
TAGS = {"TT-101": 1291.5, "ESD-01": False, "BURNER-01.SP": 80, "BURNER-01.OUT": 80}


@pytest.fixture(autouse=True)
def sockets(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every socket that is opened or spoken to."""
    opened: list[object] = []

    def refuse(*about: Any, **_: Any) -> None:
        opened.append(about)
        raise OSError("no socket may be opened here")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)
    return opened


def told(tmp_path: Path, tags: dict[str, Any], *more: str, **alarm: Any) -> dict[str, Any]:
    (tmp_path / "hold.yaml").write_text(BOOK, encoding="utf-8")
    about = {"id": "FUR-01.TT-101.HIHI", "asset": "FUR-01", "value": 1291.5, **alarm, "tags": tags}
    (tmp_path / "alarm.json").write_text(json.dumps(about), encoding="utf-8")
    result = CliRunner().invoke(app, [
        "dry-run", str(tmp_path / "hold.yaml"), "--site", str(F1), "--json",
        "--alarm", f"@{tmp_path / 'alarm.json'}", *more,
    ])  # fmt: skip
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def by_path(story: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The newest of each path."""
    return {one["path"]: one for one in story["happens"]}


def test_check_25_a_dry_run_opens_no_socket(tmp_path: Path, sockets: list[object]) -> None:
    story = told(tmp_path, TAGS)
    assert sockets == []
    assert story["effects"] == 0
    found = by_path(story)
    assert found["/steps/hold"]["phase"] == "done"
    assert found["/steps/hold"]["data"]["args"] == {"output_pct": 35}
    assert found["/steps/hold"]["data"]["device"] == "FUR-01/burner"
    assert found["/steps/told"]["data"] == {"text": "vent by escalation"}
    assert (found["/steps/told"]["at_ms"], story["ended"]) == (15 * 60_000, "success")
    assert found["/steps/cooled"]["at_ms"] == 23 * 60_000
    assert story["tags"]["zone.temp"]["value"] == 1291.5
    assert story["starts"] == {"hot": "yes"}


def test_expressions_are_evaluated_with_the_tags_as_they_are(tmp_path: Path) -> None:
    story = told(tmp_path, TAGS, "--answer", "decide=keep")
    asked = [one for one in story["happens"] if one["path"] == "/steps/decide"]
    assert asked[0]["data"]["question"] == {"zh": "现在 1291.5", "en": "Now 1291.5"}
    assert by_path(story)["/steps/told"]["data"] == {"text": "keep by dry-run-0"}


@pytest.mark.parametrize(("change", "kind"), [
    ({"ESD-01": True}, "interlock"), ({"TT-101": 1100.0}, "interlock"),
    ({"TT-101": {"value": 1291.5, "good": False}}, "interlock"), ({"TT-101": None}, "interlock"),
])  # fmt: skip
def test_an_interlock_or_a_bad_tag_stops_the_command_and_calls_people(
    change: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    story = told(tmp_path, {**TAGS, **change})
    found = by_path(story)
    assert (found["/steps/hold"]["phase"], found["/steps/hold"]["data"]["kind"]) == ("failed", kind)
    assert found["/catch/0/page"]["data"]["message"]["en"] == f"{kind} /steps/hold"
    assert "/steps/decide" not in found


def test_what_the_trigger_says_of_the_alarm_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, TAGS, value=1281)["starts"] == {"hot": "no: where is false"}
    assert told(tmp_path, TAGS, id="X")["starts"] == {"hot": "no: another alarm"}
    story = told(tmp_path, TAGS, asset="FUR-77")
    assert story["devices"] == {"burner": None}
    assert by_path(story)["/steps/hold"]["data"]["kind"] == "unbound_device"


def test_every_verb_can_be_walked(tmp_path: Path) -> None:
    about = {"id": "FUR-01.TT-101.HIHI", "asset": "FUR-01", "value": 1291.5, "tags": TAGS}
    result = CliRunner().invoke(app, [
        "dry-run", str(DATA / "clean.yaml"), "--with", str(DATA), "--site", str(F1),
        "--alarm", json.dumps(about),
    ])  # fmt: skip
    assert result.exit_code == 0, result.output
    for path in ("/steps/each/1/one", "/steps/rounds/2/seen", "/steps/people/call/call",
                 "/steps/careful/try/said", "/steps/both/ticket/open"):  # fmt: skip
        assert path in result.output
    assert "DRY RUN" in result.output


def test_an_alarm_that_cannot_be_read_exits_2(tmp_path: Path) -> None:
    (tmp_path / "hold.yaml").write_text(BOOK, encoding="utf-8")
    given = ["dry-run", str(tmp_path / "hold.yaml"), "--site", str(F1), "--alarm"]
    for text in ("[1]", "{", "@none.json"):
        assert CliRunner().invoke(app, [*given, text]).exit_code == 2
