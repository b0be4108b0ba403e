"""`andon bench edge --quick` runs, and the compiled kernel keeps what is promised of it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from edge_node.kernel import kernel_name
from shared.cli.bench import app


def test_the_quick_bench_reports_each_figure_beside_its_limit():
    done = CliRunner().invoke(app, ["edge", "--quick", "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["machine"]["kernel"] == kernel_name()
    assert figures["kernel_single_sample"]["p50_us"] > 0
    assert figures["storm_with_outbox"]["events_per_cpu_s"] > 500
    if kernel_name() != "cython":
        pytest.skip("the compiled kernel is not built")
    scan = figures["kernel_100000_tags"]
    assert scan["bytes_per_tag_four_limits"] <= 200
    assert scan["memory_limit_full_scan"] > scan["full_scan"] > 20e6  # a fifth of the target
    assert figures["kernel_five_percent_excursions"]["samples_per_s"] > 2e6
    assert figures["kernel_storm"]["samples_per_s"] > 2e5
    assert figures["kernel_one_tag_batch"]["flapping"] > 1e6


def test_the_verbs_of_the_bench_are_found():
    done = CliRunner().invoke(app, ["--help"])
    assert all(verb in done.output for verb in ("e2e", "edge", "resume"))
