"""The verbs of `andon playbook` on faulty playbooks, templates, called ones, files in the way."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shared.cli.playbook import app
from shared.paths import playbook_library
from shared.playbook.template import TEMPLATE, load_template

FURNACE = playbook_library() / "furnace" / "furnace-overtemp.yaml"
AGV = playbook_library() / "agv" / "agv-zone-conflict.yaml"
MUSTER = playbook_library() / "muster"
LEAST = "schema: playbook/v1\nplaybook: p\nversion: 3\nname: p\nsteps:\n  - {id: a, log: x}\n"


def invoke(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A playbook that can be read and must not be released."""
    file, good = tmp_path / "faulty.yaml", 'steps.decide.answer == "vent"'
    text = FURNACE.read_text(encoding="utf-8")
    assert good in text
    file.write_text(text.replace(good, 'steps.decide.answer == "vnet"'), encoding="utf-8")
    return file


def test_explain_shows_a_faulty_playbook_and_says_that_it_is_one(faulty: Path) -> None:
    code, output = invoke("explain", faulty)
    assert code == 1
    assert "最长用时 / worst case" in output
    assert "unknown_option" in output
    assert "1 处错误，以上数字未必成立 / faults: what stands above may not hold" in output
    code, output = invoke("explain", faulty, "--json")
    told = json.loads(output)
    assert (code, told["holds"], [one["code"] for one in told["faults"]]) == (
        1, False, ["unknown_option"]
    )  # fmt: skip
    assert told["worst_case_commands"] > 0


def test_explain_of_a_sound_playbook_holds() -> None:
    code, output = invoke("explain", FURNACE, "--json")
    assert (code, json.loads(output)["holds"], json.loads(output)["faults"]) == (0, True, [])


def test_a_faulty_playbook_is_not_exported(faulty: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.json"
    code, output = invoke("export", faulty, "--out", out)
    assert (code, out.exists()) == (1, False)
    assert "unknown_option" in output
    assert "先改正再导出 / not exported, mend it first" in output


def test_explain_and_dry_run_take_a_template_for_the_site() -> None:
    template = FURNACE.with_name(TEMPLATE)
    code, output = invoke("explain", FURNACE, "--site", template)
    assert (code, "FUR-01/burner (restore_output, set_output)" in output) == (0, True), output
    alarm = json.dumps({"id": "FUR-01.TT-101.HIHI", "asset": "FUR-01", "value": 1290.0})
    told = ["dry-run", FURNACE, "--site", template, "--alarm", alarm]
    code, output = invoke(*told, "--json")
    assert code == 0, output
    found = json.loads(output)
    assert found["devices"]["burner"] == "FUR-01/burner"
    assert "/steps/hold-heat" in [one["path"] for one in found["happens"]]
    code, output = invoke(*told, "--url", "http://127.0.0.1:1")
    assert (code, "--url 需要工厂目录" in output) == (2, True)


def test_roles_lie_above_a_template_that_is_named_from_its_own_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(FURNACE.parent)
    assert "shift-lead" in load_template(Path(TEMPLATE)).roster
    code, output = invoke("lint", FURNACE.name, "--site", TEMPLATE)
    assert code == 0, output


def test_a_called_playbook_is_asked_for_by_the_option_that_gives_it() -> None:
    code, output = invoke("lint", AGV, "--json")
    mends = {one["code"]: one["mend"] for one in json.loads(output)["faults"]}
    assert code == 1
    for code_, wanted in (("call_unchecked", "--with"), ("budget_duration", "--with")):
        assert all(wanted in mends[code_][tongue] for tongue in ("zh", "en")), mends
    assert "tell-and-muster" in mends["budget_duration"]["en"]
    assert invoke("lint", AGV, "--with", MUSTER)[0] == 0
    assert invoke("export", AGV, "--with", MUSTER)[0] == 0
    code, output = invoke("lint", AGV, "--with", FURNACE.parent, "--json")
    mends = {one["code"]: one["mend"] for one in json.loads(output)["faults"]}
    assert "--with" in mends["unknown_playbook"]["en"]


def test_what_is_there_is_not_written_over_unless_it_is_said(tmp_path: Path) -> None:
    there, back = tmp_path / "f.json", tmp_path / "f.yaml"
    there.write_text("mine", encoding="utf-8")
    code, output = invoke("export", FURNACE, "--out", there)
    assert (code, there.read_text(encoding="utf-8")) == (2, "mine")
    assert "--force" in output
    assert invoke("export", FURNACE, "--out", there, "--force")[0] == 0
    back.write_text("mine", encoding="utf-8")
    assert invoke("import", there, "--out", back)[0] == 2
    assert back.read_text(encoding="utf-8") == "mine"
    assert invoke("import", there, "--out", back, "--force")[0] == 0
    assert "furnace-overtemp" in back.read_text(encoding="utf-8")


def test_an_export_tells_the_release_and_never_when_the_file_was_touched(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(FURNACE.read_bytes())
    first = invoke("export", file)[1]
    os.utime(file, (1_000_000_000, 1_000_000_000))
    assert invoke("export", file)[1] == first
    second = FURNACE.read_text(encoding="utf-8").replace("\nversion: 1\n", "\nversion: 2\n")
    file.write_text(second, encoding="utf-8")
    later = json.loads(invoke("export", file)[1])
    assert later["created"] == json.loads(first)["created"]
    assert later["modified"] > json.loads(first)["modified"]
    dated = json.loads(invoke("export", FURNACE, "--released", "2026-11-20T08:30:00")[1])
    assert dated["modified"] == "2026-11-20T08:30:00.000Z"


def test_lint_says_that_more_is_looked_at_once_the_form_is_right(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(LEAST + "owners: me\n", encoding="utf-8")
    said = "mend these first: names, expressions and order are looked at after that"
    for verb in ("lint", "explain", "export"):
        code, output = invoke(verb, file)
        assert (code, said in output) == (1, True), output
    code, output = invoke("lint", file, "--json")
    assert (code, json.loads(output)["form_only"]) == (1, True)
    file.write_text(LEAST, encoding="utf-8")
    assert said not in invoke("lint", file)[1]


def test_who_signs_with_no_key_is_told_where_a_sites_key_is(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(LEAST, encoding="utf-8")
    public = tmp_path / "f1-approval.pub"
    public.write_text("-----BEGIN PUBLIC KEY-----\n", encoding="utf-8")
    for key in (tmp_path / "none.key", public):
        code, output = invoke("sign", file, "--site", "f1", "--key", key)
        assert (code, "enrol" in output) == (2, False)
        assert "secrets/keys/<site>-approval.key" in output
        assert "approval_key_file" in output


def test_a_schema_is_made_from_a_template_too() -> None:
    code, output = invoke("schema", "--site", FURNACE.with_name(TEMPLATE))
    types = json.loads(output)["$defs"]["DeviceRole"]["properties"]["type"]
    assert (code, "burner.modulating" in types["enum"]) == (0, True)
    assert types["description"].startswith("设备类型")
