"""Cron lines: fields, days, and local clocks that are put forward and back."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from shared.playbook.cron import Cron

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")


def ms(text: str, zone: ZoneInfo) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def local(line: str, zone: ZoneInfo, after: str, through: str) -> list[str]:
    found = Cron.parse(line).due(zone, ms(after, zone), ms(through, zone))
    return [
        datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).strftime("%d %H:%M%z")
        for at in found
    ]


@pytest.mark.parametrize(
    ("line", "hits"),
    [
        ("*/20 8 * * *", ["01 08:00", "01 08:20", "01 08:40"]),
        ("0 6,18 * * *", ["01 06:00", "01 18:00"]),
        ("15 0-3/2 * * *", ["01 00:15", "01 02:15"]),
        ("30 7 * * sun", []),
        ("30 7 * * mon-fri", ["01 07:30"]),
        ("0 12 13 * thu", ["01 12:00"]),  # either day will do, as in every cron
        ("0 12 13 * *", []),
        ("0 9 1 jan *", ["01 09:00"]),
    ],
)
def test_fields(line: str, hits: list[str]) -> None:
    """1 January 2026 is a Thursday."""
    found = local(line, SHANGHAI, "2025-12-31T23:59:59", "2026-01-01T23:59:00")
    assert [each[:8] for each in found] == hits


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("* * * *", "five"), ("60 * * * *", "minute"), ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of month"), ("* * * foo *", "month"), ("*/0 * * * *", "step"),
        ("5-1 * * * *", "ends before"),
    ],
)  # fmt: skip
def test_mistakes_say_which_field(line: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Cron.parse(line)


def test_the_hour_that_is_left_out() -> None:
    """29 March 2026 in Berlin: from 02:00 the clock goes to 03:00."""
    day = ("2026-03-29T00:00:00", "2026-03-29T05:00:00")
    assert local("30 2 * * *", BERLIN, *day) == ["29 03:00+0200"]
    assert local("0 3 * * *", BERLIN, *day) == ["29 03:00+0200"]
    assert local("15,45 2 * * *", BERLIN, *day) == ["29 03:00+0200"]  # once for both
    every = local("0 * * * *", BERLIN, *day)
    assert every == ["29 01:00+0100", "29 03:00+0200", "29 04:00+0200", "29 05:00+0200"]


def test_the_hour_that_comes_twice() -> None:
    """25 October 2026 in Berlin: from 03:00 the clock goes back to 02:00."""
    day = ("2026-10-25T00:00:00", "2026-10-25T05:00:00")
    assert local("30 2 * * *", BERLIN, *day) == ["25 02:30+0200"]
    assert local("0 2 * * *", BERLIN, *day) == ["25 02:00+0200"]
    assert local("0 3 * * *", BERLIN, *day) == ["25 03:00+0100"]
    half_hours = local("*/30 * * * *", BERLIN, *day)
    assert half_hours.count("25 02:30+0200") == half_hours.count("25 02:30+0100") == 1


def test_portions_find_the_same_as_the_whole() -> None:
    cron = Cron.parse("*/7 1-4 * * *")
    begin, end = ms("2026-10-25T00:00:00", BERLIN), ms("2026-10-26T00:00:00", BERLIN)
    whole = list(cron.due(BERLIN, begin, end))
    parts = [
        at for start in range(begin, end, 97_000)
        for at in cron.due(BERLIN, start, min(start + 97_000, end))
    ]  # fmt: skip
    assert parts == whole
