"""Every planted mistake is found, at its line and column, with a mend in both languages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shared.cli.playbook import app, schema_text
from shared.paths import ROOT, demo_sites, playbook_library

LIBRARY = sorted(playbook_library().rglob("*.yaml"))
FURNACE = playbook_library() / "furnace" / "furnace-overtemp.yaml"
F1 = demo_sites() / "f1"

# (text to replace, replacement, code or part of the message)
MISTAKES = {
    "unknown root": ("steps.decide.answer ==", "stepz.decide.answer ==", "expression_unknown_root"),
    "unknown step": ("steps.decide.answer == ", "steps.decied.answer == ", "unknown_step"),
    "unknown input": ("value < inputs.safe_c", "value < inputs.save_c", "unknown_member"),
    "unknown tag": ('tag("zone.temp").good &&', 'tag("zone.tmp").good &&', "unknown_tag"),
    "syntax": ('steps.decide.answer == "vent"', "steps.decide.answer ==", "expression_"),
    "constant": ("condition: tag(\"zone.temp\").good && ", "condition: false && ", "constant"),
    "unknown device": ("device: burner", "device: burnr", "unknown_device"),
    "unknown operation": ("op: set_output", "op: set_outptu", "unknown_operation"),
    "device type": ("type: burner.modulating", "type: burner.electric", "unknown_device_type"),
    "unknown endpoint": ("endpoint: cmms", "endpoint: cmsm", "unknown_endpoint"),
    "unbound endpoint": ("  cmms: {type: webhook}", "  mes: {type: webhook}", "unknown_endpoint"),
    "unknown alarm": ("FUR-01.TT-101.HIHI", "FUR-01.TT-101.HIHIHI", "unknown_alarm"),
    "unknown role": ("to: [role:maintenance]}", "to: [role:maintainance]}", "unknown_role"),
    "addressee": ("to: [role:maintenance]}", "to: [maintenance]}", "bad_addressee"),
    "no last rung": ("      - {after: 10m, then: vent}\n", "", "ask_without_last_rung"),
    "no timeout rung": ("    on_timeout: escalate\n", "", "ask_without_timeout"),
    "unknown option": ("then: vent}", "then: went}", "unknown_option"),
    "unverified": (
        "      verify: {until: 'tag(\"burner.setpoint\").good && "
        "tag(\"burner.setpoint\").value <= 50.5', within: 10s}\n", "", "unverified_command",
    ),
    "no otherwise": ("- otherwise: true", "- when: steps.decide.by == 'x'",
                     "switch_without_otherwise"),
    "duplicate id": ("id: cooled", "id: hold-heat", "duplicate_id"),
    "unknown approval": ("approval: decide", "approval: decied", "unknown_step"),
    "unreachable": ("  - id: tell-shift", "  - {id: stop-here, fail: {outcome: failure}}\n"
                    "  - id: tell-shift", "unreachable"),
    "bounds": ("default: 35,", "default: 95,", "default_outside_bounds"),
    "later verb": ("  - id: tell-shift\n    notify:", "  - id: tell-shift\n    http: {}\n"
                   "    notify:", "not yet supported"),
    "later key": ("stale_after: 30m", "stale_after: 30m\non_restart: ask", "not yet supported"),
    "later trigger": ("transition: raised", "transition: raised\n    for: 10s",
                      "not_yet_supported"),
    "unknown key": ("owner:", "ownr:", "did you mean 'owner'"),
    "two verbs": ("    on_error: continue\n  - id: open", "    log: x\n  - id: open",
                  "exactly one verb"),
    "no unit": ("stale_after: 30m", "stale_after: 30", "with its unit"),
    "duplicate key": ("deadline: 45m", "deadline: 45m\ndeadline: 46m", "deadline"),
    "alias": ("deadline: 45m", "deadline: &d 45m\nlabels2: *d", "alias"),
}  # fmt: skip


def invoke(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(args))
    return result.exit_code, result.output


@pytest.mark.parametrize("file", LIBRARY, ids=lambda path: path.stem)
def test_the_library_is_without_mistakes(file: Path) -> None:
    assert invoke("lint", str(file), "--site", str(F1))[0] == 0


@pytest.mark.parametrize("name", MISTAKES)
def test_a_planted_mistake_is_found_where_it_is(name: str, tmp_path: Path) -> None:
    old, new, expected = MISTAKES[name]
    text = FURNACE.read_text()
    assert old in text
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace(old, new, 1))
    code, output = invoke("lint", str(wrong), "--site", str(F1), "--json")
    assert code == 1
    faults = json.loads(output)["faults"]
    found = [fault for fault in faults if expected in json.dumps(fault)]
    assert found, faults
    line = text[: text.index(old)].count("\n") + 1
    where, _, rest = found[0]["where"].rpartition("wrong.yaml:")
    assert where.rstrip("/") in ("", str(tmp_path))
    given = int(rest.split(":")[0])
    # What a step lacks is told at the step's beginning.
    assert line - 12 <= given <= line + 4, (found[0]["where"], line)
    assert found[0]["mend"]


def test_what_cannot_be_read_is_told_from_what_is_wrong(tmp_path: Path) -> None:
    assert invoke("lint", str(tmp_path / "none.yaml"))[0] == 2
    (tmp_path / "list.yaml").write_text("- 1\n")
    assert invoke("lint", str(tmp_path / "list.yaml"))[0] == 1


def test_explain_names_what_can_move() -> None:
    code, output = invoke("explain", str(FURNACE), "--json")
    shown = json.loads(output)
    assert (code, shown["moves"], shown["worst_case_commands"]) == (
        0, ["burner.set_output", "fan.start"], 2,
    )  # fmt: skip
    assert shown["worst_case_ms"] <= 45 * 60_000


def test_the_shipped_schema_is_fresh() -> None:
    assert (ROOT / "playbooks" / "playbook.schema.json").read_text() == schema_text()
