"""Ladders: each step once however late, ends when it should, an expired answer, nothing lost."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_brain.domain.notify.ladder import Case, Seen, Telling, advance
from factory_brain.domain.notify.plan import choose, plan, retry_at
from shared.site.notify import ChannelSpec, LadderSpec, NotifyFile

MIN = 60_000
STANDS = Seen(acked=False, active=True, gone=False)
ACKED = Seen(acked=True, active=True, gone=False)
BACK = Seen(acked=False, active=False, gone=False)
CLOSED = Seen(acked=True, active=False, gone=True)
UTC = ZoneInfo("UTC")


def ladder(**more: object) -> LadderSpec:
    steps = [{"after": f"{m}m" if m else 0, "notify": [f"s{m}"]} for m in (0, 5, 15)]
    return LadderSpec.model_validate({"id": "l", "steps": steps} | more)


def case() -> Case:
    return Case("c", "o", "a", "l", base=0, due=0)


def play(spec: LadderSpec, looks: list[tuple[int, Seen]]) -> tuple[Case, list[tuple[int, Telling]]]:
    now = case()
    told: list[tuple[int, Telling]] = []
    for at, seen in looks:
        now, new = advance(now, spec, seen, at)
        told += [(at, each) for each in new]
    return now, told


def brief(told: list[tuple[int, Telling]]) -> list[tuple[int, str, int]]:
    return [(at // MIN, each.kind, each.step) for at, each in told]


def test_steps_in_time_and_all_of_them_at_once_after_a_standstill() -> None:
    end, told = play(ladder(), [(m * MIN, STANDS) for m in range(20)])
    assert brief(told) == [(0, "alarm", 0), (5, "alarm", 1), (15, "alarm", 2)]
    assert (end.status, end.due) == ("running", None)
    _, told = play(ladder(), [(60 * MIN, STANDS), (61 * MIN, STANDS)])
    assert brief(told) == [(60, "alarm", 0), (60, "alarm", 1), (60, "alarm", 2)]


@pytest.mark.parametrize(
    ("more", "seen", "status", "why"),
    [
        ({}, ACKED, "ended", "acknowledged"),
        ({}, BACK, "ended", "returned"),
        ({}, CLOSED, "ended", "closed"),
        ({"stops": ["acknowledged"]}, BACK, "running", ""),
        ({"stops": ["returned"]}, ACKED, "running", ""),
        ({"ack_expires": "30m"}, ACKED, "acknowledged", "acknowledged"),
        ({"ack_expires": "30m"}, CLOSED, "ended", "closed"),
        ({"tell_end": True}, ACKED, "acknowledged", "acknowledged"),
    ],
)
def test_what_stops_it(more: dict[str, object], seen: Seen, status: str, why: str) -> None:
    end, told = play(ladder(**more), [(0, STANDS), (MIN, seen)])
    assert (end.status, end.why) == (status, why)
    assert brief(told) == [(0, "alarm", 0)]


def test_an_answer_that_expires_starts_the_ladder_again_and_leaves_the_alarm_alone() -> None:
    spec = ladder(ack_expires="30m")
    looks = [(0, STANDS), (MIN, ACKED), (20 * MIN, ACKED), (31 * MIN, ACKED), (36 * MIN, ACKED)]
    end, told = play(spec, looks)
    assert brief(told) == [(0, "alarm", 0), (31, "still_there", 0), (36, "alarm", 1)]
    assert end.ack_over
    answered, told_now = advance(replace(end, answered=True), spec, ACKED, 37 * MIN)
    assert (answered.status, told_now) == ("acknowledged", [])
    assert answered.due == 67 * MIN
    again, told_now = advance(answered, spec, ACKED, 67 * MIN)
    assert [each.kind for each in told_now] == ["still_there"]
    assert not again.answered


def test_reminders_repeats_and_the_end() -> None:
    _, told = play(ladder(nag="2m"), [(m * MIN, STANDS) for m in range(8)])
    assert brief(told) == [
        (0, "alarm", 0), (2, "reminder", 0), (4, "reminder", 0), (5, "alarm", 1),
        (7, "reminder", 1),
    ]  # fmt: skip
    spec = ladder(repeat={"times": 1, "every": "10m"}, tell_end=True)
    end, told = play(spec, [(m * MIN, STANDS) for m in range(45)] + [(45 * MIN, BACK)])
    assert brief(told) == [
        (0, "alarm", 0), (5, "alarm", 1), (15, "alarm", 2), (25, "alarm", 0), (30, "alarm", 1),
        (40, "alarm", 2), (45, "over", 2),
    ]  # fmt: skip
    assert end.status == "ended"


def test_a_step_that_reached_nobody_does_not_make_the_next_one_wait() -> None:
    first, _ = advance(case(), ladder(), STANDS, 0)
    second, told = advance(replace(first, unreached=True), ladder(), STANDS, 1000)
    assert [each.step for each in told] == [1]
    assert second.due == 15 * MIN


def test_a_ladder_taken_out_of_the_site_ends_its_cases() -> None:
    assert advance(case(), None, STANDS, 0)[0].why == "ladder_removed"


@given(
    pauses=st.lists(st.integers(0, 20 * MIN), min_size=1, max_size=30),
    nag=st.sampled_from([None, "3m"]), times=st.integers(0, 2),
)  # fmt: skip
def test_every_step_of_every_round_is_told_once_whenever_somebody_looks(
    pauses: list[int], nag: str | None, times: int
) -> None:
    spec = ladder(repeat={"times": times, "every": "10m"}, nag=nag)
    looks, now = [], 0
    for pause in [*pauses, *[20 * MIN] * (6 * (times + 1))]:
        now += pause
        looks.append((now, STANDS))
    end, told = play(spec, looks)
    steps = [(each.round, each.step) for _, each in told if each.kind == "alarm"]
    assert steps == [(r, s) for r in range(times + 1) for s in range(3)]
    assert [each.n for _, each in told] == list(range(len(told)))
    assert (end.due is None) == (nag is None)
    for at, each in told:
        if each.kind == "alarm" and each.round == 0:
            assert at >= spec.steps[each.step].after


@given(times=st.integers(0, 2), nag=st.sampled_from([None, "3m", "7m"]))
def test_whoever_looks_only_when_a_case_is_due_tells_everything_in_its_minute(
    times: int, nag: str | None
) -> None:
    """As the brain does: a `due` that comes late, or never, is a step that comes late, or never."""
    spec = ladder(repeat={"times": times, "every": "10m"}, nag=nag)
    now, told = case(), list[tuple[int, Telling]]()
    while now.due is not None and now.due <= 120 * MIN:
        at = now.due
        now, new = advance(now, spec, STANDS, at)
        assert new, "looked at for nothing"
        assert now.due is None or now.due > at
        told += [(at, each) for each in new]
    steps = [(at // MIN, each.step) for at, each in told if each.kind == "alarm"]
    # A round begins ten minutes after the last step of the one before, at 15 minutes of it.
    assert steps == [(r * 25 + m, n) for r in range(times + 1) for n, m in enumerate((0, 5, 15))]
    if nag is not None:
        pauses = [b[0] - a[0] for a, b in pairwise(told)]
        assert max(pauses) <= int(nag[:-1]) * MIN


def channel(kind: str = "log", **more: object) -> ChannelSpec:
    url = {} if kind == "log" else {"url": "x"}
    return ChannelSpec.model_validate({"kind": kind, **url, **more})


NIGHT = [{"from": "22:00", "to": "06:00"}]
NOON, MIDNIGHT = 43_200_000, 0


@pytest.mark.parametrize(
    ("kinds", "priority", "now", "first", "want", "until"),
    [
        ((), 3, NOON, 0, 0, None),
        ((), 3, MIDNIGHT, 0, 2, None),
        (("email",), 3, MIDNIGHT, 0, None, 6 * 3_600_000),
        (("email",), 1, MIDNIGHT, 0, 0, None),
        (("sms",), 2, MIDNIGHT, 0, 1, None),
        (("feishu",), 3, NOON, 0, 0, None),  # has none: not left out for it
        ((), 3, NOON, 2, 2, None),
        ((), 3, NOON, 3, None, None),
    ],
)
def test_the_channel_that_may_be_used(
    kinds: tuple[str, ...], priority: int, now: int, first: int, want: int | None, until: int | None
) -> None:
    channels = [
        channel("email", do_not_disturb=NIGHT),
        channel("sms", do_not_disturb=NIGHT, break_through_priority=2), channel(),
    ]  # fmt: skip
    found = choose(channels, kinds, priority, UTC, now, first)  # type: ignore[arg-type]
    assert (found.channel, found.quiet_until) == (want, until)


@given(
    priority=st.integers(1, 4), recent=st.integers(0, 40), quiet=st.booleans(),
    through=st.integers(0, 4),
)  # fmt: skip
def test_whatever_is_planned_goes_or_waits_for_a_reason_and_a_time(
    priority: int, recent: int, quiet: bool, through: int
) -> None:
    file, now = NotifyFile(), MIDNIGHT if quiet else NOON
    channels = [channel(do_not_disturb=NIGHT, break_through_priority=through)]
    planned = plan(choose(channels, (), priority, UTC, now), priority, recent, file, now)
    held = quiet and priority > through
    if priority == 1 and not held:
        assert planned.status == "queued"  # never gathered, whatever the flood
    assert (planned.status == "gathered") == (held or (priority > 1 and recent >= 10))
    if planned.status == "gathered":
        assert planned.due > now
        assert planned.reason == ("do_not_disturb" if held else "limit")


def test_a_channel_is_tried_again_by_its_schedule_then_no_more() -> None:
    assert [retry_at([5, 30], n, 100) for n in (1, 2, 3)] == [105, 130, None]


def test_a_ladder_made_shorter_by_a_reload_goes_on_from_its_last_step() -> None:
    stood = replace(case(), step=3, told=3, stepped_at=0, nag_at=10 * MIN)
    short = LadderSpec.model_validate(
        {"id": "l", "nag": "10m", "tell_end": True, "steps": [{"after": 0, "notify": ["s0"]}]}
    )
    _, reminded = advance(stood, short, STANDS, 11 * MIN)
    _, ended = advance(stood, short, BACK, 12 * MIN)
    assert [(each.kind, each.step) for each in (*reminded, *ended)] == [
        ("reminder", 0),
        ("over", 0),
    ]
