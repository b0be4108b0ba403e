"""S7 without a PLC: addresses, types, reads; and the thread for a library that may hang."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.adapters.sources.s7 import check_address, check_write
from edge_node.adapters.sources.s7_map import (
    FORMATS,
    MAX_SPAN,
    Place,
    decode,
    encode,
    parse_address,
    plan,
)
from edge_node.adapters.sources.worker import Worker


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("DB1.DBX0.7", Place("DB", 1, 0, "bool", 7)), ("DB12.DBB3", Place("DB", 12, 3, "byte")),
        ("DB1.DBW2", Place("DB", 1, 2, "word")), ("DB1.DBW2:int", Place("DB", 1, 2, "int")),
        ("DB1.DBD4:real", Place("DB", 1, 4, "real")), ("db1.dbb8:lint", Place("DB", 1, 8, "lint")),
        ("DB1.DBB8:string[20]", Place("DB", 1, 8, "string", 0, 20)),
        ("I0.0", Place("I", 0, 0, "bool")), ("E1.3", Place("I", 0, 1, "bool", 3)),
        ("Q0.0", Place("Q", 0, 0, "bool")), ("A4.1", Place("Q", 0, 4, "bool", 1)),
        ("M0.3", Place("M", 0, 0, "bool", 3)), ("MW2", Place("M", 0, 2, "word")),
        ("MD8:real", Place("M", 0, 8, "real")), ("IW64:int", Place("I", 0, 64, "int")),
    ],
)  # fmt: skip
def test_addresses(text: str, wanted: Place) -> None:
    assert parse_address(text) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("DB1", "not an S7 address"), ("DB1.DBX0", "0 to 7"), ("M0.8", "0 to 7"),
        ("DB1.DBW2.1", "only a bit"), ("DB1.DBW2:real", "DBB takes every type"),
        ("DB1.DBB0:string", "with its room"), ("DB1.DBD0:float", "type must be"),
        ("DB1.DBB0:string[255]", "with its room"), ("X1.0", "not an S7 address"),
        ("DB1.DBB70000", "not an S7 address"), ("M0.1:int", "0 to 7"), ("MB1:int[3]", "type must"),
    ],
)  # fmt: skip
def test_wrong_addresses_are_refused_with_the_rule(text: str, words: str) -> None:
    assert words in check_address(text, "number")


def test_texts_need_a_text_tag_and_inputs_are_read_only() -> None:
    assert check_address("DB1.DBB8:string[20]", "string") == ""
    assert "type: string" in check_address("DB1.DBB8:string[20]", "number")
    assert "no text" in check_address("DB1.DBW0", "string")
    assert "only be read" in check_write("I0.0")
    assert check_write("DB1.DBX0.0") == ""


@given(st.sampled_from(sorted(FORMATS)), st.integers(0, 127))
def test_a_place_reads_what_was_written(kind: str, value: int) -> None:
    place = Place("DB", 1, 0, kind)
    assert decode(place, encode(place, value)) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [("int", 40_000), ("byte", -1), ("real", 1e300), ("word", math.nan), ("int", "x"), ("bool", 2)],
)
def test_what_does_not_fit_is_not_written(kind: str, value: float | str) -> None:
    with pytest.raises(ValueError, match=r"fit|cannot|takes"):
        encode(Place("DB", 1, 0, kind), value)


def test_strings() -> None:
    place = Place("DB", 1, 0, "string", 0, 4)
    assert encode(place, "AB") == b"\x04\x02AB\0\0"
    assert decode(place, b"\x04\x02AB\0\0") == "AB"
    assert decode(place, b"\x04\x09AB\0\0") is None
    with pytest.raises(ValueError, match="longer than"):
        encode(place, "ABCDE")
    with pytest.raises(ValueError, match="cannot hold"):
        encode(place, "中")


places = st.builds(
    Place, st.sampled_from(["DB", "M"]), st.integers(0, 2), st.integers(0, 900),
    st.sampled_from(["byte", "int", "real", "lreal"]),
)  # fmt: skip


@given(st.lists(places, max_size=50))
def test_reads_hold_every_value_once(wanted: list[Place]) -> None:
    blocks = plan(enumerate(wanted))
    assert sorted(n for block in blocks for n, _ in block.members) == list(range(len(wanted)))
    for block in blocks:
        assert block.count <= MAX_SPAN
        for n, place in block.members:
            assert (place, place.area, place.db) == (wanted[n], block.area, block.db)
            assert block.byte <= place.byte
            assert place.byte + place.span <= block.byte + block.count
        assert len(block.apart()) == len(block.members)


async def test_a_call_that_hangs_costs_its_worker_and_nothing_else() -> None:
    stop = threading.Event()
    worker = Worker("test")
    assert await worker.call(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await worker.call(5, lambda: 1 / 0)
    with pytest.raises(TimeoutError):
        await worker.call(0.05, stop.wait)
    with pytest.raises(TimeoutError, match="hangs"):
        await worker.call(5, lambda: 7)
    stop.set()
    worker.end()
    assert await Worker("next").call(5, lambda: 8) == 8
