"""Replay: a journal goes the same way with its own document; the first difference is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shared.cli.playbook import app
from shared.playbook.loader import load_playbook
from shared.playbook.model import Playbook
from shared.playbook.rehearsal.loader import load_tests
from shared.playbook.rehearsal.replay import Kept, Replayed, replay
from shared.playbook.rehearsal.report import Played, cast_of, play_one

HERE = Path(__file__).resolve().parents[3] / "support" / "rehearsal"
TESTS = load_tests(HERE / "hot-zone.test.yaml")
CAST = cast_of(TESTS, None)
BOOK = load_playbook(HERE / "hot-zone.yaml").playbook
NAMES = [case.name for case in TESTS.file.tests]


def played(name: str) -> Played:
    number = NAMES.index(name)
    return play_one(CAST, TESTS, number, TESTS.file.tests[number])


def kept(name: str) -> Kept:
    told = played(name).told
    run = told.runs[0]
    begun = next(h for h in told.happened if h.what == "event" and h.about == "raise")
    alarm = {"id": "zone.overtemp", "asset": "FUR-02", "value": 1295.0, "quality": "good",
             "limit": None}  # fmt: skip
    assert begun.at == 0
    context = {
        "alarm": alarm, "inputs": {name: one.default for name, one in BOOK.inputs.items()},
        "site": {}, "started_by": "alarm",
    }  # fmt: skip
    rows = [(p, a, f, d, at + told.begin) for p, a, f, d, at in run.rows]
    return Kept(BOOK, {}, context, run.id, run.started_at, run.started_at + BOOK.deadline, rows)


def changed(**parts: Any) -> Playbook:
    document = BOOK.model_dump(mode="json", by_alias=True)
    document.update(parts)
    return Playbook.model_validate(document)


def without(step: str) -> Playbook:
    document = BOOK.model_dump(mode="json", by_alias=True)
    return changed(steps=[one for one in document["steps"] if one["id"] != step])


def with_step(name: str, **parts: Any) -> Playbook:
    document = BOOK.model_dump(mode="json", by_alias=True, exclude_none=True)
    steps = [{**one, **parts} if one["id"] == name else one for one in document["steps"]]
    return changed(steps=steps)


@pytest.mark.parametrize("name", [n for n in NAMES if "no run" not in n])
def test_a_run_replays_with_its_own_document(name: str) -> None:
    found = replay(kept(name))
    assert found.difference is None
    assert found.rows == len(kept(name).rows) > 5


def difference(name: str, document: Playbook) -> tuple[str, str]:
    found: Replayed = replay(kept(name), document)
    assert found.difference is not None
    return found.difference.path, found.difference.message["en"]


def test_a_new_version_parts_where_it_says_something_else() -> None:
    name = "nobody answers, the ladder vents at its end"
    path, why = difference(name, without("hold-heat"))
    assert path == "/steps/hold-heat"
    assert why == "there is no /steps/hold-heat in this version"
    told = {"to": ["role:shift-lead"], "message": "hot"}
    path, why = difference(name, with_step("tell-shift", notify=told))
    assert path == "/steps/tell-shift"
    assert "was ['role:furnace-operator', 'role:shift-lead']" in why
    path, why = difference(name, with_step("tell-shift", **{"if": "inputs.trip_c > 2000.0"}))
    assert (path, why) == (
        "/steps/tell-shift",
        "/steps/tell-shift was done, in this version it is skipped condition_false",
    )


def test_a_new_version_with_another_order_parts_at_the_first_step_of_it() -> None:
    steps = BOOK.model_dump(mode="json", by_alias=True)["steps"]
    path, why = difference("cools down by itself", changed(steps=[steps[1], steps[0], *steps[2:]]))
    assert path == "/steps/tell-shift"
    assert "this version with /steps/hold-heat" in why


def test_a_change_behind_the_runs_end_makes_no_difference() -> None:
    document = with_step("decide", escalate=[{"after": "1m", "then": "vent"}])
    assert replay(kept("cools down by itself"), document).difference is None


def saved(folder: Path, name: str) -> Path:
    """A run as `andon playbook trace --json` writes it."""
    one = kept(name)
    run = {"id": one.run, "playbook": "hot-zone", "version": 1, "status": "success", "alarm": None,
           "started_at": one.started_at, "drill": True}  # fmt: skip
    keys = ("path", "attempt", "phase", "data", "at")
    rows = [dict(zip(keys, row, strict=True)) for row in one.rows]
    document = BOOK.model_dump(mode="json", by_alias=True)
    told = {"run": run, "document": document, "books": {}, "context": one.context,
            "deadline_at": one.deadline_at, "rows": rows}  # fmt: skip
    file = folder / "run.json"
    file.write_text(json.dumps(told), encoding="utf-8")
    return file


def test_a_saved_run_is_shown_and_replayed_by_the_command(tmp_path: Path) -> None:
    file = str(saved(tmp_path, "killed after the write, before its answer"))
    shown = CliRunner().invoke(app, ["trace", file])
    assert shown.exit_code == 0
    assert "演练 DRILL" in shown.stdout
    line = next(one for one in shown.stdout.splitlines() if "/steps/hold-heat" in one)
    assert "intent → reconciled  [40s]" in line
    assert '← {"args": {"output_pct": 40.0}' in shown.stdout
    same = CliRunner().invoke(app, ["replay", file])
    assert (same.exit_code, "/steps/together/cooling/cooled" in same.stdout) == (0, True)
    text = (HERE / "hot-zone.yaml").read_text().replace("channel: urgent", "channel: call")
    new = tmp_path / "new.yaml"
    new.write_text(text)
    parted = CliRunner().invoke(app, ["replay", file, "--with", str(new), "--json"])
    assert parted.exit_code == 1
    told = json.loads(parted.stdout)
    assert told["difference"]["path"] == "/steps/tell-shift"
    assert "channel was 'urgent', in this version 'call'" in told["difference"]["message"]["en"]
