"""Retry: exact pauses, the same after a crash; what is never tried again; the step's own time."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from shared.playbook import retries
from shared.playbook.journal import Effect
from shared.playbook.verbs import Retry
from tests.support.playbook_memory import NOW, Result, World, at, book, finish, killed_at

HTTP = {"endpoint": "mes", "path": "/x"}
MOVE = {"device": "burner", "op": "set", "expires": "10s"}


def retry(**more: Any) -> Retry:
    return Retry.model_validate(more)


def failing(times: int, kind: str = "http_503") -> Any:
    def results(effect: Effect, world: World) -> Result:
        return ("failed", {"kind": kind}) if effect.attempt <= times else ("done", {"status": 200})

    return results


@pytest.mark.parametrize(
    ("written", "pauses"),
    [
        ({"max": 3, "delay": "2s"}, [2_000, 2_000, 2_000]),
        ({"max": 3, "delay": "2s", "backoff": "linear"}, [2_000, 4_000, 6_000]),
        ({"max": 4, "delay": "1s", "backoff": "exponential"}, [1_000, 2_000, 4_000, 8_000]),
        (
            {"max": 4, "delay": "5s", "backoff": "exponential", "max_delay": "12s"},
            [5_000, 10_000, 12_000, 12_000],
        ),
    ],
)
def test_the_pauses_are_exact(written: dict[str, Any], pauses: list[int]) -> None:
    rule = retry(**written)
    assert [retries.pause(rule, n, "r:/steps/a") for n in range(1, len(pauses) + 1)] == pauses
    world = World(book([{"id": "a", "http": HTTP, "retry": written}]), results=failing(99))
    assert finish(world).status == "failure"
    tried = [row[4] - NOW for row in world.rows if row[0] == "/steps/a" and row[2] == "intent"]
    assert [b - a for a, b in itertools.pairwise(tried)] == pauses


def test_jitter_stays_inside_its_bounds_and_differs_between_runs() -> None:
    rule = retry(max=9, delay="10s", jitter=0.2)
    found = {retries.pause(rule, 1, f"run-{n}:/steps/a") for n in range(200)}
    assert all(8_000 <= pause <= 12_000 for pause in found)
    assert len(found) > 150


def test_jitter_is_the_same_after_a_kill() -> None:
    step = {"id": "a", "http": HTTP, "retry": {"max": 3, "delay": "10s", "jitter": 0.5}}
    whole = World(book([step]), results=failing(2))
    finish(whole)
    for kill in range(whole.commits):
        killed = World(book([step]), results=failing(2))
        killed_at(killed, kill)
        assert killed.now == whole.now


def test_a_schedule_counts_from_the_first_try() -> None:
    rule = {"schedule": ["0s", "5s", "5m"]}
    world = World(book([{"id": "a", "http": HTTP, "retry": rule}]), results=failing(99))
    finish(world)
    tried = [row[4] - NOW for row in world.rows if row[0] == "/steps/a" and row[2] == "intent"]
    assert tried == [0, 5_000, 300_000]
    assert retries.offsets(retry(schedule=["5s", "1m"]), "k") == [0, 5_000, 60_000]
    ruled = retry(max=3, delay="1s", backoff="exponential")
    assert retries.offsets(ruled, "k") == [0, 1_000, 3_000, 7_000]
    assert retries.offsets(None, "k") == [0]


@pytest.mark.parametrize(
    ("kind", "words", "again"),
    [
        ("http_503", ["5xx"], True),
        ("http_429", ["timeout", "429"], True),
        ("http_404", ["5xx", "429"], False),
        ("connect", ["connect"], True),
        ("timeout", ["connect"], False),
        ("http_500", [], True),
        ("command_unknown", [], False),
        ("command_unknown", ["command_unknown"], False),
        ("deadline", [], False),
    ],
)
def test_what_is_tried_again(kind: str, words: list[str], again: bool) -> None:
    assert retries.wanted(retry(max=1, retry_on=words), kind) is again


def test_a_lost_command_is_never_sent_again() -> None:
    step = {"id": "a", "command": MOVE, "retry": {"max": 3, "delay": "1s"}}
    world = World(book([step]), results=failing(99, "command_unknown"))
    assert finish(world).status == "needs_human"
    assert world.acted == {"/steps/a:1": 1}


def test_a_refused_command_is_tried_again_under_a_new_id_and_by_default_not_at_all() -> None:
    step = {"id": "a", "command": MOVE, "retry": {"max": 2, "delay": "1s"}}
    world = World(book([step]), results=failing(2, "refused"))
    assert finish(world).status == "success"
    assert world.acted == {"/steps/a:1": 1, "/steps/a:2": 1, "/steps/a:3": 1}
    plain = World(book([{"id": "a", "command": MOVE}]), results=failing(1, "refused"))
    assert finish(plain).status == "failure"
    assert plain.acted == {"/steps/a:1": 1}


def test_the_steps_own_time_includes_its_tries() -> None:
    step = {"id": "a", "http": HTTP, "retry": {"max": 50, "delay": "4s"}, "timeout": "10s"}
    world = World(book([step]), results=failing(99))
    assert finish(world).status == "failure"
    assert world.now == NOW + 10_000
    record = world.journal()["/steps/a"]
    assert (record.data["kind"], record.data["last"]) == ("timeout", "http_503")
    sent = [row for row in world.rows if row[2] == "intent" and row[0] == "/steps/a"]
    assert len(sent) == 3


def test_the_deadline_ends_the_tries_and_handlers_still_run() -> None:
    step = {"id": "a", "http": HTTP, "retry": {"max": 50, "delay": "1m"}}
    handler = {"when": "error.kind == 'deadline'", "steps": [{"id": "page", "log": "late"}]}
    world = World(
        book([step], catch=[handler]), results=failing(99), more={"deadline_at": NOW + 150_000}
    )
    assert finish(world).status == "failure"
    assert world.now == NOW + 150_000
    assert world.phases()["/catch/0/page"] == "done"


def test_a_request_whose_answer_was_lost_is_made_again_under_the_same_try() -> None:
    world = World(book([{"id": "a", "http": HTTP}]))
    killed_at(world, 1)  # after the intent
    assert world.acted == {"/steps/a:1": 1}
    assert world.phases()["/steps/a"] == "done"


def test_a_ruled_webhook_is_handed_over_with_the_times_of_all_its_tries() -> None:
    rule = {"max": 2, "delay": "5s"}
    hook = {"id": "a", "webhook": {"endpoint": "c", "type": "t", "detach": True}, "retry": rule}
    world = World(book([hook]))
    at(world, 0)
    assert world.told[0].data["schedule"] == [0, 5_000, 10_000]
    assert world.told[0].phase == "done"
