"""Spans to a real local OTLP receiver; nothing at all without one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shared.clock import ManualClock
from shared.errors import ConfigError
from shared.tracing import KEPT, MOST_PER_S, OFF, Beginnings, Recent, open_traces, parse
from tests.support.otlp import collector

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_spans_arrive_with_their_parents_times_and_attributes() -> None:
    with collector() as found:
        traces = open_traces(found.url, "andon-test", site="f1")
        first = traces.span("edge.evaluate", "", 1000, 1250.5, alarm="A")
        traces.span("brain.ingest", first, 1300, 1200)
        traces.span("brain.sse", PARENT, 1, 2)
        traces.span("bad.parent", "not a trace", 1, 2)
        await traces.close()
    root, child, foreign, orphan = (
        found.named(name)[0]
        for name in ("edge.evaluate", "brain.ingest", "brain.sse", "bad.parent")
    )
    assert first.startswith(f"00-{root.trace_id.hex()}-{root.span_id.hex()}-")
    assert (child.trace_id, child.parent_span_id) == (root.trace_id, root.span_id)
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (1_000_000_000, 1_250_500_000)
    assert child.end_time_unix_nano == child.start_time_unix_nano  # a clock that went back
    assert {a.key: a.value.string_value for a in root.attributes} == {"andon.alarm": "A"}
    assert (foreign.trace_id.hex(), foreign.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
    assert orphan.parent_span_id == b""
    assert {service for service, _ in found.spans} == {"andon-test"}


async def test_off_records_nothing_and_passes_the_parent_on() -> None:
    assert open_traces("", "andon-test") is OFF
    assert OFF.on is False
    assert OFF.span("x", PARENT, 1, 2) == PARENT
    await OFF.close()


def test_an_edge_without_an_endpoint_imports_no_tracing() -> None:
    code = (
        "import sys, edge_node.bootstrap, shared.tracing;"
        "shared.tracing.open_traces('', 'andon-edge');"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_a_wrong_endpoint_is_told_with_its_mend() -> None:
    with pytest.raises(ConfigError, match="http://collector:4318"):
        open_traces("collector:4318", "andon-test")


@pytest.mark.parametrize("text", ["", "00-x", PARENT.upper(), "00-" + "0" * 32 + PARENT[35:]])
def test_what_is_no_trace_context_is_none(text: str) -> None:
    assert parse(text) is None


def test_in_a_storm_only_some_traces_begin() -> None:
    clock = ManualClock()
    beginnings = Beginnings(clock)
    assert sum(beginnings.may() for _ in range(1000)) == MOST_PER_S
    clock.advance(1000)
    assert beginnings.may()


def test_the_newest_traces_of_occurrences_are_kept() -> None:
    recent = Recent()
    for number in range(KEPT + 5):
        recent.note(f"o{number}", PARENT)
    assert recent.of("o0") == ""
    assert recent.of(f"o{KEPT}") == PARENT
