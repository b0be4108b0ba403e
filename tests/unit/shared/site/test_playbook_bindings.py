"""Codes for alarms and values for playbooks' inputs in `bindings.yaml`, with their mistakes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shared.cli.site_inputs import check_inputs
from shared.paths import demo_sites
from shared.playbook.model import Playbook
from shared.playbook.site_inputs import faults_of, given
from shared.site.loader import Site, SiteFaults, load_site

BOOK = Playbook.model_validate({
    "schema": "playbook/v1", "playbook": "b", "version": 1, "name": "b",
    "inputs": {
        "much": {"type": "number", "default": 1}, "many": {"type": "integer"},
        "on": {"type": "boolean"}, "name": {"type": "string"}, "wait": {"type": "duration"},
        "how": {"type": "choice", "options": ["soft", "hard"]},
    },
    "steps": [{"id": "s", "log": "x"}],
})  # fmt: skip


def site_with(folder: Path, text: str) -> Site:
    target = folder / "f1"
    shutil.copytree(demo_sites() / "f1", target)
    with (target / "bindings.yaml").open("a", encoding="utf-8") as file:
        file.write(text)
    return load_site(target, checks=[check_inputs])


def test_codes_and_inputs_are_read(tmp_path: Path) -> None:
    text = "alarms:\n  zone-hot: [FUR-01.TT-101.HIHI]\n"
    text += "inputs:\n  furnace-overtemp: {hold_output: 40, ask_within: 3m}\n"
    site = site_with(tmp_path, text)
    assert site.bindings.alarms == {"zone-hot": ["FUR-01.TT-101.HIHI"]}
    assert site.bindings.inputs["furnace-overtemp"] == {"hold_output": 40, "ask_within": "3m"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("alarms:\n  zone-hot: [FUR-01.TT-999.HIHI]\n", "unknown alarm 'FUR-01.TT-999.HIHI'"),
        ("inputs:\n  furnace-overtemp: {hold_output: much}\n", "a number"),
        ("inputs:\n  furnace-overtemp: {hold: 4}\n", "no such input"),
        ("inputs:\n  furnace-overtemp: {ask_within: 5}\n", "a duration"),
    ],
)
def test_mistakes_have_a_place(tmp_path: Path, text: str, says: str) -> None:
    lines = (demo_sites() / "f1" / "bindings.yaml").read_text(encoding="utf-8").count("\n")
    with pytest.raises(SiteFaults) as caught:
        site_with(tmp_path, text)
    (fault,) = caught.value.faults
    assert says in fault.message
    assert fault.where.startswith(f"bindings.yaml:{lines + 2}:")
    assert int(fault.where.rpartition(":")[2]) > 10


def test_each_type_of_input() -> None:
    good = {"much": 1.5, "many": 2, "on": False, "name": "n", "wait": "1h30m", "how": "soft"}
    assert faults_of(BOOK, good) == []
    assert given(BOOK, {"many": 7}) == {
        "much": 1, "many": 7, "on": None, "name": None, "wait": None, "how": None,
    }  # fmt: skip
    bad = {"much": True, "many": 1.5, "on": 1, "name": 3, "wait": "soon", "how": "so"}
    assert [name for name, _ in faults_of(BOOK, bad)] == list(bad)
