"""What a command captured, as authors write it; what undoing costs within loops."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from shared.cli.playbook import app
from shared.playbook.model import Playbook
from shared.playbook.worst import Cost, Worst
from shared.playbook.worst_rows import Rows

ROLE = {"burner": {"type": "burner.modulating", "bind": "alarm.asset", "role": "burner"}}


def book(steps: list[dict[str, Any]], **more: Any) -> Playbook:
    return Playbook.model_validate({
        "schema": "playbook/v1", "playbook": "p", "version": 1, "name": "p", "deadline": "1h",
        "devices": ROLE, "steps": steps, **more,
    })  # fmt: skip


def hold(name: str, back: str) -> dict[str, Any]:
    command = {"device": "burner", "op": "set_output", "args": {"output_pct": 35}, "expires": "10s"}
    return {
        "id": name, "command": command,
        "compensate": {"command": command | {"args": {"output_pct": back}}},
    }  # fmt: skip


@pytest.mark.parametrize("said", [
    "steps['hold-heat'].before.output_pct", 'steps["hold-heat"].before["output_pct"]',
    "steps['hold-heat'].before", "steps[ 'hold-heat' ] . before . output_pct",
])  # fmt: skip
def test_a_captured_value_may_be_called_by_its_argument(said: str) -> None:
    found = book([hold("hold-heat", f"${{{said} + 1.0}}")]).steps[0].compensate
    assert found is not None
    assert found.command is not None
    text = found.command.args["output_pct"].replace(" ", "").replace('"', "'")
    assert text == "${steps['hold-heat'].before+1.0}"


def test_what_another_step_sets_under_that_name_is_left_alone() -> None:
    said = "${steps.told.before.output_pct} ${steps.hold.before.other}"
    steps = [{"id": "told", "set": {"before": {"output_pct": 1}}}, hold("hold", "${1}"),
             {"id": "said", "log": said}]  # fmt: skip
    assert book(steps).steps[2].log == said


@pytest.mark.parametrize(("member", "code"), [("output_pct", 0), ("other", 1)])
def test_what_lint_accepts_is_what_runs(tmp_path: Any, member: str, code: int) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"""
schema: playbook/v1
playbook: p
version: 1
name: p
deadline: 1h
devices: {{burner: {{type: burner.modulating, bind: alarm.asset, role: burner}}}}
triggers: [{{id: by-hand, manual: {{roles: [shift-lead]}}}}]
steps:
  - id: hold
    command:
      device: burner
      op: set_output
      args: {{output_pct: 35}}
      expires: 10s
      verify: {{until: "tag('burner.output').value <= 40.0", within: 5s}}
    compensate:
      command:
        device: burner
        op: restore_output
        args: {{output_pct: "${{steps.hold.before.{member}}}"}}
        expires: 10s
        verify: {{until: "tag('burner.output').value > 40.0", within: 5s}}
""")
    done = CliRunner().invoke(app, ["lint", str(path)])
    assert (done.exit_code, "unknown_result" in done.output) == (code, bool(code)), done.output


def test_undoing_is_counted_as_often_as_it_was_done() -> None:
    one = hold("h", "${steps.h.before}")
    undo = {"id": "undo", "compensate_all": {"reason": "x"}}
    each = {"items": "${alarm.alarms}", "max": 4, "steps": [one]}
    twice = {"max": 3, "steps": [{"id": "each", "for_each": each}]}
    looped = book([{"id": "again", "repeat": twice}, undo])
    assert Worst(looped).undo() == Cost(12 * 10_000, 12)
    assert Worst(looped).whole().commands == 24
    assert Rows(looped).whole() - Rows(book([one, undo])).whole() >= 11 * 5  # to do and to undo
    arms = {"id": "s", "switch": [{"when": "alarm.value > 1", "steps": [one]},
                                  {"otherwise": True, "steps": [hold("k", "${1}")]}]}  # fmt: skip
    assert Worst(book([arms, undo])).undo() == Cost(10_000, 1)
    inner = book([one, undo], playbook="inner")
    calls = book([{"id": "c", "call": {"playbook": "inner"}}, undo])
    assert Worst(calls, {"inner": inner}).undo() == Cost(10_000, 1)
