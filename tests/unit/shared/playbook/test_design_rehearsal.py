"""The design's own test file, played as it is; where it does not hold, what was mapped and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.cli.playbook_rehearse import Ran, run_file
from tests.unit.shared.playbook.test_design_example import EXAMPLES

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the design's examples are not here"),
]
FALSE_ALARM = "false alarm undoes in reverse order"
MAPPED = (
    # What the device was at before is one value here, and a mock tells it.
    ("hold-heat: {sets: {burner.output: 40.0}}",
     "hold-heat: {sets: {burner.output: 40.0}, before: {output_pct: 85.0}}"),
    # Answered at once, the zone is still hot and undoing is guarded by it: it must cool before.
    ("{on: decide, answer: false-alarm, by: user:lee}, {at: 13m,",
     "{on: decide, answer: false-alarm, by: user:lee, after: 1m}, {at: 9m,"),
    # Nobody chose to keep holding: without this the file misses the coverage that it demands.
    ("coverage:",
     "  - name: keeps holding\n"
     "    when: [{at: 0s, raise: furnace.zone.overtemp}, {on: decide, answer: keep-holding}]\n"
     "    then: {executed: [keep]}\n"
     "coverage:"),
)  # fmt: skip


def played(folder: Path, mapped: bool) -> Ran:
    for name in ("furnace-overtemp.yaml", "furnace-overtemp.test.yaml"):
        text = (EXAMPLES / name).read_text(encoding="utf-8")
        for old, new in MAPPED if mapped and name.endswith(".test.yaml") else ():
            assert text.count(old) == 1
            text = text.replace(old, new)
        (folder / name).write_text(text, encoding="utf-8")
    return run_file(folder / "furnace-overtemp.test.yaml")


def test_the_designs_tests_pass_as_they_are_but_for_one(tmp_path: Path) -> None:
    ran = played(tmp_path, mapped=False)
    assert [one.case.name for one in ran.played if not one.passed] == [FALSE_ALARM]
    assert len(ran.played) == 5


def test_the_designs_tests_pass_when_mapped_with_full_coverage(tmp_path: Path) -> None:
    ran = played(tmp_path, mapped=True)
    assert [m.message["en"] for one in ran.played for m in one.misses] == []
    assert ran.holds
