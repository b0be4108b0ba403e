"""IEC 60870-5-104 messages: types, quality, time, answers; the address grammar."""

from __future__ import annotations

import struct
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.adapters.sources.iec104 import (
    FAMILIES,
    Place,
    check_address,
    check_write,
    parse_address,
)
from edge_node.adapters.sources.iec104_asdu import answer, moment_ms, readings

STAMP = struct.pack("<HBBBBB", 20_123, 13, 22, 14, 11, 23)
"""2023-11-14 22:13:20.123."""


def apdu(kind: int, objects: bytes, count: int = 1, cause: int = 3, station: int = 258) -> bytes:
    head = bytes([kind, count, cause, 0]) + station.to_bytes(2, "little")
    return bytes([0x68, 4 + len(head) + len(objects), 0, 0, 0, 0]) + head + objects


def place(at: int) -> bytes:
    return at.to_bytes(3, "little")


@pytest.mark.parametrize(
    ("kind", "raw", "family", "value", "quality"),
    [
        (1, b"\x01", "single", True, 0), (1, b"\x81", "single", True, 2),
        (1, b"\x40", "single", False, 1), (30, b"\x11" + STAMP, "single", True, 1),
        (3, b"\x02", "double", 2, 0), (31, b"\x23" + STAMP, "double", 3, 1),
        (5, b"\x7e\x00", "step", -2, 0), (5, b"\x85\x00", "step", 5, 1),
        (7, b"\x01\x00\x00\x80\x00", "bits", 0x80000001, 0),
        (9, struct.pack("<h", -16384) + b"\x00", "normalized", -0.5, 0),
        (21, struct.pack("<h", 16384), "normalized", 0.5, 0),
        (11, struct.pack("<h", -123) + b"\x01", "scaled", -123, 1),
        (35, struct.pack("<h", 9) + b"\x80" + STAMP, "scaled", 9, 2),
        (13, struct.pack("<f", 1.5) + b"\x00", "float", 1.5, 0),
        (36, struct.pack("<f", 1.5) + b"\x20" + STAMP, "float", 1.5, 1),
        (15, struct.pack("<i", -7) + b"\x00", "counter", -7, 0),
        (37, struct.pack("<i", 7) + b"\x80" + STAMP, "counter", 7, 2),
    ],
)  # fmt: skip
def test_monitored_values(kind: int, raw: bytes, family: str, value: float, quality: int) -> None:
    (reading,) = readings(apdu(kind, place(70_000) + raw))
    assert (reading.station, reading.place) == (258, 70_000)
    assert (reading.family, reading.value, reading.quality) == (family, value, quality)
    assert reading.time == (STAMP if STAMP in raw else None)


def test_several_values_one_by_one_and_in_sequence() -> None:
    singles = apdu(1, place(5) + b"\x01" + place(9) + b"\x00", count=2)
    assert [(r.place, r.value) for r in readings(singles)] == [(5, True), (9, False)]
    sequence = apdu(1, place(5) + b"\x01\x00\x01", count=0x83)
    assert [(r.place, r.value) for r in readings(sequence)] == [(5, True), (6, False), (7, True)]


def test_what_is_no_value_is_skipped_and_what_is_cut_off_is_refused() -> None:
    assert list(readings(bytes.fromhex("680483000000"))) == []
    assert list(readings(apdu(70, place(0) + b"\x00"))) == []
    with pytest.raises(ValueError, match="ends in the middle"):
        list(readings(apdu(13, place(1) + b"\x00\x00")))


@given(st.binary(max_size=80))
def test_any_bytes_give_values_or_a_value_error(raw: bytes) -> None:
    try:
        for reading in readings(raw):
            assert reading.quality in (0, 1, 2)
        answer(raw)
    except ValueError as error:
        assert "middle" in str(error)


def test_the_time_is_in_the_stations_zone_and_says_when_it_is_invalid() -> None:
    assert moment_ms(STAMP, UTC) == 1_700_000_000_123
    assert moment_ms(STAMP, ZoneInfo("Asia/Shanghai")) == 1_700_000_000_123 - 8 * 3_600_000
    invalid = STAMP[:2] + bytes([STAMP[2] | 0x80]) + STAMP[3:]
    assert moment_ms(invalid, UTC) is None
    assert moment_ms(STAMP[:5] + b"\x00" + STAMP[6:], UTC) is None


def test_answers_to_commands() -> None:
    def told(cause: int, qualifier: int = 0) -> tuple[str, bool]:
        found = answer(apdu(45, place(200) + bytes([1 | qualifier]), cause=cause, station=1))
        assert found is not None
        assert (found.station, found.place, found.kind) == (1, 200, 45)
        return found.refused, found.select

    assert told(7) == ("", False)
    assert told(7, 0x80) == ("", True)
    assert "refused" in told(7 | 0x40)[0]
    assert "object address" in told(47)[0]
    assert answer(apdu(45, place(200) + b"\x01", cause=10)) is None
    assert answer(apdu(1, place(200) + b"\x01")) is None
    lost = answer(apdu(100, place(0) + b"\x14", cause=46 | 0x40, station=9))
    assert lost is not None
    assert (lost.station, "common address" in lost.refused) == (9, True)


def test_addresses() -> None:
    assert parse_address("1/100") == Place(1, 100)
    assert parse_address("65534/16777215:float") == Place(65_534, 16_777_215, "float")
    assert parse_address("1/200:single:select") == Place(1, 200, "single", True)
    for wrong in (
        "1",
        "1/",
        "0/1",
        "65535/1",
        "1/16777216",
        "1/1:word",
        "1/1:select:single",
        "a/b",
    ):
        assert check_address(wrong, "number"), wrong
    for family in FAMILIES:
        assert check_address(f"1/1:{family}", "number") == ""
    assert "texts" in check_address("1/1", "string")
    assert "command" in check_address("1/1:single:select", "number")
    assert "names its type" in check_write("1/1")
    assert "names its type" in check_write("1/1:counter")
    assert check_write("1/1:double") == ""
