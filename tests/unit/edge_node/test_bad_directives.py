"""A directive over which the edge stumbles is refused with a reason; the link goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge_node.application import directive_handler
from shared.messages.directives import DRY_RUN
from tests.support.directive_bench import HI, HI2, Bench, new, order, sealed

REHEARSAL = sealed(order(kind="dry_run"))


class Killed(BaseException):
    """The process is gone, in the middle of it."""


def looks_back(bench: Bench, how: Any) -> list[int]:
    """Let the replay do `how`; counts how often it was begun."""
    begun: list[int] = []

    async def replay(_: Any, __: Any) -> dict[str, Any]:
        begun.append(1)
        return await how()

    bench.edge.handler.replay = replay
    return begun


async def stumbles() -> dict[str, Any]:
    raise ZeroDivisionError("no span")


async def dies() -> dict[str, Any]:
    raise Killed


async def hangs() -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


async def finds() -> dict[str, Any]:
    return {"alarms": {}}


def told(bench: Bench) -> list[tuple[str, str]]:
    return [(r.status, r.code) for r in bench.edge.reports]


async def test_a_rehearsal_that_fails_is_reported_and_the_next_one_goes_on() -> None:
    bench = Bench()
    begun = looks_back(bench, stumbles)
    assert await bench.at_edge(REHEARSAL, DRY_RUN) == "dry_run_failed"
    assert "no span" in bench.edge.reports[-1].params["why"]
    assert bench.edge.reports[-1].directive == "d-1"
    await bench.edge.look()
    bench.edge.start()
    await bench.edge.look()
    assert (told(bench), len(begun)) == ([("refused", "dry_run_failed")], 1)  # once, for good
    looks_back(bench, finds)
    await bench.at_edge(sealed(order(kind="dry_run", counter=2, id="d-2")), DRY_RUN)
    assert told(bench)[-1] == ("dry_run", "")


async def test_an_edge_that_dies_of_a_rehearsal_does_not_begin_it_again() -> None:
    bench = Bench()
    begun = looks_back(bench, dies)
    with pytest.raises(Killed):
        await bench.at_edge(REHEARSAL, DRY_RUN)
    assert told(bench) == []
    bench.edge.start()
    assert told(bench) == [("refused", "dry_run_interrupted")]
    assert (bench.edge.reports[-1].directive, bench.edge.reports[-1].counter) == ("d-1", 1)
    begun += looks_back(bench, finds)
    await bench.edge.look()
    bench.edge.start()
    await bench.edge.look()
    assert (len(told(bench)), len(begun)) == (1, 1)
    assert await bench.at_edge(sealed(order(kind="dry_run", id="d-0")), DRY_RUN) == "old_counter"


async def test_a_rehearsal_that_the_link_cut_short_is_done_when_it_is_back() -> None:
    bench = Bench()
    begun = looks_back(bench, hangs)
    task = asyncio.create_task(bench.at_edge(REHEARSAL, DRY_RUN))
    while not begun:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    bench.edge.start()  # told to stop in the middle: nobody died of it
    assert told(bench) == []
    looks_back(bench, finds)
    await bench.edge.look()
    assert told(bench) == [("dry_run", "")]


async def test_a_failing_disk_puts_a_rehearsal_off(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    begun = looks_back(bench, finds)

    async def not_durable(_: Any, __: float) -> bool:
        return False

    with monkeypatch.context() as failing:
        failing.setattr(bench.edge.disk, "durable", not_durable)
        await bench.at_edge(REHEARSAL, DRY_RUN)
        assert (told(bench), begun) == ([], [])
    await bench.edge.look()
    assert (told(bench), len(begun)) == ([("dry_run", "")], 1)


async def test_settings_over_which_the_edge_stumbles_are_refused_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bad = sealed(order())

    def stumble(*_: Any) -> Any:
        raise OverflowError("too far")

    with monkeypatch.context() as failing:
        failing.setattr(directive_handler, "settings_of", stumble)
        assert await bench.at_edge(bad) == "directive_failed"
    bench.edge.start()
    await bench.edge.look()
    assert bench.untouched  # those above believe that it was never run
    assert await bench.at_edge(sealed(order(counter=2, id="d-2"))) == ""
    assert bench.edge.limits()[HI] == 1236.0


async def test_settings_that_stop_half_way_are_taken_back() -> None:
    bench = Bench()
    swapped: list[str] = []

    def stumble(unit: Any) -> None:
        swapped.append(unit.id)
        if len(swapped) == 2:
            raise RuntimeError("half way")

    bench.edge.book.on_setting = stumble
    two = sealed(order(new(), new(HI2, 1246.0)))
    assert await bench.at_edge(two) == "directive_failed"
    assert swapped[:2] == [HI, HI2]
    assert bench.untouched
    bench.edge.start()
    await bench.edge.look()
    assert bench.untouched
    assert await bench.at_edge(sealed(order(counter=2, id="d-2"))) == ""
    assert bench.edge.limits()[HI] == 1236.0


async def test_bytes_over_which_the_edge_stumbles_are_refused_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()

    def stumble(*_: Any) -> Any:
        raise RecursionError("too deep")

    monkeypatch.setattr(directive_handler, "verify", stumble)
    assert await bench.at_edge(sealed(order())) == "directive_failed"
    assert await bench.at_edge(REHEARSAL, DRY_RUN) == "directive_failed"
    await bench.edge.look()
    assert len(bench.edge.reports) == 2
