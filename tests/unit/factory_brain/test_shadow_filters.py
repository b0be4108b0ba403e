"""Filters in the shadow counting: only what the engineer allows and the edge has said it runs."""

from __future__ import annotations

import random
import struct
from array import array
from dataclasses import replace
from typing import Any, cast

import pytest

from factory_brain.application.fleet import FleetView
from factory_brain.application.shadow.nominating import permitted
from factory_brain.application.shadow.ports import Point
from factory_brain.application.shadow.questions import Questions
from factory_brain.application.shadow.tasks import ENGINEER, LIVE
from factory_brain.application.shadow.trial_work import tried
from factory_brain.application.shadow.trials import TrialWork
from factory_brain.application.shadow.work import count_day, grid_of
from factory_brain.domain.shadow import DAY_LEAD_MS, DAY_MS, LEAD_MS, Signal
from shared.alarm.definition import AlarmDefinition
from shared.alarm.episodes import episodes
from shared.alarm.grid import Grid
from shared.clock import ManualClock
from shared.messages.codec import decode, encode
from shared.messages.control import Health
from shared.messages.nominations import Nomination
from shared.messages.subjects import Node
from shared.paths import demo_sites
from shared.site.loader import load_site
from shared.site.model import EdgeSpec

SITE = load_site(demo_sites() / "f1")
PLAIN = SITE.alarms["FUR-01.TT-101.HI"]
WIDE = replace(PLAIN.bounds, filters=("mean5min", "day"), centre=PLAIN.setting.limit - 30)
HI = replace(PLAIN, bounds=WIDE)
POINT = Point(HI.edge, HI.id, "site", "worst", 0)
SINCE = 19_700 * DAY_MS


def _questions(runs: list[str] | None, definition: AlarmDefinition = HI) -> Questions:
    return Questions({definition.id: definition}, cast(Any, None), lambda edge: runs)


def _signal() -> Signal:
    """A day about the limit, with the day before it and a hole at noon."""
    dice = random.Random(5)
    times, values, value = array("q"), array("d"), HI.setting.limit
    for at in range(SINCE - DAY_LEAD_MS, SINCE + DAY_MS, 60_000):
        value += dice.gauss(0, 3) - 0.05 * (value - HI.setting.limit)
        if not 0 <= at - SINCE - DAY_MS // 2 < 1_200_000:
            times.append(at)
            values.append(value + (HI.setting.deadband + 3 if dice.random() < 0.05 else 0))
    return Signal(SINCE, SINCE + DAY_MS, times, values, 1440, 1.0)


@pytest.mark.parametrize(
    ("runs", "filters"),
    [
        (["mean5min", "day"], ("raw", "mean5min", "day")),
        (["mean5min"], ("raw", "mean5min")),
        ([], ("raw",)),  # an edge of before says nothing
        (None, ("raw",)),
    ],
)
def test_only_what_the_edge_runs_is_counted(
    runs: list[str] | None, filters: tuple[str, ...]
) -> None:
    assert grid_of(_questions(runs).of(POINT, {}), 3.0).filters == filters


def test_what_was_counted_goes_on_while_the_edge_is_not_heard() -> None:
    """A brain that has just started must not begin the counts anew."""
    for runs in (["mean5min", "day"], []):
        heard = _questions(runs)
        made = grid_of(heard.of(POINT, {}), 3.0).to_dict()
        kept = replace(POINT, grid=made, base=heard.base(POINT))
        assert heard.of(kept, {}).grid == made
        silent = _questions(None)
        assert silent.of(kept, {}).grid == made
        assert silent.base(kept) == kept.base
    assert heard.of(replace(POINT, grid=made, base=_questions(["day"]).base(POINT)), {}).grid == {}
    assert (heard.lead(POINT), _questions([], PLAIN).lead(POINT)) == (DAY_LEAD_MS, LEAD_MS)


def test_every_filtered_candidate_is_counted_as_it_would_have_run() -> None:
    """With the engineer's limit on samples where the window is not known, as at the edge."""
    asked, signal = _questions(["mean5min", "day"]).of(POINT, {}), _signal()
    live = replace(HI.setting, filter="mean5min", on_delay_ms=60_000)
    asked = replace(asked, named={ENGINEER: HI.setting, LIVE: live})
    [found] = count_day(signal, [asked])
    grid = Grid.from_dict(found.grid)
    assert (grid.fallback, grid.centre) == (HI.setting, HI.centre)
    counts = struct.unpack(f"<{len(grid)}i", found.activations)

    def told(setting: Any) -> list[int]:
        every = episodes(
            signal.times, signal.values, setting, grid.side, None, HI.centre, signal.until,
            HI.fallback,
        )  # fmt: skip
        return [began for began, _ in every if began >= SINCE]

    for index in range(0, len(grid), 37):
        assert counts[index] == len(told(grid.setting(index))), grid.setting(index)
    assert found.named[LIVE][0] == len(told(live)) < found.named[ENGINEER][0]
    work = TrialWork(grid.side, HI.setting, live, (), HI.centre, HI.fallback)
    assert tried(signal, work).after >= len(told(live)) > 0


def test_a_nominated_grid_may_hold_what_the_engineer_allows() -> None:
    wide = Grid(HI.side or "HI", (1230.0,), filters=("raw", "day"))
    item = Nomination(alarm=HI.id, reason="trial", grid=wide.to_dict())
    assert permitted({HI.id: HI}, HI.edge, [item], 10) == [item]
    assert permitted({HI.id: PLAIN}, HI.edge, [item], 10) == []


async def test_an_edge_says_in_its_heartbeat_what_it_runs() -> None:
    edge = EdgeSpec.model_validate({"id": "e1", "name": {"zh": "边", "en": "Edge"}})
    fleet, node = FleetView("f1", [edge], ManualClock()), Node("f1", "e1")
    assert fleet.filters("e1") is None
    beat = {"source": node.source, "epoch": "e", "boot": "b", "mono": 1, "at": 1}
    await fleet.on_health(node.health, encode(decode(encode(beat), Health)))
    assert fleet.filters("e1") == []
    await fleet.on_health(node.health, encode({**beat, "filters": ["mean5min", "day"]}))
    assert fleet.filters("e1") == ["mean5min", "day"]


def test_an_infinite_sample_is_no_part_of_what_is_usual() -> None:
    """It is counted as the alarm that it is; a sigma of it would be no number."""
    values = array("d", [1.0, float("inf"), 3.0, float("-inf"), 1e300])
    times = array("q", range(SINCE, SINCE + 5))
    assert Signal(SINCE, SINCE + DAY_MS, times, values, 5, 1.0).spread() == (2.0, 1.0)
