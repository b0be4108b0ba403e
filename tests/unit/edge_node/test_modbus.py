"""Modbus without a wire: both address grammars, byte orders, texts, bits, requests, stations."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.adapters.sources.modbus import ModbusOptions, check_address, check_write
from edge_node.adapters.sources.modbus_codec import WIRE, decode, encode
from edge_node.adapters.sources.modbus_map import (
    MAX_BITS,
    MAX_REGISTERS,
    ORDERS,
    WIDTHS,
    Block,
    Register,
    parse_address,
    plan,
)
from edge_node.adapters.sources.modbus_station import DEAD_AFTER, FIRST_PAUSE_MS, Poll, Station
from edge_node.adapters.sources.on_change import on_change
from edge_node.adapters.sources.port import GOOD, Point, Source, emit
from shared.clock import ManualClock

VALUE = 0x0102030405060708


class Collected:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.samples: list[tuple[int, int, float, int]] = []

    def sample(self, *row: Any) -> None:
        self.samples.append(row)

    text = sample

    def state(self, state: str, detail: str = "") -> None:
        del state, detail


@pytest.fixture(scope="module")
def vectors(outside_data: Path) -> dict[str, Any]:
    return json.loads((outside_data / "oracles" / "neuron_vectors.json").read_text())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("30001", Register("input", 0)), ("40002", Register("holding", 1)),
        ("10016", Register("discrete", 15, "bit")), ("00001", Register("coil", 0, "bit")),
        ("465536", Register("holding", 65_535)),
        ("40010:float32", Register("holding", 9, "float32")),
        ("40010:double", Register("holding", 9, "float64")),
        ("3!40001#BB:int32", Register("holding", 0, "int32", 3, "DCBA")),
        ("1!400003#CDAB:float", Register("holding", 2, "float32", 1, "CDAB")),
        ("1!40001#WS:uint64", Register("holding", 0, "uint64", 1, "CDABGHEF")),
        ("1!4000127:double", Register("holding", 126, "float64", 1)),
        ("1!40001#B", Register("holding", 0, "uint16", 1, "BA")),
        ("1!30001.5", Register("input", 0, "bit", 1, "", 5)),
        ("1!40001.10H", Register("holding", 0, "string", 1, "", 10, "H")),
        ("1!40001.10:bytes", Register("holding", 0, "bytes", 1, "", 10, "H")),
        ("2!000002", Register("coil", 1, "bit", 2)),
    ],
)  # fmt: skip
def test_addresses_count_from_one(text: str, wanted: Register) -> None:
    assert parse_address(text) == wanted


def test_the_tag_s_type_tells_a_bit_from_a_text() -> None:
    assert parse_address("1!40001.10", "string").kind == "string"
    assert parse_address("1!40001.10", "boolean").kind == "bit"
    assert check_address("40001.10", "string") == ""
    assert "length" in check_address("40001", "string")
    assert "type: string" in check_address("40001.10H", "number")
    assert "only be read" in check_write("30001")
    assert check_write("7!00003") == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Modbus address"), ("0", "Modbus address"), ("30000", "Modbus address"),
        ("20001", "Modbus address"), ("465537", "Modbus address"), ("4001", "Modbus address"),
        ("x40001", "Modbus address"), ("1!50001", "Modbus address"), ("10001:int16", "type must"),
        ("40001:int8", "type must"), ("40001#BB", "say the type"), ("40001#BB:int16", "byte order"),
        ("256!40001", "stations are"), ("40001.16:bit", "bits 0 to 15"), ("40001:string", "length"),
        ("40001.0H", "1 to 246"), ("40001.4#BB", "byte order goes"), ("10001.3", "type must"),
        ("40001:bit", "for example .5"),
    ],
)  # fmt: skip
def test_other_addresses_are_refused_with_the_rule(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_address(text)
    assert words in check_address(text, "number")


@pytest.mark.oracle
def test_every_published_address_form_is_taken_with_its_type(vectors: dict[str, Any]) -> None:
    """All forms that the published patterns allow, made from the patterns themselves."""
    numbers = {"bit": ["1!00001", "9!10064", "1!30001.0", "1!40010.09", "2!400001.15"]}
    for code, kind in vectors["type_codes"].items():
        pattern = re.compile(vectors["tag_regex"][code])
        suffixes = {
            "string": [".10", ".10H", ".1L", ".127"], "bytes": [".10", ".2"],
        }.get(kind, ["", "#B", "#L", "#BB", "#BL", "#LL", "#LB", "#WS", "#WR"])  # fmt: skip
        made = numbers.get(kind) or [
            f"{unit}!{area}{place}{suffix}"
            for unit in (0, 1, 255) for area in "34" for place in ("0001", "00010", "000127", "5")
            for suffix in suffixes
        ]  # fmt: skip
        allowed = [text for text in made if pattern.match(text)]
        assert allowed, kind
        for text in allowed:
            register = parse_address(text, "string" if kind == "string" else "number", kind)
            assert register.kind == {"float": "float32", "double": "float64"}.get(kind, kind)
            assert register.unit == int(text.partition("!")[0])
        if kind in ("int16", "int32", "uint64"):
            for text in set(made) - set(allowed):
                with pytest.raises(ValueError, match="byte order"):
                    parse_address(text, "number", kind)


@pytest.mark.oracle
def test_the_published_byte_orders(vectors: dict[str, Any]) -> None:
    given_ = vectors["endianness_node_uint32"]
    wire = parse_address("1!400001", "number", "uint32")
    words = encode(wire, given_["value"], {**WIRE, 2: given_["written_with"][:4]})
    for order, value in given_["read_as"].items():
        assert decode(wire, words, {**WIRE, 2: order[:4]}) == value
        # The address outranks the source's option.
        named = parse_address(f"1!400001#{order[:4]}", "number", "uint32")
        assert decode(named, words, {**WIRE, 2: "DCBA"}) == value


@pytest.mark.oracle
def test_the_published_limits(vectors: dict[str, Any]) -> None:
    from shared.site.tags import SourceSpec

    least = vectors["limits"]["group_interval_min_ms"]
    fields = {"id": "s", "edge": "e1", "driver": "modbus", "url": "tcp://h:502"}
    assert SourceSpec.model_validate({**fields, "interval": f"{least}ms"}).interval == least
    assert SourceSpec.model_validate({**fields, "interval": "100ms"}).interval == 100


@pytest.mark.parametrize(
    ("order", "raw"),
    [
        ("LL", "0102030405060708"), ("LB", "0201040306050807"), ("BL", "0708050603040102"),
        ("BB", "0807060504030201"), ("L", "0102030405060708"), ("B", "0807060504030201"),
        ("WS", "0304010207080506"), ("WR", "0506070801020304"),
    ],
)  # fmt: skip
def test_eight_byte_orders(order: str, raw: str) -> None:
    register = parse_address(f"1!40001#{order}", "number", "uint64")
    words = encode(register, VALUE)
    assert "".join(f"{word:04x}" for word in words) == raw
    assert decode(register, words) == VALUE


@given(
    st.sampled_from(sorted(WIDTHS)).flatmap(
        lambda kind: st.tuples(st.just(kind), st.sampled_from(ORDERS[WIDTHS[kind]]))
    ),
    st.integers(0, 32_767),
)
def test_a_register_reads_what_was_written(layout: tuple[str, str], value: int) -> None:
    kind, order = layout
    register = Register("holding", 0, kind, None, order)
    assert decode(register, encode(register, value)) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint16", -1), ("uint16", 65_536), ("int16", 40_000), ("uint16", math.nan),
        ("float32", 1e300), ("uint32", 2.0**32), ("int64", 1e30), ("int16", "AUTO"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_not_written(kind: str, value: float | str) -> None:
    with pytest.raises(ValueError, match=r"fit|cannot|takes a number"):
        encode(Register("holding", 0, kind), value)


@pytest.mark.parametrize(("value", "raw"), [(2.5, 3), (-2.5, -3), (123.4, 123), (-0.4, 0), (7, 7)])
def test_whole_numbers_are_rounded_with_halves_away_from_zero(value: float, raw: int) -> None:
    register = Register("holding", 0, "int16")
    assert decode(register, encode(register, value)) == raw


@pytest.mark.parametrize(
    ("suffix", "words"),
    [
        (".4H", [0x4142, 0x4300]), (".4L", [0x4241, 0x0043]),
        (".4D", [0x41, 0x42, 0x43, 0]), (".4E", [0x4100, 0x4200, 0x4300, 0]),
    ],
)  # fmt: skip
def test_texts_in_all_four_layouts(suffix: str, words: list[int]) -> None:
    register = parse_address(f"1!40001{suffix}", "string")
    assert register.width == len(words)
    assert encode(register, "ABC") == words
    assert decode(register, words) == "ABC"
    with pytest.raises(ValueError, match="room for 4"):
        encode(register, "ABCDE")


def test_texts_that_are_none_and_bytes() -> None:
    text = parse_address("40001.3", "string")
    assert encode(text, "中") == [0xE4B8, 0xAD00]
    assert decode(text, [0xE4B8, 0xAD00]) == "中"
    assert decode(text, [0xFF42, 0x4300]) is None
    raw = parse_address("40001.3:bytes", "string")
    assert decode(raw, [0xFF00, 0x0100]) == "ff0001"
    assert encode(raw, "ff0001") == [0xFF00, 0x0100]
    with pytest.raises(ValueError, match="hexadecimal"):
        encode(raw, "nonsense")


def test_a_bit_inside_a_register() -> None:
    for part in range(16):
        register = parse_address(f"1!40001.{part}", "boolean")
        assert decode(register, [1 << part]) is True
        assert decode(register, [0xFFFF ^ 1 << part]) is False


registers = st.builds(
    Register, st.sampled_from(["input", "holding"]), st.integers(0, 600),
    st.sampled_from(["uint16", "int32", "float32", "float64"]), st.sampled_from([None, 1, 7]),
) | st.builds(
    Register, st.sampled_from(["coil", "discrete"]), st.integers(0, 6000), st.just("bit"),
    st.sampled_from([None, 7]),
)  # fmt: skip


@given(st.lists(registers, max_size=60), st.integers(0, 20), st.integers(4, MAX_REGISTERS))
def test_requests_hold_every_value_once_within_the_limits(
    wanted: list[Register], gap: int, most: int
) -> None:
    blocks = plan(enumerate(wanted), 3, gap, most)
    placed = [number for block in blocks for number, _ in block.members]
    assert sorted(placed) == list(range(len(wanted)))
    for block in blocks:
        bits = block.table in ("coil", "discrete")
        assert 1 <= block.count <= (MAX_BITS if bits else most)
        for number, register in block.members:
            assert register == wanted[number]
            assert (register.table, register.unit or 3) == (block.table, block.unit)
            assert block.offset <= register.offset
            assert register.offset + register.width <= block.offset + block.count


def test_125_neighbours_are_one_request_and_a_gap_makes_two() -> None:
    def blocks(*places: int, gap: int = 8) -> list[int]:
        found = plan(((n, Register("holding", at)) for n, at in enumerate(places)), 1, gap)
        return [block.count for block in found]

    assert blocks(*range(125)) == [125]
    assert blocks(*range(250)) == [125, 125]
    assert blocks(0, 9) == [10]
    assert blocks(0, 10) == [1, 1]
    assert blocks(0, 1, 3, gap=0) == [2, 1]
    bits = plan((n, Register("coil", n, "bit")) for n in range(2001))
    assert [block.count for block in bits] == [2000, 1]


def test_a_silent_station_is_asked_less_and_less_often() -> None:
    station = Station(3, [Poll(Block("holding", 0, 1, (), 3), 100)])
    now, tries = 0, []
    while now < 120_000:
        at, _ = station.due()
        now = max(now, at)
        tries.append(now)
        now += 1000  # the time-out of the request itself
        station.missed(now, 30_000)
        assert station.dead == (len(tries) >= DEAD_AFTER)
    pauses = [b - a - 1000 for a, b in itertools.pairwise(tries)]
    assert pauses[:7] == [FIRST_PAUSE_MS * 2**n for n in range(6)] + [30_000]
    assert "station 3 does not answer" in station.describe(30_000)
    station.heard()
    assert station.due()[0] <= now
    assert station.describe(30_000) == ""


def test_a_refused_address_is_asked_seldom_and_named() -> None:
    poll = Poll(Block("holding", 499, 1, ()), 100)
    poll.fault, now = "holding 500: exception 2", 0
    for refusals in range(12):
        poll.refusals = refusals
        poll.next_due(now, 30_000)
        now = poll.due_ms
    assert now > 60_000
    assert "holding 500" in Station(1, [poll]).describe(1000)


def test_polls_keep_their_rhythm_and_do_not_catch_up() -> None:
    poll = Poll(Block("holding", 0, 1, ()), 100)
    poll.next_due(1000, 30_000)
    assert poll.due_ms == 1100
    poll.next_due(1130, 30_000)
    assert poll.due_ms == 1200
    poll.next_due(5000, 30_000)
    assert poll.due_ms == 5000


def test_options_say_what_they_take() -> None:
    options = ModbusOptions(order32="CDAB")
    assert options.orders() == {1: "AB", 2: "CDAB", 4: "ABCDEFGH"}
    with pytest.raises(ValueError, match="parity"):
        ModbusOptions.model_validate({"parity": "X"})


@pytest.mark.oracle
def test_a_slow_drift_is_reported_against_the_last_reported_value(vectors: dict[str, Any]) -> None:
    """The published rule compares with the previous sample and reports none of these 2,000."""
    assert "drift-blind" in vectors["change_rule"]["reference"]
    clock, seen = ManualClock(), Collected()
    point = Point(0, "T", "40001", "number", access=("subscribe",), deadband=0.1)
    source = Source("s", "modbus", "", 100, 1, (point,), {})
    sink = on_change(seen, source, clock)
    for n in range(2000):
        emit(sink, point, n, 20.0 + n * 0.05, GOOD)
    values = [value for _, _, value, _ in seen.samples]
    assert 600 <= len(values) <= 1000
    assert all(b - a < 0.16 for a, b in itertools.pairwise(values))


@pytest.mark.oracle
def test_the_published_float_display_is_a_precision(vectors: dict[str, Any]) -> None:
    seen = Collected()
    register = Register("holding", 0, "float32")
    for text, wanted in vectors["float_display"].items():
        if text == "default_decimals":
            continue
        raw = decode(register, encode(register, float(text)))
        emit(seen, Point(0, "T", "40001:float", "number", precision=3), 0, raw, GOOD)
        assert seen.samples[-1][2] == wanted


@pytest.mark.oracle
def test_the_published_scaling_reads_value_times_decimal_plus_bias(vectors: dict[str, Any]) -> None:
    assert vectors["scaling"]["both"] == "value * decimal + bias"
    seen = Collected()
    emit(seen, Point(0, "T", "40001", "number", scale=0.1, bias=-5.0), 0, 124, GOOD)
    assert seen.samples[-1][2] == pytest.approx(124 * 0.1 - 5)
