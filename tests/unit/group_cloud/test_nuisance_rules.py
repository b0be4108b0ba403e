"""Rules of nuisance and drift: what is worth shelving, what stood, and what nobody has told."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

import pytest

from group_cloud.adapters.learners import NuisanceLearner, watch_drift
from group_cloud.application.histories import Histories, Question
from group_cloud.application.kept_state import UnreadableStateError, each_alone
from group_cloud.application.notices.ports import Fed, Site
from group_cloud.application.notices.watching import DAY_MS, DriftWatching, rates
from group_cloud.application.nuisance.features import WEEK_MS, Week
from group_cloud.application.nuisance.ports import Raised, Spot
from group_cloud.domain import shelving
from group_cloud.domain.evidence import Point
from group_cloud.learning import nuisance
from group_cloud.learning.nuisance import NuisanceRanker, Occurrence
from shared.alarm.point import Setting
from shared.clock import ManualClock
from shared.errors import RetryableTransportError
from shared.telemetry import logger

NOW = 20_000 * DAY_MS
SPOT = Spot("A.HI", "e1", 4, True, 900, 800, None, 50, 50, None)


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({}, True),
        ({"newest_nuisance": 44}, False),
        ({"newest": 19, "newest_nuisance": 19}, False),
        ({"true_said_at": NOW - shelving.TRUE_MS + 1}, False),
        ({"true_said_at": NOW - shelving.TRUE_MS}, True),
        ({"nuisance": 0}, True),
    ],
)
def test_shelving_is_worth_a_thought_by_the_newest_verdicts(
    change: dict[str, Any], asked: bool
) -> None:
    assert shelving.worth(replace(SPOT, **change), NOW) is asked
    assert shelving.kind_of(replace(SPOT, priority=2)) == "review"
    assert shelving.kind_of(replace(SPOT, tunable=False)) == "review"


def test_the_ranker_judges_a_point_by_its_newest_labels() -> None:
    same = (nuisance.FEWEST, nuisance.SHARE, nuisance.NEWEST)
    assert same == (shelving.FEWEST, shelving.SHARE, shelving.NEWEST)
    ranker = NuisanceRanker()
    x = Occurrence("o", "P", 10.0, 1, 1, 0, 0, 0, 1.0)
    for _ in range(300):
        ranker.learn_one(x, True)
    assert [p.labels for p in ranker.propose()] == [50]
    for _ in range(6):
        ranker.learn_one(x, False)
    assert ranker.propose() == []
    assert NuisanceRanker.restore(ranker.snapshot()).snapshot() == ranker.snapshot()


def test_what_stood_is_what_counting_one_by_one_says() -> None:
    dice = random.Random(7)
    raised = []
    for n in range(600):
        at = NOW + dice.randrange(30 * DAY_MS // 1000) * 1000
        stood = dice.choice((-1, 0, 1, 60_000, DAY_MS, 9 * DAY_MS, 20 * DAY_MS))
        back = dice.choice((0, at + stood)) if stood >= 0 else at - 5
        raised.append(Raised(f"o{n}", f"A{n % 9}", at, back))
    week = Week(raised)
    times = [e.raised_at for e in raised] + [max(e.returned_at, NOW) for e in raised]
    for at in (*times, *(t + 1 for t in times)):
        mine = [e for e in raised if at - WEEK_MS <= e.raised_at < at]
        counted = sum(not 0 < e.returned_at <= at for e in mine)
        assert week.seen("", "A0", at).standing == counted


def test_eight_hundred_points_are_looked_up_in_well_under_a_second_each_hundred() -> None:
    raised = [
        Raised(f"o{n}", f"A{n % 800}", NOW + n * 60_000, NOW + n * 60_000 + 30_000)
        for n in range(20_000)
    ]
    week, end = Week(raised), NOW + 20_000 * 60_000
    begun = time.process_time()
    for n in range(100):
        assert len(week.newest(f"A{n}", 20, end)) == 20
    # Counting a week one by one takes about one second.
    assert time.process_time() - begun < 0.5


def test_a_day_that_an_edge_has_not_told_is_no_zero() -> None:
    raised = {("A", 10): 5, ("B", 10): 3, ("A", 11): 5}
    edges = {"A": "e1", "B": "e2"}
    told = rates(range(10, 12), 12, ["A", "B"], raised, {"A": 1, "B": 1}, {}, edges, {"e2": 10})
    assert told == [
        Fed("alarms", "", 10, 8.0), Fed("alarms", "A", 10, 5.0), Fed("alarms", "B", 10, 3.0),
        Fed("alarms", "A", 11, 5.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("told", "site", "whole", "last"),
    [
        (NOW, {}, -1, -1),
        (NOW - 10 * DAY_MS, {}, -11, -8),
        (None, {"reported": NOW - 10 * DAY_MS}, -11, -8),
        (NOW, {"edges_told": {"e1": NOW - 3 * DAY_MS}}, -4, -4),
        (NOW, {"edges_told": {"e1": NOW - 9 * DAY_MS}}, -1, -1),
        (NOW, {"edges_told": {"e1": NOW - 9 * DAY_MS, "e2": NOW - 2 * DAY_MS}}, -3, -3),
    ],
)
def test_what_was_heard_is_fed_and_what_was_not_is_passed_over(
    told: int | None, site: dict[str, Any], whole: int, last: int
) -> None:
    """After a restart it is the newest report that says when a factory was heard."""
    nothing: Any = None
    clock = ManualClock(NOW + 2 * 3_600_000)
    watching = DriftWatching(nothing, nothing, nothing, clock, watch_drift, lambda _: told)
    shift = {"edges_told": {e: t + 7_200_000 for e, t in site.get("edges_told", {}).items()}}
    heard = site.get("reported")
    here = Site("f1", 1, heard and heard + 7_200_000, **shift)
    watching._told_until = lambda _: told and told + 7_200_000
    assert watching._closed(here, "rates") == (20_000 + whole, 20_000 + last)
    watching._told_until = lambda _: None
    assert watching._closed(Site("f1", 1), "rates") is None, "nobody knows anything of it"


@pytest.mark.parametrize("data", [{"schema": "x"}, {"schema": "drift-watch/v2"}, {"body": "%"}])
def test_a_broken_state_is_told_as_one(data: dict[str, Any]) -> None:
    with pytest.raises(UnreadableStateError):
        watch_drift(data, [])
    with pytest.raises(UnreadableStateError):
        NuisanceLearner().learn(data | {"schema": "nuisance-ranker/v1"}, [])


async def test_what_one_factory_breaks_holds_up_no_other() -> None:
    done = []

    async def act(site: str) -> None:
        if site == "bad":
            raise KeyError(site)
        done.append(site)

    assert await each_alone(["a", "bad", "b"], act, logger("test"), "failed") == 1
    assert done == ["a", "b"]


class _Tries:
    """One question of a factory that is not among those asked lately."""

    async def sites(self, since: int) -> list[str]:
        return ["gone"]

    async def open(self, since: int) -> list[Question]:
        return [Question("try-1", Point("late", "e1", "A"), Setting(1.0), Setting(2.0))]


class _Rows:
    async def open(self) -> list[Question]:
        return [
            Question(f"p-{site}", Point(site, "e1", "A"), Setting(1.0), Setting(2.0))
            for site in ("a", "b")
        ]

    async def known(self) -> dict[str, Any]:
        return {}


class _Bus:
    """No way to one factory."""

    def __init__(self) -> None:
        self.put: list[str] = []

    async def ensure_bucket(self, bucket: str) -> None:
        if "a." in bucket or "_a_" in bucket or bucket.split("-")[-1] == "a":
            raise RetryableTransportError("no answer")

    async def bucket_put(self, bucket: str, key: str, value: bytes) -> None:
        self.put.append(bucket)

    async def publish(self, subject: str, data: bytes) -> None:
        return


async def test_histories_are_asked_of_the_others_when_one_factory_cannot_be_asked() -> None:
    bus: Any = _Bus()
    rows: Any = _Rows()
    made = Histories(rows, bus, ManualClock(NOW), lambda payload: b"", lambda scope: rows.known())
    await made.ask()
    assert len(bus.put) == 1


async def test_a_try_of_a_factory_that_was_not_asked_lately_is_asked() -> None:
    bus: Any = _Bus()
    rows: Any = _Rows()
    made = Histories(rows, bus, ManualClock(NOW), lambda payload: b"", lambda scope: rows.known())
    tries: Any = _Tries()
    made.tries = tries
    await made.ask()
    assert len(bus.put) == 2
