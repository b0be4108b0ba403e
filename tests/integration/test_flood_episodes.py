"""What becomes an episode of the memory of floods on a real store: once, and never a drill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from group_cloud.adapters.postgres.flood_store import FloodStore
from group_cloud.application.floods.learning import FloodLearning
from group_cloud.application.floods.ports import Answer
from shared.messages.bodies import PlaybookOutcome
from tests.support.flood_world import MINUTE, PATTERNS, Told, alarms, points, record
from tests.support.total_world import Teller, Total, running_total

pytest_plugins = ("tests.support.total_fixtures",)
VALVE = PATTERNS["valve"]


@dataclass
class Plant:
    """One factory that tells the group of a flood, and tells it otherwise later."""

    total: Total
    site: str

    def __post_init__(self) -> None:
        self.rows = FloodStore(self.total.pool)
        self.learning = FloodLearning(self.rows, self.total.records, self.total.clock)
        self.teller = Teller(self.total, self.site)
        self.at = self.total.clock.now_ms() - 400 * MINUTE
        self.told = alarms(self.site, f"{self.site}-1", self.at, VALVE, 1)

    async def say(self, *told: Told) -> None:
        await self.teller.say(*told)
        await self.learning.take_up()

    async def close(self, revision: int, **more: Any) -> None:
        usual: dict[str, Any] = {
            "status": "closed", "cause": "valve", "outcome": "true",
            "closed_at": self.at + 90 * MINUTE,
        }  # fmt: skip
        await self.say(
            record(self.site, f"{self.site}-1", self.at, self.told, revision=revision,
                   **{**usual, **more})
        )  # fmt: skip

    async def episodes(self) -> list[tuple[str, int, float]]:
        found = await self.rows.episodes("default")
        return [(e.cause, len(e.alarms), e.took_min) for e in found if e.site == self.site]


@pytest.fixture
async def total(total_url: str) -> AsyncIterator[Total]:
    async with running_total(total_url) as made:
        yield made


async def test_a_flood_is_remembered_once_by_its_newest_revision(total: Total) -> None:
    plant = Plant(total, "ep1")
    await plant.say((1, points("ep1")), *plant.told[:8])
    await plant.say(record("ep1", "ep1-1", plant.at, plant.told, revision=1))
    assert await plant.episodes() == []
    await plant.close(3)
    assert await plant.episodes() == [("valve", 4, 90.0)]
    await plant.close(2, cause="pump")  # overtaken on its way
    assert await plant.episodes() == [("valve", 4, 90.0)]
    # What an edge kept while it was cut off comes late, and the incident is another one with it.
    await plant.say(*plant.told[8:])
    await plant.close(4, cause="pump", closed_at=plant.at + 120 * MINUTE)
    assert await plant.episodes() == [("pump", 8, 120.0)]
    await plant.close(5, status="open", cause="", outcome="")
    assert await plant.episodes() == []
    await plant.close(6, outcome="drill")
    assert await plant.episodes() == []
    await plant.close(7, flood=False)
    assert await plant.episodes() == []
    await plant.close(8)
    assert await plant.episodes() == [("valve", 8, 90.0)]
    assert await plant.learning.take_up() == 0


async def test_a_flood_of_a_drill_is_not_learnt(total: Total) -> None:
    plant = Plant(total, "ep2")
    run = PlaybookOutcome(
        run="ep2-run", playbook="mend", version=1, alarm="", occurrence="", status="success",
        success=True, ended_at=plant.at, drill=True,
    )  # fmt: skip
    await plant.say((1, points("ep2")), *plant.told, (plant.at, run))
    await plant.close(1, runs=["ep2-run"])
    assert await plant.episodes() == []
    await plant.close(2)
    assert len(await plant.episodes()) == 1


async def test_one_factorys_impossible_times_stop_nobody(total: Total) -> None:
    mad, sane = Plant(total, "ep5"), Plant(total, "ep6")
    for n, at in enumerate((-5, 0, (1 << 63) - 1)):
        name = f"ep5-{n}"
        beyond = [replace_times(each, at) for each in alarms("ep5", name, mad.at, VALVE, n)]
        closed = record("ep5", name, at, beyond, status="closed", cause="valve", outcome="true")
        await mad.say(*((1, body) for _, body in [*beyond, closed]))
    # A return beyond what a database holds, and returns from before the alarms were raised.
    for n, back in enumerate(((1 << 63) + 5, (1 << 53), mad.at - MINUTE)):
        name = f"ep5-back-{n}"
        told = [
            (at, msgspec.structs.replace(body, returned_at=mad.at - MINUTE))  # type: ignore[type-var]
            for at, body in alarms("ep5", name, mad.at, VALVE, n)
        ]
        closed = {"status": "closed", "cause": "valve", "outcome": "true", "returned_at": back}
        await mad.say(*told, record("ep5", name, mad.at, told, closed_at=mad.at, **closed))
    await sane.say((1, points("ep6")), *sane.told)
    await sane.close(1)
    found = [e for e in await mad.rows.episodes("default") if e.site == "ep5"]
    assert [e.took_min for e in found] == [0.0] * 3
    assert all(back >= at for e in found for _, at, back in e.alarms if back is not None)
    assert len(await sane.episodes()) == 1


def replace_times(told: Told, at: int) -> Told:
    return at, msgspec.structs.replace(told[1], raised_at=at, returned_at=at)  # type: ignore[type-var]


async def test_points_are_those_of_the_process_and_the_time_that_was_looked_at(
    total: Total,
) -> None:
    plant = Plant(total, "ep3")
    aside = points("ep3", named="aside")
    for place in aside.points.values():
        place[2] = "OTHER-LINE"
    both = points("ep3")
    both.points.update(aside.points)
    both.kinds.update(aside.kinds)
    elsewhere = alarms("aside", "ep3-x", plant.at, PATTERNS["pump"], 2)
    await plant.say((1, both), *plant.told, *elsewhere)
    await plant.say(record("ep3", "ep3-1", plant.at, plant.told, revision=1))
    found = await plant.rows.happened("ep3", "ep3-1", plant.at, 180.0)
    assert [point for point, _, _ in found] == [f"reactor/tag{n}/limit/HI" for n in VALVE]
    assert found[0][1] == 0.0
    early = await plant.rows.happened("ep3", "ep3-1", plant.at, 10.0)
    assert early == [each for each in found if each[1] <= 10.0]
    assert 1 < len(early) < len(found)


async def test_an_answer_at_a_horizon_is_given_once(total: Total) -> None:
    plant = Plant(total, "ep4")
    await plant.say(*plant.told, record("ep4", "ep4-1", plant.at, plant.told, revision=1))
    assert await plant.learning.begin() >= 1
    assert await plant.learning.begin() == 0
    said = Answer(
        "ep4", "ep4-1", 10, 5, "default", known=False, settled=False, why="", trust=0.2,
        remembered=1, complete=True,
    )  # fmt: skip
    for expected in (True, False):
        async with total.records.transaction() as tx:
            assert await plant.rows.answer(tx, said) is expected
    kept = await total.pool.fetch("SELECT horizon FROM flood_answer WHERE site = 'ep4' ORDER BY 1")
    assert [row["horizon"] for row in kept] == [0, 10]
