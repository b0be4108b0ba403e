"""The Sparkplug payload codec against Google's protobuf, and what values mean by their type."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.adapters.sources.port import BAD, GOOD, UNCERTAIN
from edge_node.adapters.sources.sparkplug_births import define, readings
from edge_node.adapters.sources.sparkplug_codec import Metric, Payload, decode, encode
from edge_node.adapters.sources.sparkplug_values import Raw, kind_of, read, write
from shared.errors import ContractError
from tests.support import sparkplug_node as node

NOW = 1_700_000_000_000
U64 = st.integers(0, 2**64 - 1)
RAWS = st.one_of(
    st.builds(Raw, st.just(10), st.integers(0, 2**32 - 1)),
    st.builds(Raw, st.just(11), U64),
    st.builds(Raw, st.just(12), st.floats(width=32, allow_nan=False)),
    st.builds(Raw, st.just(13), st.floats(allow_nan=False)),
    st.builds(Raw, st.just(14), st.integers(0, 1)),
    st.builds(Raw, st.just(15), st.text(max_size=20)),
    st.builds(Raw, st.just(16), st.binary(max_size=20)),
)
METRICS = st.builds(
    Metric, name=st.text(max_size=20), alias=st.none() | U64, timestamp=st.none() | U64,
    datatype=st.integers(1, 34), historical=st.booleans(), transient=st.booleans(),
    null=st.booleans(), raw=st.none() | RAWS,
    quality=st.none() | st.sampled_from([0, 192, 500]),
)  # fmt: skip
PAYLOADS = st.builds(
    Payload, st.none() | U64, st.none() | st.integers(0, 255), st.lists(METRICS, max_size=4)
)
FIELDS = {10: "int_value", 11: "long_value", 12: "float_value", 13: "double_value",
          14: "boolean_value", 15: "string_value", 16: "bytes_value"}  # fmt: skip


@given(PAYLOADS)
def test_what_is_written_is_read_alike_by_protobuf_and_by_ourselves(payload: Payload) -> None:
    data = encode(payload)
    assert decode(data) == payload
    theirs = node.Payload.FromString(data)
    assert theirs.timestamp == (payload.timestamp or 0)
    assert theirs.HasField("seq") == (payload.seq is not None)
    for metric, other in zip(payload.metrics, theirs.metrics, strict=True):
        assert (other.name, other.alias) == (metric.name, metric.alias or 0)
        assert (other.datatype, other.is_null) == (metric.datatype, metric.null)
        assert (other.is_historical, other.is_transient) == (metric.historical, metric.transient)
        if metric.raw is not None:
            assert getattr(other, FIELDS[metric.raw.field]) == metric.raw.content
        if metric.quality is not None:
            assert (other.properties.keys[0], other.properties.values[0].int_value) == (
                "Quality", metric.quality,
            )  # fmt: skip
    assert decode(theirs.SerializeToString()) == payload


@given(st.binary(max_size=60))
def test_bytes_that_are_no_payload_are_refused_and_nothing_else_happens(data: bytes) -> None:
    try:
        decode(data)
    except ContractError:
        return


@pytest.mark.parametrize(
    "data",
    [b"\x08", b"\x12\x05ab", b"\x0b", b"\x08" + b"\xff" * 11, b"\x12\x03\x0a\x01\xff", b"\x00\x00"],
)
def test_broken_bytes_are_named(data: bytes) -> None:
    with pytest.raises(ContractError):
        decode(data)


def test_templates_and_fields_of_others_are_passed_over_or_laid_flat() -> None:
    made: Any = node.Payload(timestamp=NOW, seq=3, uuid="u", body=b"x")
    motor = made.metrics.add(name="Motor", datatype=19, alias=9, timestamp=NOW)
    motor.metadata.file_name = "ignored"
    motor.template_value.version = "1"
    motor.template_value.template_ref = "MotorType"
    node.put(motor.template_value, "RPM", node.INT32, -5)
    kind = made.metrics.add(name="MotorType", datatype=19)
    kind.template_value.is_definition = True
    node.put(kind.template_value, "RPM", node.INT32, 0)
    payload = decode(made.SerializeToString())
    known = define(payload)
    assert list(known) == ["Motor", "Motor/RPM"]
    assert known["Motor/RPM"].member
    rows, strange = readings(payload, known, {}, NOW + 5)
    assert [(r.name, r.value, r.quality) for r in rows] == [("Motor/RPM", -5, GOOD)]
    assert strange == ""
    changed: Any = node.Payload(timestamp=NOW)
    again = changed.metrics.add(alias=9)
    again.template_value.metrics.add(name="RPM", int_value=7)
    rows, strange = readings(decode(changed.SerializeToString()), known, {9: "Motor"}, NOW)
    assert [(r.name, r.value, r.at) for r in rows] == [("Motor/RPM", 7, NOW)]


@pytest.mark.parametrize(
    ("datatype", "raw", "value"),
    [
        (1, Raw(10, 0xFFFF_FFFB), -5), (1, Raw(10, 0xFB), -5), (2, Raw(10, 0x7FFF), 32767),
        (3, Raw(10, 0xFFFF_FFFF), -1), (4, Raw(11, 2**64 - 2), -2),
        (7, Raw(11, 4_000_000_000), 4_000_000_000),
        (8, Raw(11, 2**64 - 1), 2**64 - 1), (11, Raw(14, 1), True), (11, Raw(10, 0), False),
        (12, Raw(15, "x"), "x"), (12, Raw(10, 5), None), (17, Raw(16, b"x"), None), (9, None, None),
        (13, Raw(11, NOW), NOW),
    ],
)  # fmt: skip
def test_values_by_their_type(datatype: int, raw: Raw | None, value: Any) -> None:
    found = read(datatype, raw)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("datatype", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
def test_what_is_written_as_a_type_is_read_as_that_value(datatype: int) -> None:
    value: Any = {"number": 100, "boolean": True, "string": "text"}[kind_of(datatype)]
    assert read(datatype, write(datatype, value)) == value
    if datatype in (1, 2, 3, 4):
        assert read(datatype, write(datatype, -7.0)) == -7


@pytest.mark.parametrize(
    ("datatype", "value", "word"),
    [
        (1, 128, "-128 to 127"), (5, -1, "0 to 255"), (3, 1.5, "whole numbers"), (3, "1", "number"),
        (4, 2**63, "to"), (9, 1e39, "beyond a Float"), (10, math.inf, "number"),
        (11, 2, "true or false"), (12, 1, "text"), (16, 1, "cannot be written"), (3, {}, "number"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(datatype: int, value: Any, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        write(datatype, value)


def test_quality_null_and_times() -> None:
    metrics = [
        Metric("a", None, NOW - 5, 3, raw=Raw(10, 1), quality=192),
        Metric("b", None, None, 3, raw=Raw(10, 1), quality=500),
        Metric("c", None, NOW + 3_600_000, 3, raw=Raw(10, 1), quality=64),
        Metric("d", None, NOW, 3, null=True),
        Metric("e", 4, NOW, 3, raw=Raw(10, 1)),
    ]
    payload = Payload(NOW - 9, 0, metrics)
    known = define(Payload(metrics=metrics[:4]))
    rows, strange = readings(payload, known, {}, NOW)
    assert [(r.at, r.quality) for r in rows] == [
        (NOW - 5, GOOD), (NOW - 9, BAD), (NOW, UNCERTAIN), (NOW, BAD),
    ]  # fmt: skip
    assert strange == "e"
