"""Waiting for the plant, and what the acting verbs ask for."""

from __future__ import annotations

from typing import Any

from shared.expression import Reading
from shared.playbook.journal import Effect
from tests.support.playbook_memory import NOW, Engine, Result, World, at, book, finish

SEC = 1_000
Steps = list[dict[str, Any]]


def log(name: str, text: str = "x") -> dict[str, Any]:
    return {"id": name, "log": text}


def move(name: str) -> dict[str, Any]:
    return {"id": name, "command": {"device": "d", "op": "set", "expires": "10s"}}


def rest(name: str, time: str) -> dict[str, Any]:
    return {"id": name, "wait": time}


def text(world: World, path: str) -> Any:
    return world.journal()[path].data["text"]


# waiting for the plant


def until(**more: Any) -> dict[str, Any]:
    spec = {"condition": "tag('t').good && tag('t').value < 5", "within": "5m", **more}
    return {"id": "w", "wait_until": spec}


def test_a_wait_names_the_tags_that_wake_it() -> None:
    world = World(book([until()]), tags={"t": 9.0})
    found = at(world, 0)
    assert (found.watch, found.wake_at) == (frozenset({"t"}), NOW + 300 * SEC)
    timed = World(book([until(condition="tag('t').age_s > 5.0")]), tags={"t": 9.0})
    assert at(timed, 0).wake_at == NOW + 500
    world.tags["t"] = 1.0
    assert at(world, 1 * SEC).status == "success"
    assert at(world, 2 * SEC).watch == frozenset()


def test_a_condition_must_hold_without_a_break() -> None:
    world = World(book([until(**{"for": "30s"})]), tags={"t": 1.0})
    assert at(world, 0).wake_at == NOW + 30 * SEC
    world.tags["t"] = Reading(1.0, good=False)
    assert at(world, 20 * SEC).status == "waiting"  # unknown: counted anew
    world.tags["t"] = 1.0
    assert at(world, 25 * SEC).wake_at == NOW + 55 * SEC
    assert at(world, 54 * SEC).status == "waiting"
    assert at(world, 55 * SEC).status == "success"


def test_what_nobody_watched_does_not_count() -> None:
    world = World(book([until(**{"for": "30s"})]), tags={"t": 1.0})
    at(world, 0)
    world.more["watched_since"] = NOW + 20 * SEC
    assert at(world, 31 * SEC).wake_at == NOW + 61 * SEC
    assert at(world, 61 * SEC).status == "success"


def test_a_condition_that_would_hold_too_late_times_out() -> None:
    world = World(book([until(within="20s", **{"for": "30s"})]), tags={"t": 1.0})
    assert finish(world).status == "failure"
    assert world.now == NOW + 20 * SEC


def test_a_duration_that_cannot_be_known_fails_the_step() -> None:
    for step in (rest("w", "${inputs.none}"), until(within="${alarm.id}")):
        world = World(book([step]))
        assert finish(world).status == "failure"
        assert world.journal()["/error"].data["kind"] == "argument_unknown"


# other verbs


def test_what_is_sent_is_filled_in_and_addresses_stay_what_they_are() -> None:
    http = {"endpoint": "mes", "path": "/a?x=${alarm.name}&y=1", "method": "POST",
            "body": {"v": "${alarm.value}"}, "expect": [200, 404]}  # fmt: skip
    steps: Steps = [{"id": "h", "http": http, "timeout": "5s"}]
    world = World(book(steps), more={"alarm": {"name": "a&y=2/../z", "value": 7}})
    (effect,) = Engine(world).look().effects
    assert effect.data == {
        "endpoint": "mes", "method": "POST", "path": "/a?x=a%26y%3D2%2F..%2Fz&y=1",
        "body": {"v": 7}, "expect": [200, 404], "timeout_ms": 5_000,
    }  # fmt: skip
    unclear = World(book(steps), more={"alarm": {"name": "a"}})
    assert finish(unclear).status == "failure"


def test_messages_go_out_although_a_part_is_unknown() -> None:
    steps: Steps = [
        {"id": "n", "notify": {"to": ["role:x"], "message": "${tag('t').value} C"}},
        {"id": "e", "emit": {"event": "e", "data": {"t": "${tag('t').value}", "a": "${alarm.id}"}}},
        {"id": "i", "set_incident": {"note": "n", "peak": "${tag('t').value}"}},
    ]
    world = World(book(steps))
    assert finish(world).status == "success"
    assert [effect.kind for effect in world.told] == ["notify", "emit", "incident"]
    assert world.told[0].data["message"] == {"zh": "? C", "en": "? C"}
    assert world.told[1].data == {"event": "e", "data": {"t": None, "a": "A.HIHI"}}
    assert world.told[2].data == {"note": "n", "peak": None}


def test_a_webhook_that_is_waited_for_ends_with_its_delivery() -> None:
    def hook(detach: bool) -> World:
        spec = {"endpoint": "c", "type": "t", "data": {}, "detach": detach}
        return World(book([{"id": "h", "webhook": spec, "timeout": "1m"}]))

    waiting = hook(False)
    (effect,) = Engine(waiting).look().effects
    assert (effect.kind, effect.phase) == ("webhook", "intent")
    Engine(waiting).commit(effect.path, 1, "intent", effect.data)
    assert at(waiting, 10 * SEC).wake_at == NOW + 60 * SEC
    waiting.answers[effect.path] = {"phase": "failed", "data": {"kind": "webhook_failed"}}
    assert at(waiting, 20 * SEC).status == "failure"
    late = hook(False)
    Engine(late).commit(effect.path, 1, "intent", effect.data)
    assert at(late, 60 * SEC).status == "failure"
    assert late.journal()["/steps/h"].data["kind"] == "timeout"
    assert finish(hook(True)).status == "success"


def test_a_refusal_is_told_with_its_kind() -> None:
    def refused(effect: Effect, world: World) -> Result:
        return "failed", {"kind": "interlock", "reason": "esd"}

    steps = [{**move("m"), "on_error": "continue"}, log("z", "${steps.m.kind} ${steps.m.ok}")]
    world = World(book(steps), results=refused)
    assert finish(world).status == "success"
    assert text(world, "/steps/z") == "interlock false"
    assert finish(World(book([move("m")]), results=refused)).status == "needs_human"
