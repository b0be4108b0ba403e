"""Limits held against filtered signals at the edge: live the same as counted, and never blind."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from struct import pack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.application.filter_fill import MOST_TRIES, FilterFill
from edge_node.application.records import setting_of, setting_row
from edge_node.domain.conditions.limits import in_kernel
from edge_node.domain.settings_gate import within
from edge_node.kernel.history import Curve
from shared.alarm.definition import AlarmDefinition, Bounds
from shared.alarm.episodes import episodes
from shared.alarm.filters import DAY_MS, Filter
from shared.alarm.point import Setting
from tests.support.edge_script import START, Script, limit

CENTRE = 0.5
BOUNDS = Bounds(-9, 9, 600_000, 900_000, 5.0, filters=("mean5min", "day"), centre=CENTRE)


def _alarm(
    side: str, setting: Setting, engineer: Setting, bounds: Bounds = BOUNDS
) -> AlarmDefinition:
    plain = limit("T.X", "T", side, engineer.limit, bounds=bounds)
    return replace(plain, setting=engineer).with_setting(setting, 2)


def _told(script: Script) -> list[tuple[int, int | None]]:
    found: list[tuple[int, int | None]] = []
    for _, kind, at in script.told():
        if kind == "raised":
            found.append((START + round(at * 1000), None))
        elif kind == "returned":
            found[-1] = (found[-1][0], START + round(at * 1000))
    return found


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    kind=st.sampled_from(["raw", "mean5min"]),
    side=st.sampled_from(["HI", "LO"]),
    every=st.sampled_from([4_000, 30_000, 70_000]),
    setting=st.builds(
        Setting, st.sampled_from([-0.5, 0.5, 1.5]), st.sampled_from([0.0, 0.7]),
        st.sampled_from([0, 20_000, 120_000]), st.sampled_from([0, 90_000]),
    ),
    engineer=st.builds(
        Setting, st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 0.4]),
        st.sampled_from([0, 40_000]), st.sampled_from([0, 200_000]),
    ),
)  # fmt: skip
def test_what_runs_live_is_what_is_counted(
    seed: int, kind: Filter, side: str, every: int, setting: Setting, engineer: Setting
) -> None:
    """Irregular samples, bad ones, a hole in the middle: the same episodes to the millisecond."""
    random = np.random.default_rng(seed)
    steps = random.integers(1, 2 * every, 90)
    steps[45] += 400_000
    values = random.normal(size=90).cumsum() * 0.3 + random.normal(size=90)
    grades = (random.random(90) < 0.1) * 2
    setting = replace(setting, filter=kind)
    definition = _alarm(side, setting, engineer)
    assert not in_kernel(definition)
    script = Script(["T"], [definition])
    times = (START + np.cumsum(steps)).tolist()
    for at, value, grade in zip(times, values.tolist(), grades.tolist(), strict=True):
        script.at((at - START) / 1000).sample("T", value, grade)
    script.at((times[-1] - START) / 1000 + 60)
    good = np.flatnonzero(grades == 0)
    assert _told(script) == episodes(
        [times[i] for i in good], values[good].tolist(), setting, definition.side or "HI", None,
        CENTRE, times[-1] + 60_000, engineer,
    )  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    band=st.sampled_from([0.0, 0.8]),
    on=st.sampled_from([0, 9_000]),
    off=st.sampled_from([0, 15_000]),
)
def test_a_raw_limit_that_may_be_filtered_is_the_kernels_limit(
    seed: int, band: float, on: int, off: int
) -> None:
    """Where a filter is only allowed, nothing is told that the kernel would not tell."""
    setting = Setting(0.5, band, on, off)
    plain = _alarm("HI", setting, setting, Bounds(-9, 9, 600_000, 900_000, 5.0))
    allowed = replace(_alarm("HI", setting, setting), id="T.Y")
    assert in_kernel(plain)
    script = Script(["T"], [plain, allowed])
    for step, value in enumerate(np.random.default_rng(seed).normal(size=80).tolist()):
        script.at(step * 4).sample("T", value, 2 if step % 11 == 3 else 0)
    script.at(400)
    told = script.told()
    assert [each[1:] for each in told if each[0] == "T.X"] == [
        each[1:] for each in told if each[0] == "T.Y"
    ]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1 << 32), on=st.sampled_from([0, 9_000]))
def test_limits_of_one_tag_still_end_in_reverse(seed: int, on: int) -> None:
    """What hides another ends after it: no alarm comes out of hiding only to return at once."""
    bare = Bounds(-9, 9, 600_000, 900_000, 5.0)

    def told(bounds: Bounds) -> list[tuple[str, str, float]]:
        high = _alarm("HI", Setting(0.5, 0.1, on), Setting(0.5, 0.1, on), bounds)
        hidden = replace(high, suppressed_by=("T.XX",))
        highest = replace(_alarm("HIHI", Setting(1.0), Setting(1.0), bare), id="T.XX")
        script = Script(["T"], [highest, hidden])
        for step, value in enumerate(np.random.default_rng(seed).normal(size=60).tolist()):
            script.at(step * 4).sample("T", value)
        return script.told()

    assert told(BOUNDS) == told(bare)


def test_until_it_is_filled_the_engineers_limit_stands_for_samples() -> None:
    """A directive's mean of 5 min does not blind the point for its first five minutes."""
    definition = _alarm("HI", Setting(50.0, filter="mean5min"), Setting(10.0, 1.0))
    script = Script(["T"], [definition])
    unit = script.book.units["T.X"]
    script.at(1).sample("T", 20)
    assert (unit.filling, unit.running) == (True, Setting(10.0, 1.0))
    for second in range(2, 302):
        script.at(second).sample("T", 20)
    # Filled: a mean of 20 is within the limit of 50, and the raise of the samples ends.
    assert (unit.filling, unit.running.limit) == (False, 50.0)
    script.want(("T.X", "raised", 1), ("T.X", "returned", 301))


def test_a_filter_that_is_allowed_is_kept_full_and_a_directive_finds_it_so() -> None:
    """The change of the setting costs no time of filling; its rollback neither."""
    raw = Setting(10.0)
    script = Script(["T"], [_alarm("HI", raw, raw)])
    for second in range(400):
        script.at(second).sample("T", 5 if second % 20 else 30)
    chattering = len(script.told())
    assert chattering == 2 * 20
    unit = script.book.units["T.X"]
    script.at(401).sample("T", 5)
    assert script.book.set_setting(unit, replace(raw, filter="mean5min"), 3)
    script.log += script.pipeline.settle()
    assert not unit.filling
    for second in range(402, 600):
        script.at(second).sample("T", 5 if second % 20 else 30)
    assert len(script.told()) == chattering, "the mean of 5 min stays at 6"
    assert script.book.set_setting(unit, raw, 4)
    script.at(600).sample("T", 30)
    assert script.told()[-1] == ("T.X", "raised", 600)


def test_a_standing_alarm_keeps_its_setting_and_filter_over_a_restart() -> None:
    """What is stored of a setting says its filter; of raw ones it is what it always was."""
    assert setting_row(Setting(1.0, 2.0, 3, 4)) == [1.0, 2.0, 3, 4]
    held = Setting(1.0, 2.0, 3, 4, "day")
    assert setting_of(setting_row(held)) == held
    assert setting_of([1.0, 2.0, 3, 4]) == Setting(1.0, 2.0, 3, 4)


@pytest.mark.parametrize(
    ("bounds", "more", "wanted", "fits"),
    [
        (BOUNDS, {}, "mean5min", True),
        (BOUNDS, {}, "day", True),
        (BOUNDS, {}, "raw", True),
        (replace(BOUNDS, filters=("day",)), {}, "mean5min", False),
        (replace(BOUNDS, filters=()), {}, "day", False),
        (replace(BOUNDS, locked=True), {}, "mean5min", False),
        (BOUNDS, {"safety": True}, "mean5min", False),
    ],
)
def test_the_plants_bounds_outrank_a_filter(
    bounds: Bounds, more: dict[str, bool], wanted: Filter, fits: bool
) -> None:
    """Only what the engineer allows; safety alarms and locked points stay on raw samples."""
    definition = replace(limit("T.X", "T", "HI", 1.0, bounds=bounds), **more)
    setting = replace(definition.setting, filter=wanted)
    refusal = within(definition, setting, definition.setting)
    assert (refusal is None) == fits
    own = replace(definition, setting=replace(definition.setting, filter="mean5min"))
    if fits and wanted == "raw":  # the engineer's own filter is turned off by nobody else
        assert within(own, own.setting.on_raw, own.setting) is not None
        also = replace(own, bounds=replace(bounds, filters=("raw",)))
        assert within(also, own.setting.on_raw, own.setting) is None


class _Past:
    """A history of one tag by the minute; its first hours are lost."""

    def __init__(self, began: int) -> None:
        self.began, self.reads = began, 0

    async def read(self, tags: list[str], since: int, until: int) -> dict[str, Curve]:
        self.reads += 1
        times = range(max(self.began, -(-since // 60_000) * 60_000), until + 1, 60_000)
        values = [float(at // 60_000 % 5) for at in times]
        columns = pack(f"<{len(times)}q", *times), pack(f"<{len(times)}d", *values)
        return {tag: (*columns, bytes(len(times))) for tag in tags}


def test_history_fills_a_day_after_a_restart() -> None:
    """Once, when the first piece of time is whole; what history has lost stays unknown."""
    setting = Setting(4.0, filter="day")
    for lost, filled in ((0, True), (20 * 3_600_000, False)):
        script = Script(["T"], [_alarm("HI", setting, setting)])
        [(_, condition)] = script.pipeline.filtered()
        past = _Past(START - DAY_MS - 3_600_000 + lost)
        fill = FilterFill(script.pipeline.filtered, past, 0)
        for minute in range(12):
            script.at(minute * 60).sample("T", 2.0)
            asyncio.run(fill.round())
        assert condition.filters["day"].filled == filled
        assert script.book.units["T.X"].filling != filled
        assert fill.filled == 1
        assert past.reads == 25


def test_alarms_of_one_source_are_filled_by_one_pass() -> None:
    """Two limits of one tag and one of another cost no more reads than one; all know the same."""
    setting = Setting(4.0, filter="day")
    one = _alarm("HI", setting, setting)
    script = Script(["T", "U"], [one, replace(one, id="T.Y"), replace(one, id="U.X", tag="U")])
    conditions = [each for _, each in script.pipeline.filtered()]
    past = _Past(START - DAY_MS - 3_600_000)
    fill = FilterFill(script.pipeline.filtered, past, 0)
    for minute in range(12):
        script.at(minute * 60).sample("T", 2.0).sample("U", 2.0)
        asyncio.run(fill.round())
    assert [each.filters["day"].filled for each in conditions] == [True] * 3
    assert len({each.filters["day"].seen(2.0) for each in conditions}) == 1
    assert (fill.filled, past.reads) == (3, 25)


def test_a_history_that_fails_is_asked_again_and_not_for_ever() -> None:
    """Whatever goes wrong in one read, other alarms are filled, and the service goes on."""

    class _Broken(_Past):
        async def read(self, tags: list[str], since: int, until: int) -> dict[str, Curve]:
            found = await super().read(tags, since, until)
            if "T" in tags:
                raise ValueError("a page of the disk is torn")
            return found

    setting = Setting(4.0, filter="day")
    one = _alarm("HI", setting, setting)
    script = Script(["T", "U"], [one, replace(one, id="U.X", tag="U")])
    past = _Broken(START - DAY_MS - 3_600_000)
    fill = FilterFill(script.pipeline.filtered, past, 0)
    script.sample("T", 2.0).sample("U", 2.0).at(600).sample("T", 2.0).sample("U", 2.0)
    script.at(620).sample("T", 2.0).sample("U", 2.0)
    for _ in range(20):
        asyncio.run(fill.round())
    filled = {unit.id: each.filters["day"].filled for unit, each in script.pipeline.filtered()}
    assert filled == {"T.X": False, "U.X": True}
    assert past.reads == MOST_TRIES + 25


def test_a_number_that_is_none_says_so() -> None:
    """A text or a sample that is not a number holds the state, filtered or not."""
    definition = _alarm("HI", Setting(1.0, filter="mean5min"), Setting(1.0))
    script = Script(["T"], [definition])
    script.at(1).sample("T", 5).at(2).sample("T", math.nan).at(3).sample("T", 0, 2)
    script.want(("T.X", "raised", 1))
    assert script.book.units["T.X"].unknown == "tag_bad"
