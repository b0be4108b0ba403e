"""Who has duty: turns, layers, leave and swaps, by wall clocks that jump."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_brain.domain.notify.duty import Override, changes_after, on_duty
from factory_brain.domain.notify.hours import free_from, holds, instant
from shared.site.notify import HoursSpec, RosterSpec

BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")
LAST_DAY = 1_840_000_000_000


def ms(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    local = datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)
    return int(local.timestamp() * 1000)


def roster(*layers: dict[str, object]) -> RosterSpec:
    return RosterSpec.model_validate({"id": "duty", "layers": list(layers)})


WEEKLY = {"people": ["a", "b", "c"], "start": date(2026, 1, 5), "handover": "08:00"}


@pytest.mark.parametrize(
    ("at", "person"),
    [
        ("2026-01-05 07:59", None),
        ("2026-01-05 08:00", "a"),
        ("2026-01-12 07:59", "a"),
        ("2026-01-12 08:00", "b"),
        ("2026-01-26 08:00", "a"),
        # Clocks go forward on 29 March 2026 and back on 25 October: 08:00 stays 08:00.
        ("2026-03-30 07:59", "c"),
        ("2026-03-30 08:00", "a"),
        ("2026-10-26 07:59", "c"),
        ("2026-10-26 08:00", "a"),
    ],
)
def test_weekly_turns_change_by_the_wall_clock(at: str, person: str | None) -> None:
    assert on_duty(roster(WEEKLY), BERLIN, ms(at)).person == person


def test_a_handover_within_the_doubled_hour_happens_once() -> None:
    daily = roster(
        {"people": ["a", "b"], "start": date(2026, 10, 24), "handover": "02:30", "turn": "daily"}
    )
    first, second = ms("2026-10-25 02:29"), ms("2026-10-25 02:29", fold=1)
    assert on_duty(daily, BERLIN, first).person == "a"
    assert on_duty(daily, BERLIN, first + 60_000).person == "b"
    assert on_duty(daily, BERLIN, second).person == "b"


def test_a_handover_in_the_hour_left_out_is_at_the_jump() -> None:
    assert instant(date(2026, 3, 29), "02:30", BERLIN) == ms("2026-03-29 03:00")


def test_layers_leave_and_swaps() -> None:
    night = {"days": ["sat", "sun"], "from": "20:00", "to": "08:00"}
    spec = roster(WEEKLY, WEEKLY | {"people": ["n"], "hours": [night]})
    saturday = ms("2026-01-10 21:00")
    assert on_duty(spec, BERLIN, saturday).person == "n"
    assert on_duty(spec, BERLIN, ms("2026-01-12 07:30")).person == "n"  # still Sunday's night
    assert on_duty(spec, BERLIN, ms("2026-01-10 12:00")).person == "a"
    away = Override("1", saturday - 1, saturday + 1, "n", None)
    assert on_duty(spec, BERLIN, saturday, [away]).person == "a"
    swap = Override("2", saturday - 1, saturday + 1, "a", "c")
    duty = on_duty(spec, BERLIN, saturday, [away, swap])
    assert (duty.person, duty.override) == ("c", "2")
    gone = Override("3", saturday - 1, saturday + 1, "c", None)
    assert on_duty(spec, BERLIN, saturday, [away, swap, gone]).person is None
    circle = Override("4", saturday - 1, saturday + 1, "c", "a")
    assert on_duty(spec, BERLIN, saturday, [away, swap, circle]).person is None
    anyone = Override("5", saturday - 1, saturday + 1, None, "b")
    assert on_duty(spec, BERLIN, saturday, [anyone]).person == "b"


@pytest.mark.parametrize(
    ("hours", "at", "free"),
    [
        ({"from": "22:00", "to": "06:00"}, "2026-01-05 23:00", "2026-01-06 06:00"),
        ({"from": "22:00", "to": "06:00"}, "2026-01-05 21:59", "2026-01-05 21:59"),
        ({"from": "22:00", "to": "06:00"}, "2026-03-29 01:00", "2026-03-29 06:00"),
        ({"from": "22:00", "to": "06:00"}, "2026-10-25 01:00", "2026-10-25 06:00"),
        ({"from": "08:00", "to": "08:00", "days": ["sun"]}, "2026-01-11 12:00", "2026-01-12 08:00"),
        ({"from": "22:00", "to": "06:00", "days": ["fri"]}, "2026-01-10 05:00", "2026-01-10 06:00"),
        ({"from": "22:00", "to": "06:00", "days": ["fri"]}, "2026-01-09 05:00", "2026-01-09 05:00"),
    ],
)
def test_quiet_hours_end_by_the_wall_clock(hours: dict[str, object], at: str, free: str) -> None:
    spec = [HoursSpec.model_validate(hours)]
    assert free_from(spec, BERLIN, ms(at)) == ms(free)


times = st.integers(min_value=1_767_600_000_000, max_value=LAST_DAY)
clocks = st.builds(lambda h, m: f"{h:02}:{m:02}", st.integers(0, 23), st.integers(0, 59))
zones = st.sampled_from([BERLIN, SHANGHAI, ZoneInfo("America/St_Johns"), ZoneInfo("UTC")])


@given(at=times, start=clocks, end=clocks, zone=zones)
def test_whoever_waits_for_the_end_of_quiet_hours_is_out_of_them(
    at: int, start: str, end: str, zone: ZoneInfo
) -> None:
    spec = [HoursSpec.model_validate({"from": start, "to": end, "days": ["mon", "tue", "sat"]})]
    free = free_from(spec, zone, at)
    assert free >= at
    assert not holds(spec, zone, free)
    assert free == at or holds(spec, zone, free - 1)


@given(at=times, handover=clocks, zone=zones, every=st.integers(1, 3),
       turn=st.sampled_from(["daily", "weekly"]))  # fmt: skip
def test_somebody_has_duty_at_every_instant_until_the_next_change(
    at: int, handover: str, zone: ZoneInfo, every: int, turn: str
) -> None:
    spec = roster(
        {"people": ["a", "b", "c"], "start": date(2026, 1, 1), "handover": handover,
         "turn": turn, "every": every}
    )  # fmt: skip
    now = on_duty(spec, zone, at).person
    change = changes_after(spec, zone, at)
    assert now is not None
    assert change > at
    assert on_duty(spec, zone, change - 1).person == now
    assert on_duty(spec, zone, change).person == {"a": "b", "b": "c", "c": "a"}[now]
