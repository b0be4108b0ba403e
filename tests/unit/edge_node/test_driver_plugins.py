"""Drivers as plug-ins: found by entry point, options and addresses checked, points made ready."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from array import array
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.adapters.sources import registry
from edge_node.adapters.sources.on_change import REPEAT_MS, on_change
from edge_node.adapters.sources.opcua import OpcuaOptions
from edge_node.adapters.sources.port import BAD, GOOD, UNCERTAIN, DriverInfo, Options, Source, emit
from edge_node.adapters.sources.site_check import check
from edge_node.application.ipc import Configure
from shared.clock import ManualClock
from shared.errors import ConfigError
from shared.site.loader import SiteFaults, load_site


class Sink:
    """Keeps what a driver hands over."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def sample(self, index: int, time_ms: int, value: float, quality: int) -> None:
        self.seen.append((index, time_ms, value, quality))

    def columns(self, tags: bytes, times: bytes, values: bytes, qualities: bytes) -> None:
        raise AssertionError("columns are taken apart before")

    def text(self, index: int, time_ms: int, value: str, quality: int) -> None:
        self.seen.append((index, time_ms, value, quality))

    def state(self, state: str, detail: str = "") -> None:
        self.seen.append((state, detail))


def source(*tags: dict[str, Any], **rest: Any) -> Source:
    given = {"id": "s1", "driver": "opcua", "url": "opc.tcp://x", "interval": 500, **rest}
    filled = [{"id": f"T{i}", "address": "ns=1;s=A", **tag} for i, tag in enumerate(tags)]
    return Source.of(Configure(source=given, tags=filled))


def test_the_installed_drivers_are_found_and_import_no_library() -> None:
    assert {"opcua", "modbus", "mqtt"} <= set(registry.names())
    code = (
        "import sys\n"
        "from edge_node.adapters.sources import registry\n"
        "for name in registry.names(): registry.find(name)\n"
        "print([m for m in ('asyncua', 'pymodbus', 'paho', 'snap7', 'c104') if m in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.strip() == "[]"


def test_an_unknown_driver_or_option_is_said_with_what_was_meant() -> None:
    with pytest.raises(ConfigError) as caught:
        registry.find("opcuaa")
    assert caught.value.mend == "did you mean 'opcua'?"
    info = registry.find("opcua")
    with pytest.raises(ConfigError) as caught:
        registry.options_of(info, {"securty": "sign"})
    assert "has no option 'options.securty'" in caught.value.message
    assert caught.value.mend == "did you mean 'security'?"
    with pytest.raises(ConfigError) as caught:
        registry.options_of(info, {"security": "signed"})
    assert "write one of 'none', 'sign'" in caught.value.mend


def test_a_driver_whose_library_is_not_there_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build(*_: Any) -> Any:
        raise ModuleNotFoundError("No module named 'snap7'")

    info = DriverInfo("s7", Options, build, lambda address, kind: "", extra="s7")
    monkeypatch.setattr(EntryPoint, "load", lambda self: info)
    message = Configure(source={"id": "s1", "driver": "opcua"}, tags=[])
    with pytest.raises(ConfigError, match=r"No module named 'snap7'\n  mend: .*andon\[s7\]"):
        registry.build(message, Sink(), ManualClock())


def test_a_plug_in_that_breaks_at_import_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: EntryPoint) -> Any:
        raise SyntaxError("not Python")

    monkeypatch.setattr(EntryPoint, "load", load)
    with pytest.raises(ConfigError, match="cannot be loaded: SyntaxError: not Python"):
        registry.find("opcua")


def test_points_take_the_interval_of_their_group_and_the_unit_of_their_own() -> None:
    made = source(
        {"group": "fast"}, {}, {"unit_id": 7},
        groups=[{"id": "fast", "interval": 30}], unit_id=3,
    )  # fmt: skip
    assert [p.interval_ms for p in made.points] == [30, 500, 500]
    assert [p.unit_id for p in made.points] == [3, 3, 7]


def test_scale_comes_before_bias_then_precision_then_range() -> None:
    made = source(
        {"scale": 0.1, "bias": 5, "precision": 1, "min": 0, "max": 10},
        {"max": 10, "outside": "clamp"},
    )  # fmt: skip
    sink = Sink()
    for raw, quality in ((12.34, GOOD), (100, GOOD), (-1, UNCERTAIN)):
        emit(sink, made.points[0], 1, raw, quality)
    assert sink.seen[0] == (0, 1, 6.2, GOOD)
    assert math.isnan(sink.seen[1][2])
    assert sink.seen[1][3] == BAD
    assert sink.seen[2] == (0, 1, 4.9, UNCERTAIN)
    emit(sink, made.points[1], 1, 11, GOOD)
    assert sink.seen[3] == (1, 1, 10.0, UNCERTAIN)


@pytest.mark.oracle
def test_a_slow_drift_is_reported(outside_data: Path) -> None:
    """The recipe that a comparison with the previous sample fails: 0 reports over a drift of 100.

    Here the reference is the last reported value.
    """
    rule = json.loads((outside_data / "oracles" / "neuron_vectors.json").read_text())["change_rule"]
    assert "reports 800" in rule["reference"]
    made, sink, clock = source({"access": ["subscribe"], "deadband": 0.1}), Sink(), ManualClock()
    through = on_change(sink, made, clock)
    for step in range(2_000):
        emit(through, made.points[0], step, round(step * 0.05, 10), GOOD)
    assert len(sink.seen) == 800
    assert sink.seen[-1][2] == pytest.approx(99.9, abs=0.1)


@given(st.lists(st.tuples(st.floats(-100, 100), st.sampled_from([GOOD, UNCERTAIN]))))
def test_what_was_reported_is_never_further_away_than_the_deadband(
    readings: list[tuple[float, int]],
) -> None:
    made, sink, clock = source({"access": ["subscribe"], "deadband": 5}), Sink(), ManualClock()
    through = on_change(sink, made, clock)
    for value, quality in readings:
        emit(through, made.points[0], 0, value, quality)
        assert abs(sink.seen[-1][2] - value) <= 5
        assert sink.seen[-1][3] == quality


def test_changes_of_quality_and_text_go_on_and_silence_is_broken_in_time() -> None:
    made = source({"access": ["subscribe"]}, {"access": ["subscribe"], "type": "string"}, {})
    sink, clock = Sink(), ManualClock()
    through = on_change(sink, made, clock)
    number, text, plain = made.points
    for quality in (GOOD, GOOD, BAD, BAD, GOOD):
        emit(through, number, 0, 1, quality)
    assert [row[3] for row in sink.seen] == [GOOD, BAD, GOOD]
    sink.seen.clear()
    for word in ("a", "a", "b"):
        emit(through, text, 0, word, GOOD)
    assert [row[2] for row in sink.seen] == ["a", "b"]
    sink.seen.clear()
    for _ in range(3):
        emit(through, plain, 0, 1, GOOD)
    assert len(sink.seen) == 3
    sink.seen.clear()
    clock.advance(REPEAT_MS)
    for point in (number, text):
        emit(through, point, 0, {"number": 1, "string": "b"}[point.kind], GOOD)
    assert len(sink.seen) == 2


def test_columns_are_looked_through_as_well() -> None:
    sink = Sink()
    through = on_change(sink, source({"access": ["subscribe"]}, {}), ManualClock())
    tags, times, values = array("i", [0, 1] * 3), array("q", [1] * 6), array("d", [5.0] * 6)
    through.columns(tags.tobytes(), times.tobytes(), values.tobytes(), bytes(6))
    assert [row[0] for row in sink.seen] == [0, 1, 1, 1]


def test_without_such_a_tag_nothing_stands_between() -> None:
    sink = Sink()
    assert on_change(sink, source({}, {"access": ["read", "subscribe"]}), ManualClock()) is sink


SITE = """\
sources:
  - id: plc
    edge: e1
    driver: opcua
    url: opc.tcp://127.0.0.1:4840
    options:
      security: none
tags:
  - id: P1
    source: plc
    address: ns=2;s=P
    asset: CMP-01
    name: {zh: 压力, en: Pressure}
"""
BINDINGS = """\
devices:
  valve:
    type: valve
    edge: e1
    source: plc
    operations:
      open: {write: "method:i=85|ns=2;s=Open", value: [1]}
"""


@pytest.mark.parametrize(
    ("old", "new", "where", "said", "mend"),
    [
        ("driver: opcua", "driver: opc", "tags/a.yaml:4:5", "no driver 'opc'", "'opcua'?"),
        ("security: none", "securty: none", "tags/a.yaml:7:7", "no option", "'security'?"),
        ("security: none", "security: all", "tags/a.yaml:7:7", "options.security", "'none'"),
        ("security: none", "server_thumbprint: xy", "tags/a.yaml:7:7", "64 (SHA-256)", "correct"),
        ("opc.tcp://", "http://", "tags/a.yaml:5:5", "begins with one of opc.tcp:", "the url"),
        ("ns=2;s=P", "ns=2;P", "tags/a.yaml:11:5", "is not a node id", "correct"),
        ("ns=2;s=P", "event:i=2253|*|Active", "tags/a.yaml:11:5", "is a boolean", "correct"),
        ("    edge: e1\n", "    edge: e1\n    inputs: [P1]\n", "tags/a.yaml:4:5", "no `inputs`",
         "remove"),
        ('"method:i=85|', '"method:i=85,', "bindings.yaml:7:14", "method:OBJECT NODE|", "correct"),
    ],
)  # fmt: skip
def test_a_site_s_drivers_are_checked_where_they_stand(
    tmp_path: Path, old: str, new: str, where: str, said: str, mend: str
) -> None:
    (tmp_path / "tags").mkdir()
    info = "site: f9\nname: {zh: 厂, en: Site}\nedges: [{id: e1, name: {zh: 边, en: Edge}}]\n"
    (tmp_path / "site.yaml").write_text(info, encoding="utf-8")
    for name, text in (("tags/a.yaml", SITE), ("bindings.yaml", BINDINGS)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert load_site(tmp_path, checks=[check]).sources["plc"].driver == "opcua"
    changed, text = where.split(":")[0], SITE if where.startswith("tags") else BINDINGS
    assert old in text
    (tmp_path / changed).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SiteFaults) as caught:
        load_site(tmp_path, checks=[check])
    (fault,) = [f for f in caught.value.faults if said in f.message]
    assert mend in fault.mend
    assert fault.where.endswith(where)


def test_a_thumbprint_is_read_as_tools_show_it() -> None:
    assert OpcuaOptions(server_thumbprint="AA:BB " * 10).server_thumbprint == "aabb" * 10
