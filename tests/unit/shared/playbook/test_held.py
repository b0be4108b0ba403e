"""Runs that are held until their deadline, and looks that have more to do than one look does."""

from __future__ import annotations

import time
from typing import Any

import pytest

from shared.expression import StaticEnvironment
from shared.playbook.journal import Context, Record, noted
from shared.playbook.run import advance
from shared.playbook.walk import MOST_BEGUN
from shared.playbook.worst_rows import MOST_ROWS, Rows
from tests.support.playbook_memory import NOW, World, at, book, finish

MIN = 60_000
MOVE = {"id": "move", "command": {"device": "d", "op": "set", "expires": "10s"}}
END = [{"id": "end", "log": "over"}]
OUTAGE = {"n": 2, "since": NOW + MIN, "ms": 40 * MIN}
SUSPENDED = {"by": "li", "at": NOW + MIN, "reason": ""}


def held(**more: Any) -> World:
    """A run with a deadline in an hour, which waits for a minute before it moves anything."""
    document = book([{"id": "w", "wait": "1m"}, MOVE], **{"finally": END}, **more)
    world = World(document, more={"deadline_at": NOW + 60 * MIN})
    at(world, 0)
    return world


@pytest.mark.parametrize("why", ["suspend", "outage"])
def test_a_held_run_ends_at_its_deadline_and_people_are_told(why: str) -> None:
    world = held()
    if why == "suspend":
        world.control["suspend"] = SUSPENDED
    else:
        world.more["resume_ask"] = OUTAGE
    waiting = at(world, 45 * MIN)
    assert (waiting.status, waiting.wake_at) == ("waiting", NOW + 60 * MIN)
    assert [ask.until for ask in waiting.asks] == ([NOW + 60 * MIN] if why == "outage" else [])
    told = len(world.told)
    over = at(world, 60 * MIN)
    assert (over.status, over.asks) == ("needs_human", [])
    assert [(one.kind, one.data["to"]) for one in world.told[told:]] == [
        ("notify", ["role:shift-lead"])
    ]
    assert world.phases()["/finally/end"] == "done"
    assert not world.acted  # the command was never given
    assert world.journal()["/error"].data["kind"] == "deadline"
    assert at(world, 61 * MIN).status == "needs_human"


def test_a_handler_runs_after_a_held_run_and_does_not_hide_that_people_must_look() -> None:
    catch = [{"when": "error.kind == 'deadline'", "steps": [{"id": "said", "log": "late"}]}]
    world = held(catch=catch)
    world.control["suspend"] = SUSPENDED
    assert at(world, 60 * MIN).status == "needs_human"
    assert world.phases()["/catch/0/said"] == "done"


def test_an_outage_beyond_the_deadline_asks_nobody_whether_to_go_on() -> None:
    world = held()
    world.more["resume_ask"] = {"n": 2, "since": NOW + MIN, "ms": 120 * MIN}
    over = at(world, 121 * MIN)
    assert (over.status, "/resume/2" in world.journal()) == ("needs_human", False)
    assert not world.acted


def test_a_run_that_is_let_go_on_in_time_is_not_ended() -> None:
    world = held()
    world.control["suspend"] = SUSPENDED
    at(world, 45 * MIN)
    del world.control["suspend"]
    assert finish(world).status == "success"


# many steps


def loops(most: int) -> dict[str, Any]:
    """Loops within a loop of pure steps."""
    inner = [{"id": "three", "set": {"n": "${index}"}}]
    two = {"max": most, "steps": inner}
    return {"id": "one", "repeat": {"max": most, "steps": [{"id": "two", "repeat": two}]}}


def test_one_look_begins_so_much_and_the_next_goes_on() -> None:
    world = World(book([loops(60)]))
    engine, looks = world.engine(world), 0
    while (found := engine.look()).status != "success":
        assert 0 < len(found.effects) <= 4 * MOST_BEGUN
        assert (found.status, found.wake_at) == ("running", world.now)
        for effect in found.effects:
            engine.carry_out(effect)
        looks += 1
    for effect in found.effects:
        engine.carry_out(effect)
    assert looks >= 60 * 60 // MOST_BEGUN
    assert len([path for path in world.journal() if path.endswith("/three")]) == 3_600


def test_nested_loops_do_not_hold_up_everything_else() -> None:
    document = book([{"id": "out", "repeat": {"max": 100, "steps": [loops(100)]}}])
    plain = Context(
        alarm={}, inputs={}, site={}, run={"id": "r"}, tags=StaticEnvironment(),
        deadline_at=NOW + 60 * MIN,
    )  # fmt: skip
    journal: dict[str, Record] = {}
    begun = time.process_time()
    found = advance(document, journal, plain, NOW)
    assert time.process_time() - begun < 1.0
    for effect in found.effects:
        noted(journal, effect.path, Record(effect.phase, NOW, effect.data, effect.attempt))
    assert len(journal) < 4 * MOST_BEGUN
    assert Rows(document).whole() > MOST_ROWS > Rows(book([loops(40)])).whole()


def test_a_branch_of_many_steps_changes_nothing_of_who_wins() -> None:
    branches = [
        {"id": "many", "steps": [loops(40)]},
        {"id": "slow", "steps": [{"id": "w", "wait": "1h"}]},
    ]
    world = World(book([{"id": "p", "parallel": {"wait": "any", "branches": branches}}]))
    assert at(world, 0).status == "success"
    assert "/steps/p/slow/w" not in world.journal()  # as if all had come in one look
