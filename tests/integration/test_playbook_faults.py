"""Faults around an engine hold up nobody: broken drives, unreadable documents, strange answers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factory_brain.application.playbooks import drive
from factory_brain.application.playbooks.deliveries import AT_ONE, Deliveries
from factory_brain.application.playbooks.ports import Delivered, Delivery
from shared.clock import SystemClock
from tests.support.playbook_crash import CrashWorld, crash_world
from tests.support.playbook_hand import Hand, asking, book, engine, until
from tests.support.servers import NatsForTests

FAR = {"id": "far", "http": {"endpoint": "echo", "path": "x"}}


@pytest.fixture
async def world(
    brain_url: str, nats_server: NatsForTests, tmp_path: Path
) -> AsyncIterator[CrashWorld]:
    async with crash_world(brain_url, nats_server, tmp_path) as made:
        made.answering = False
        yield made


class Caller:
    """A linked system; one that is far away answers nothing."""

    def __init__(self, answer: Mapping[str, Any] | None = None) -> None:
        self.calls, self._answer = 0, answer

    async def call(
        self, endpoint: str, method: str, path: str, body: Any, key: str, timeout_s: float,
        drill: bool = False,
    ) -> Mapping[str, Any]:  # fmt: skip
        self.calls += 1
        if self._answer is None:
            await asyncio.Event().wait()
        return self._answer or {}


def linked(hand: Hand, caller: Caller) -> Caller:
    """From now on the engine asks this one."""
    hand.engine.means = replace(hand.engine.means, http=caller)
    return caller


async def busy(world: CrashWorld, hand: Hand) -> str:
    """A run that is driven all the time, so that leases are renewed."""
    caller, before = linked(hand, Caller()), len(hand.engine._driving)
    run = await world.start(book([FAR], playbook="busy"))

    async def driven() -> bool:
        return caller.calls > 0 and len(hand.engine._driving) > before

    await until(driven)
    return run


@pytest.mark.parametrize("name", ["write", "known"])
async def test_a_run_whose_drive_broke_goes_on_beside_others(
    world: CrashWorld, nats_server: NatsForTests, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async with engine(world, nats_server) as hand:
        await hand.begin()
        other = await busy(world, hand)
        real, broken = getattr(hand.store, name), []

        async def once(*args: Any, **more: Any) -> Any:
            if not broken:
                broken.append(name)
                raise OSError("the database is away")
            return await real(*args, **more)

        claim, ready = hand.store.claim, asyncio.Event()

        async def later(*args: Any, **more: Any) -> Any:
            await asyncio.wait_for(ready.wait(), 30)
            return await claim(*args, **more)

        monkeypatch.setattr(hand.store, name, once)
        monkeypatch.setattr(hand.store, "claim", later)  # not before somebody else has had it
        run = await world.start(book([asking()]))
        await world.pool.execute("UPDATE run SET fence = 1 WHERE id = $1", run)
        ready.set()
        hand.engine.wake()
        assert (await hand.asks(run))[0]["step"] == "decide"
        assert broken
        assert other in hand.engine._driving


async def test_an_own_run_claimed_anew_is_driven_again(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    async with engine(world, nats_server) as hand:
        await hand.begin()
        run = await busy(world, hand)
        await busy(world, hand)
        row = "SELECT fence FROM run WHERE id = $1"
        before = await world.pool.fetchval(row, run)
        # As after a pause of the whole process that was longer than the lease.
        await world.pool.execute("UPDATE run SET fence = fence + 1 WHERE id = $1", run)
        await world.pool.execute("UPDATE run SET lease_until = 0 WHERE id = $1", run)
        hand.engine.wake()

        async def again() -> bool:
            held = hand.engine._held.get(run)
            stored = await world.pool.fetchval(row, run)
            return held is not None and held.run.fence == stored > before + 1

        await until(again)


async def test_leases_that_nobody_drives_are_not_renewed(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    store, clock = world.store, SystemClock()
    for name in ("one", "two"):
        await world.start(book([asking()], playbook=name))
    now = clock.now_ms()
    one, two = await store.claim("me", now, 1_000, 10)
    await store.renew("me", {one.id: one.fence, two.id: two.fence - 1}, now + 60_000)
    later = await store.claim("other", now + 1_001, 1_000, 10)
    assert [run.id for run in later] == [two.id]
    await store.give_back("me", {one.id: one.fence, two.id: two.fence}, now + 5)
    assert [run.id for run in await store.claim("third", now + 6, 1_000, 10)] == [one.id]


async def test_a_question_beside_a_long_step_is_seen_at_once_and_goes_when_answered(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    both = {
        "id": "both", "parallel": {"branches": [
            {"id": "away", "steps": [FAR]}, {"id": "people", "steps": [asking()]},
        ]},
    }  # fmt: skip
    shown: list[str] = []

    async def on_changed(name: str) -> None:
        shown.append(name)

    async with engine(world, nats_server) as hand:
        linked(hand, Caller())
        hand.engine.on_changed = on_changed
        await hand.begin()
        run = await world.start(book([both]))
        (ask,) = await hand.asks(run)
        assert ask["path"] == "/steps/both/people/decide"
        assert run in hand.engine._driving

        async def told() -> bool:
            return run in shown

        await until(told)
        assert await hand.control.answer(run, "decide", "go", "li", ("shift-lead",), "") is None

        async def gone() -> bool:
            found = await hand.store.get(run)
            return found is not None and not found.asks

        await until(gone)
        assert run in hand.engine._driving


async def test_an_answer_that_cannot_be_stored_fails_its_step_once(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    steps = [
        {"id": "said", "log": "before"},
        {**FAR, "retry": {"max": 3, "delay": "10ms"}, "on_error": "continue"},
        {"id": "after", "log": "${steps.far.ok}"},
    ]
    async with engine(world, nats_server) as hand:
        caller = linked(hand, Caller({"status": 200, "json": {"a\x00": "b\x00"}}))
        await hand.begin()
        run = await world.start(book(steps))
        assert await hand.ended(run) == "success"
        kinds = await hand.kinds(run)
    assert (kinds["/steps/far"], kinds["/steps/after"]) == ("unstorable", "done")
    assert caller.calls == 1


async def test_a_question_alone_that_cannot_be_stored_ends_its_run_for_people(
    world: CrashWorld, nats_server: NatsForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "asks_of", lambda step, held: [{"question": "\ud800"}])
    async with engine(world, nats_server) as hand:
        await hand.begin()
        run = await world.start(book([asking()]))
        assert await hand.ended(run) == "needs_human"
        assert (await hand.store.journal(run))["/error"].data["kind"] == "unstorable"


async def test_a_run_that_is_just_given_back_is_not_taken_for_one_that_was_lost(
    world: CrashWorld, nats_server: NatsForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine(world, nats_server) as hand:
        given: list[str] = []
        for name in ("write", "release"):
            real = getattr(hand.store, name)

            async def looked_at(*args: Any, real: Any = real, name: str = name) -> Any:
                found = await real(*args)
                await hand.engine.keeping.look()  # between the commit and who waits for its word
                await asyncio.sleep(0)
                given.append(name)
                return found

            monkeypatch.setattr(hand.store, name, looked_at)
        over: list[str] = []
        hand.engine.on_over.append(lambda run: over.append(run.id))
        await hand.begin()
        run = await world.start(book([asking()]))
        await hand.asks(run)

        async def resting() -> bool:
            return run not in hand.engine._driving and "write" in given

        await until(resting)
        assert await hand.control.answer(run, "decide", "go", "li", ("shift-lead",), "") is None
        assert await hand.ended(run) == "success"

        async def told() -> bool:
            return over == [run]

        await until(told)
        assert given.count("release") == 1


async def test_nul_in_an_answer_is_left_out(world: CrashWorld, nats_server: NatsForTests) -> None:
    body = json.dumps({"a\x00b": ["\x00x\\u0000", "\\\x00"]}).encode()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(receive, "127.0.0.1", 0)
    world.order["receiver"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with engine(world, nats_server) as hand:
        await hand.begin()
        run = await world.start(book([FAR]))
        assert await hand.ended(run) == "success"
        found = (await hand.store.journal(run))["/steps/far"].data["json"]
    server.close()
    assert found == {"ab": ["x\\u0000", "\\"]}


async def test_a_document_that_does_not_load_ends_its_run_and_no_other(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    async with engine(world, nats_server) as hand:
        bad = await world.start(book([asking()], playbook="bad"))
        good = await world.start(book([{"id": "say", "log": "hello"}], playbook="good"))
        await world.pool.execute(
            "UPDATE playbook_version SET document = '{\"steps\": 7}' WHERE playbook = 'bad'"
        )
        await hand.begin()
        assert await hand.ended(bad) == "needs_human"
        assert await hand.ended(good) == "success"
        assert (await hand.kinds(bad))["/error"] == "journal_mismatch"


class Hanging:
    """Receivers of which one takes webhooks and never answers."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()

    async def deliver(self, delivery: Delivery) -> Delivered:
        self.begun[delivery.endpoint] += 1
        if delivery.endpoint == "hangs":
            await asyncio.Event().wait()
        return Delivered()


async def test_a_receiver_that_hangs_leaves_room_for_the_others(world: CrashWorld) -> None:
    clock, sender = SystemClock(), Hanging()
    now = clock.now_ms()
    rows = [(f"h{number}", "hangs", now - 1_000 + number) for number in range(30)]
    rows += [(f"w{number}", "well", now - 100) for number in range(30)]
    await world.pool.executemany(
        "INSERT INTO delivery (id, run, path, endpoint, body, schedule, at, due, detach, attempt, "
        "status) VALUES ($1, 'r', '/p', $2, '{}', '[0]', $3, $3, true, 0, 'due')",
        rows,
    )
    deliveries = Deliveries(world.store, sender, clock, lambda run: None)
    working = asyncio.create_task(deliveries.run())
    try:

        async def delivered() -> bool:
            query = "SELECT count(*) FROM delivery WHERE status = 'delivered'"
            return await world.pool.fetchval(query) == 30

        await until(delivered)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    assert sender.begun == {"hangs": AT_ONE, "well": 30}
