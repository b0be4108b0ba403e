"""Check 25, whole: every step, arm and time-out of the furnace plan, drilled on the running demo.

Real edges over OPC UA, Modbus and MQTT; the devices refuse, do not answer, lose their answers, and
a way to an edge is cut. Writes docs/reference/drill-furnace.md. `make soak` runs it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.cli.playbook_drill_run import Access, Drilling, drill_all
from shared.paths import playbook_library
from shared.playbook.rehearsal.coverage import NAMES
from shared.playbook.rehearsal.loader import Tests, load_tests
from shared.playbook.rehearsal.told import clock
from tests.chaos.conftest import WHOLE
from tests.support.running import RunningSystem, new_state_folder

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(not WHOLE, reason="two minutes of real time: `make soak`"),
]
ROOT = Path(__file__).resolve().parents[2]
PLANS = ROOT / "tests" / "support" / "rehearsal" / "drilled"
PAGE = ROOT / "docs" / "reference" / "drill-furnace.md"
FILES = {
    "furnace-overtemp": (playbook_library() / "furnace" / "furnace-overtemp.test.yaml", "OPC UA"),
    "compressor-unload": (PLANS / "compressor-unload.test.yaml", "Modbus"),
    "line-slow": (PLANS / "line-slow.test.yaml", "MQTT"),
}


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSystem]:
    """The demo with two small plans more, so that every kind of device is drilled."""
    books = new_state_folder()
    for file in (*PLANS.glob("*.yaml"), playbook_library() / "furnace" / "furnace-overtemp.yaml"):
        if not file.name.endswith(".test.yaml"):
            shutil.copy(file, books)
    monkeypatch.setenv("ANDON_PLAYBOOK_DIR", str(books))
    found = RunningSystem(new_state_folder())
    try:
        found.start()
        yield found
        found.stop()
    finally:
        found.remove()
        shutil.rmtree(books, ignore_errors=True)


@pytest.mark.timeout(900)
def test_check_25_drills_reach_everything(system: RunningSystem) -> None:
    found: dict[str, tuple[Tests, Drilling]] = {}
    for name, (file, _) in FILES.items():
        tests = load_tests(file, playbook_library())
        found[name] = tests, drill_all(tests, Access(system.state), lambda _: None)
    for name, (_, drilling) in found.items():
        missed = [(one.name, m.where, m.message["en"]) for one in drilling.drills
                  for m in one.misses]  # fmt: skip
        assert (name, missed) == (name, [])
        short = {one.kind: [item.name for item in one.missing] for one in drilling.covered}
        assert (name, short) == (name, {kind: [] for kind in short})
        for one in drilling.drills:
            assert one.journal["run"]["drill"]
            assert one.journal["context"]["drill"]
    PAGE.write_text(page(found), encoding="utf-8")


def page(found: dict[str, tuple[Tests, Drilling]]) -> str:
    """The page of what was drilled and what it reached."""
    stamp = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    lines = [
        "# Drill of the furnace plan",
        "",
        f"Written by `make soak` ({stamp}). The demo of `andon up`: real edges, real OPC UA, "
        "Modbus and MQTT on the wire, simulated plants; every message said 演练 / DRILL. "
        "By hand: `andon playbook drill furnace-overtemp`, "
        "[how](../howto/test-a-playbook.md#drill-it-on-the-running-system).",
    ]
    for name, (tests, drilling) in found.items():
        lines += ["", f"## {name} ({FILES[name][1]})", ""]
        lines += ["| drill | what breaks | pace | ends | took |", "|---|---|--:|---|--:|"]
        lines += rows(tests, drilling)
        reached = ", ".join(
            f"{NAMES[c.kind]['en']} {c.reached} of {c.of}" for c in drilling.covered
        )
        lines += ["", f"Reached together: {reached}."]
    return "\n".join(lines) + "\n"


def rows(tests: Tests, drilling: Drilling) -> Iterator[str]:
    """A row for each drill of a file."""
    for plan, one in zip(tests.file.all_drills, drilling.drills, strict=True):
        run = one.journal["run"]
        breaks = ", ".join(
            f"{f.link} cut off {clock(f.down)}" if f.link else f"{f.plant} {f.fault}"
            for f in plan.faults if f.on
        )  # fmt: skip
        took = clock(run["ended_at"] - run["started_at"])
        about = [one.name, breaks or "-", f"×{plan.time_scale:g}", run["status"], took]
        yield f"| {' | '.join(about)} |"
