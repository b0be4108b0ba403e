"""Shifts by the wall clock of the site, also on days of 23 and 25 hours."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from factory_brain.domain.shifts import turns_at
from shared.site.fields import Names
from shared.site.model import SiteFile
from shared.site.shifts import ShiftSpec

HOUR = 3_600_000


def shift(name: str, start: str) -> ShiftSpec:
    return ShiftSpec(id=name, name=Names(zh=name, en=name), start=start)


THREE = [shift("early", "06:00"), shift("late", "14:00"), shift("night", "22:00")]


def at(text: str, zone: str, fold: int = 0) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(moment.timestamp() * 1000)


@pytest.mark.parametrize(
    ("zone", "now", "on", "hours"),
    [
        ("Asia/Shanghai", "2026-03-01T05:59:59", "night", 8),
        ("Asia/Shanghai", "2026-03-01T06:00:00", "early", 8),
        ("Asia/Shanghai", "2026-03-01T23:10:00", "night", 8),
        ("Europe/Berlin", "2026-03-29T03:30:00", "night", 7),  # the clocks skip an hour
        ("Europe/Berlin", "2026-10-25T05:00:00", "night", 9),  # an hour comes twice
        ("Europe/Berlin", "2026-10-25T06:00:00", "early", 8),
    ],
)
def test_the_shift_that_is_on(zone: str, now: str, on: str, hours: int) -> None:
    turn, following = turns_at(THREE, zone, at(now, zone))
    assert (turn.spec.id, (turn.end - turn.start) / HOUR) == (on, hours)
    assert following.start == turn.end


def test_a_start_that_is_skipped_or_comes_twice() -> None:
    odd = [shift("a", "02:30"), shift("b", "12:00")]
    zone = "Europe/Berlin"
    turn, _ = turns_at(odd, zone, at("2026-03-29T04:00:00", zone))
    assert (turn.spec.id, turn.start) == ("a", at("2026-03-29T03:30:00", zone))
    turn, _ = turns_at(odd, zone, at("2026-10-25T02:45:00", zone, fold=1))
    assert (turn.spec.id, turn.start) == ("a", at("2026-10-25T02:30:00", zone, fold=0))


def test_without_shifts_the_day_is_one() -> None:
    turn, following = turns_at([], "Asia/Shanghai", at("2026-03-01T12:00:00", "Asia/Shanghai"))
    assert turn.start == at("2026-03-01T00:00:00", "Asia/Shanghai")
    assert (turn.spec.id, following.start) == ("day", turn.end)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    now=st.integers(1_600_000_000_000, 2_000_000_000_000),
    zone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Kolkata",
                          "Australia/Lord_Howe", "Pacific/Apia"]),
)  # fmt: skip
def test_every_moment_is_in_exactly_one_shift(now: int, zone: str) -> None:
    turn, following = turns_at(THREE, zone, now)
    assert turn.start <= now < turn.end == following.start < following.end
    again, _ = turns_at(THREE, zone, turn.end)
    assert (again.spec, again.start, again.end) == (
        following.spec, following.start, following.end,
    )  # fmt: skip


@pytest.mark.parametrize(
    "shifts",
    [
        [{"id": "a", "name": {"zh": "甲", "en": "A"}, "start": "24:00"}],
        [{"id": "a", "name": {"zh": "甲", "en": "A"}, "start": "8:00"}],
        [{"id": "a", "name": {"zh": "甲", "en": "A"}, "start": "08:00"}] * 2,
    ],
)
def test_faulty_shifts_are_refused(shifts: list[dict[str, object]]) -> None:
    with pytest.raises(ValidationError):
        SiteFile.model_validate(
            {"site": "f1", "name": {"zh": "厂", "en": "F"}, "edges": [], "shifts": shifts}
        )
