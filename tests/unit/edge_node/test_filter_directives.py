"""A filter that comes down: through the factory's relay, into force, over a restart, and back."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from edge_node.domain.alarm_book import AlarmBook
from group_cloud.application.rollouts import alarm_setting
from shared.alarm.filters import Filter
from shared.alarm.point import Setting
from shared.messages.directives import FILTERED, PLAIN, AlarmSetting, read, schema_of
from tests.support.directive_bench import HI, HIHI, Bench, new, order, sealed
from tests.support.rollout_world import SITES


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A site whose engineer allows the mean of 5 min for one alarm."""
    definition = SITES["f1"].alarms[HI]
    allowed = replace(definition.bounds, filters=("mean5min",))
    monkeypatch.setitem(SITES["f1"].alarms, HI, replace(definition, bounds=allowed))
    return Bench()


def _mean() -> AlarmSetting:
    return msgspec.structs.replace(new(), filter="mean5min")


def _runs(bench: Bench) -> tuple[Filter, float]:
    setting = bench.edge.book.units[HI].definition.setting
    return setting.filter, setting.limit


async def test_a_filter_is_taken_kept_and_taken_back(bench: Bench) -> None:
    data = sealed(order(_mean(), schema=FILTERED))
    assert await bench.from_group(data) == ""
    await bench.edge.look()
    assert bench.edge.reports[-1].status == "applied"
    assert _runs(bench) == ("mean5min", 1236.0)
    unit = bench.edge.book.units[HI]
    assert unit.definition.fallback.limit == 1230.0, "the engineer's own limit, on raw samples"
    bench.edge.start()
    assert _runs(bench) == ("mean5min", 1236.0)
    assert bench.edge.book.units[HI].definition.fallback.limit == 1230.0
    back = order(new(limit=1230.0), kind="rollback", counter=2, id="d-2")
    assert schema_of(back.settings) == PLAIN
    assert await bench.at_edge(sealed(back)) == ""
    assert _runs(bench) == ("raw", 1230.0)


@pytest.mark.parametrize(
    ("alarm", "filter", "schema", "relay", "edge"),
    [
        (HI, "day", FILTERED, "filter_not_allowed", "out_of_bounds"),
        (HI, "median", FILTERED, "not_tunable", "bad_value"),
        (HI, "mean5min", PLAIN, "unknown_schema", "unknown_kind"),
        (HIHI, "mean5min", FILTERED, "safety_point", "locked"),
    ],
)
async def test_no_other_filter_gets_through_at_relay_or_edge(
    bench: Bench, alarm: str, filter: str, schema: str, relay: str, edge: str
) -> None:
    setting = msgspec.structs.replace(_mean(), alarm=alarm, filter=filter)
    data = sealed(order(setting, schema=schema))
    assert await bench.from_group(data) == relay
    assert not bench.passed_on
    assert await bench.at_edge(data) == edge
    assert bench.untouched


def _site_says(monkeypatch: pytest.MonkeyPatch, filter: Filter, centre: float) -> None:
    definition = SITES["f1"].alarms[HI]
    bounds = replace(definition.bounds, filters=("day",), centre=centre)
    setting = replace(definition.setting, filter=filter)
    monkeypatch.setitem(SITES["f1"].alarms, HI, replace(definition, bounds=bounds, setting=setting))


async def test_a_day_is_tuned_no_more_when_its_normal_value_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1236 around 1200 is a deviation of 36; around 1190 it would be one of 46, unsaid."""
    _site_says(monkeypatch, "raw", 1200.0)
    bench = Bench()
    day = msgspec.structs.replace(new(), filter="day", centre=1200.0)
    assert await bench.from_group(sealed(order(day, schema=FILTERED))) == ""
    await bench.edge.look()
    bench.edge.start()
    assert _runs(bench) == ("day", 1236.0)
    reloaded = AlarmBook([SITES["f1"].alarms[HI]], str)
    assert list(bench.edge.handler.prepare(reloaded).kept) == [HI]
    _site_says(monkeypatch, "raw", 1190.0)
    reloaded = AlarmBook([SITES["f1"].alarms[HI]], str)
    assert not bench.edge.handler.prepare(reloaded).kept
    bench.edge.start()
    assert _runs(bench) == ("raw", 1230.0)


async def test_a_day_around_another_normal_value_gets_through_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _site_says(monkeypatch, "raw", 1190.0)
    bench = Bench()
    day = msgspec.structs.replace(new(), filter="day", centre=1200.0)
    data = sealed(order(day, schema=FILTERED))
    assert await bench.from_group(data) == "filter_not_allowed"
    assert await bench.at_edge(data) == "out_of_bounds"
    assert bench.untouched


async def test_brain_and_edge_judge_raw_samples_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engineer's own filter is turned off by nobody else."""
    _site_says(monkeypatch, "mean5min", 1200.0)
    bench = Bench()
    assert await bench.from_group(sealed(order(new()))) == "filter_not_allowed"
    assert await bench.at_edge(sealed(order(new()))) == "out_of_bounds"
    assert bench.untouched


async def test_an_edge_of_before_refuses_the_whole_of_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a one knows one schema, and reads no field that it does not know."""
    monkeypatch.setattr(
        "edge_node.domain.settings_gate.known_schema", lambda directive: directive.schema == PLAIN
    )
    assert await bench.at_edge(sealed(order(_mean(), schema=FILTERED))) == "unknown_kind"
    assert bench.untouched


def test_the_group_says_by_the_schema_that_a_filter_comes() -> None:
    plain, mean = Setting(1.0, 2.0, 3_000, 4_000), Setting(1.0, filter="mean5min")
    sent = [alarm_setting("A", plain), alarm_setting("B", mean)]
    assert [each.filter for each in sent] == ["", "mean5min"]
    assert (schema_of(sent[:1]), schema_of(sent)) == (PLAIN, FILTERED)
    old = msgspec.msgpack.encode({**msgspec.to_builtins(order(new()))})
    assert read(old).settings[0].filter == ""
