"""`andon bench ingest --quick` on real servers: every figure is there, and the replay is exact."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from factory_brain.bench_ingest import TARGETS
from shared.cli.bench import app


@pytest.mark.timeout(180)
def test_the_short_mode_has_every_figure() -> None:
    done = CliRunner().invoke(app, ["ingest", "--quick", "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["targets"].keys() == TARGETS.keys()
    replay = figures["events"]["replay"]
    assert (replay["exact"], replay["applied_again"]) == (True, 0)
    assert figures["samples"]["exact"]
    for load in ("events", "samples"):
        assert figures[load]["copy"]["bare_table"]["rows"] == figures[load]["rows"]
    assert figures["transitions"]["rows_per_s"] > 0
    assert figures["alarm_list"]["rows"] == 100
    assert figures["viewers"]["lost"] == 0
    assert figures["viewers"]["frames_per_viewer_per_s"] > 0
    assert figures["year"]["rows_found"]["days_ms"] > 0
    assert figures["memory_mb"] > 0
