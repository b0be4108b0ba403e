"""`andon bench playbooks --short` on real servers: every figure is there, nothing done twice."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from factory_brain.bench_playbooks import SHORT, TARGETS
from shared.cli.bench import app

RATES = ("runs_per_s", "actions_per_s", "engine_ms_per_action", "postgres_ms_per_action")


@pytest.mark.timeout(240)
def test_the_short_mode_has_every_figure() -> None:
    done = CliRunner().invoke(app, ["playbooks", "--short", "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    targets = figures["targets"]
    assert targets.keys() == TARGETS.keys() - {"brain.first_command_s"}  # minutes: a whole brain
    assert all(isinstance(each["holds"], bool) for each in targets.values())
    assert all(each["value"] is not None for each in targets.values())
    for load, runs in (("commands", SHORT.commands), ("furnace", SHORT.furnace_runs)):
        assert figures[load]["succeeded"] == runs
        assert all(figures[load][name] > 0 for name in RATES)
    assert figures["commands"]["actions"] == 20 * SHORT.commands
    assert figures["paced"]["answered"] == figures["paced"]["alarms"] == 10
    assert figures["timers"]["timers"] == SHORT.timers
    assert figures["timers"]["pinned_before_due"]
    assert figures["limit"]["commits_per_s"] > 0
    assert figures["limit"]["disk_fsyncs_per_s"] > 0
    # What came while the engine was dead reaches every run that waits for it: answers, the plant.
    killed = figures["waiting"]["kill"]
    assert killed["resumed"] == killed["with_news"] == 2 * SHORT.news
    assert killed["first_command_s"] > killed["imported_s"] > 0
    assert figures["commands_repeated"] == 0
