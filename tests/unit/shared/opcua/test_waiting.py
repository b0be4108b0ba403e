"""Changes on their way to OPC UA clients: what waits, what is left out, who has a turn."""

from __future__ import annotations

import asyncio

import pytest

from shared.opcua import waiting
from shared.opcua.waiting import FEW, MOST, Pace, Waiting


def older(report: int, held: int) -> bool:
    return report < held


def test_each_change_while_few_wait_and_the_newest_of_each_alarm_in_a_flood() -> None:
    line = Waiting(older)
    for version in range(FEW):
        assert line.put("a", version)
    for version in (FEW + 1, FEW):  # the second is old news
        assert line.put("a", version)
    assert line.put("b", 1)
    assert (len(line), line.coalesced, line.overflowed) == (FEW + 1, 2, 0)
    taken = [line.take() for _ in range(len(line))]
    assert taken[:-2] == [("a", version) for version in range(FEW - 1)]
    assert taken[-2:] == [("a", FEW + 1), ("b", 1)]
    # what was taken takes no further news
    assert line.put("a", FEW + 2)
    assert line.take() == ("a", FEW + 2)


def test_it_is_bounded_and_says_so() -> None:
    line = Waiting(older)
    assert all(line.put(f"alarm-{n}", 1) for n in range(MOST))
    assert not line.put("one more", 1)
    assert line.put("alarm-7", 2)
    assert (len(line), line.overflowed, line.coalesced) == (MOST, 1, 1)


async def test_news_end_the_wait() -> None:
    line = Waiting(older)
    await line.news(0.001)  # nothing has come
    line.put("a", 1)
    await asyncio.wait_for(line.news(60), 5)
    asyncio.get_running_loop().call_soon(line.wake)
    await asyncio.wait_for(line.news(60), 5)


@pytest.mark.parametrize(("work_s", "rests"), [(0.0, 20), (3600.0, 0)])
async def test_work_gives_the_loop_back_when_its_time_is_up(
    monkeypatch: pytest.MonkeyPatch, work_s: float, rests: int
) -> None:
    monkeypatch.setattr(waiting, "WORK_S", work_s)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running, pace = asyncio.create_task(others()), Pace(0.001)
    pace.begin()
    for _ in range(20):
        await pace.breathe()
    running.cancel()
    assert pace.rests == rests
    assert turns >= rests
