"""The acceptance checks of the playbook engine, on real PostgreSQL and NATS and a real edge."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared import redaction
from shared.clock import SystemClock
from shared.errors import Rejected
from tests.support.playbook_crash import CrashWorld, crash_world
from tests.support.playbook_hand import LEAD, asking, book, command, engine, until
from tests.support.servers import NatsForTests


@pytest.fixture
async def world(
    brain_url: str, nats_server: NatsForTests, tmp_path: Path
) -> AsyncIterator[CrashWorld]:
    async with crash_world(brain_url, nats_server, tmp_path) as made:
        made.answering = False
        yield made


async def test_check_06_an_unknown_precondition_moves_nothing_and_pages(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    page = {"id": "page", "notify": {"to": ["role:shift-lead"], "message": "by hand"}}
    human = {"id": "human", "fail": {"outcome": "needs_human"}}
    plan = book(
        [command("move", require=['tag("d0.ready").good && tag("d0.ready").value > 1'])],
        catch=[{"when": 'error.kind == "interlock"', "steps": [page, human]}],
    )
    del world.edge.plant.values["TT-101"]  # its value is not known: neither true nor false
    async with engine(world, nats_server) as hand:
        await hand.begin()
        run = await world.start(plan)
        assert await hand.ended(run) == "needs_human"
        assert (await hand.kinds(run))["/steps/move"] == "interlock"
    did = await world.did(run)
    assert (did.writes, len(did.notices)) == ({}, 1)


async def test_check_11_killed_between_write_and_answer_is_one_write(
    world: CrashWorld, nats_server: NatsForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory_brain.application.playbooks.edge_devices.ANSWER_S", 0.3)
    world.edge.lose_answers = 1
    async with engine(world, nats_server) as hand:
        await hand.begin()
        run = await world.start(book([command("move")]))
        assert await hand.ended(run) == "success"
        entries = [(p, r.phase) for p, r, _ in await hand.store.entries(run)]
    mine = [phase for path, phase in entries if path == "/steps/move"]
    assert mine == ["intent", "unknown", "reconciled"]
    assert (await world.did(run)).writes == {"/steps/move": 1}


async def test_check_12_after_an_outage_a_late_command_is_void_and_a_stale_run_asks(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    late = book([command("move", expires="1s")])
    stale = book([command("move")], stale_after="2s", playbook="stale")
    run = await world.start(late)
    asked = await world.start(stale)
    async with engine(world, nats_server) as hand:
        # Its intent is committed, then the brain dies before anything was sent.
        await world.pool.execute(
            "UPDATE run SET started_at = started_at - 60000, wake_at = wake_at - 60000 "
            "WHERE id = $1", asked,
        )  # fmt: skip
        data = {
            "device": "T/d0", "op": "set", "args": {"v": 1}, "require": [], "verify": "",
            "began": 1, "attempt": 1, "again": 0, "expires_at": 1_001, "epoch": "ep-1",
        }  # fmt: skip
        await world.pool.execute(
            "INSERT INTO journal (run, path, attempt, phase, data, at, n) "
            "VALUES ($1, '/steps/move', 1, 'intent', $2, 1, 1)", run, data,
        )  # fmt: skip
        await world.pool.execute("UPDATE run SET fence = 1 WHERE id = $1", run)
        await hand.begin()
        assert await hand.ended(run) in ("failure", "needs_human")
        assert (await hand.kinds(run))["/steps/move"] == "expired"
        (ask,) = await hand.asks(asked)
        assert ask["path"].startswith("/resume/")
        assert (await world.did(asked)).writes == {}
        assert await hand.control.answer(asked, ask["path"], "resume", "li", LEAD, "") is None
        assert await hand.ended(asked) == "success"
    assert (await world.did(run)).writes == {}
    assert (await world.did(asked)).writes == {"/steps/move": 1}


async def test_check_16_many_runs_at_once_do_everything_once(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    steps = [
        {"id": "tell", "notify": {"to": ["role:shift-lead"], "message": "hot"}}, command("move"),
        {"id": "count", "set": {"n": 1}}, {"id": "out", "emit": {"event": "hot", "data": {}}},
        command("again", "d1"),
    ]  # fmt: skip
    plan = book(steps)
    async with engine(world, nats_server) as hand:
        runs = [await world.start(plan) for _ in range(40)]
        await hand.begin()
        for run in runs:
            assert await hand.ended(run, 60) == "success"
    for run in runs:
        did = await world.did(run)
        assert did.writes == {"/steps/move": 1, "/steps/again": 1}
        assert (len(did.notices), len(did.events)) == (1, 1)


async def test_check_17_answers_count_once_and_only_of_those_who_are_asked(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    four_eyes = book([asking(deny=["user:${run.started_by}"], quorum=2)])
    async with engine(world, nats_server) as hand:
        await hand.begin()
        run = await world.start(four_eyes)
        await hand.asks(run)

        async def say(who: str, option: str, roles: tuple[str, ...] = LEAD) -> str:
            refused = await hand.control.answer(run, "decide", option, who, roles, "")
            return "" if refused is None else refused.code

        assert await say("wang", "go", ("operator",)) == "not_allowed"
        assert await say("test", "go") == "answer_denied"  # who started it
        assert await say("li", "go") == ""
        assert await say("li", "stay") == "already_answered"
        both = await asyncio.gather(say("zhao", "go"), say("sun", "go"))
        assert sorted(both) in (["", "already_answered"], ["", "not_asking"])
        assert await hand.ended(run) == "success"
        assert await say("zhou", "go") in ("not_asking", "already_answered")

        early = await world.start(book([{"id": "first", "wait": "1s"}, asking()], playbook="early"))
        assert await hand.control.answer(early, "decide", "go", "li", LEAD, "") is None
        assert await hand.ended(early) == "success"

        slow = await world.start(book([asking(within="400ms")], playbook="slow"))
        await hand.asks(slow)
        await hand.kill()  # nobody settles it in time; and what was asked survives the kill
        await asyncio.sleep(0.6)
        refused = await hand.control.answer(slow, "decide", "go", "li", LEAD, "")
        assert isinstance(refused, Rejected)
        assert refused.code == "answer_too_late"
        kept = await world.start(book([asking()], playbook="kept"))
        await hand.begin()
        assert await hand.ended(slow) == "failure"
        await hand.asks(kept)
        await hand.kill()
        assert await hand.control.answer(kept, "decide", "go", "li", LEAD, "") is None
        await hand.begin()
        assert await hand.ended(kept) == "success"


async def test_check_20_a_compensation_that_fails_ends_with_a_human_and_never_loops(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    undo = {"command": {"device": "d1", "op": "set", "args": {"no-such": 0}, "expires": "20s"},
            "retry": {"max": 1, "delay": "50ms"}}  # fmt: skip
    steps = [{**command("move"), "compensate": undo}, {"id": "undo", "compensate_all": {}}]
    async with engine(world, nats_server) as hand:
        await hand.begin()
        run = await world.start(book(steps))
        assert await hand.ended(run) == "needs_human"
        rows = await world.pool.fetch(
            "SELECT path, attempt, phase, data FROM journal WHERE run = $1 ORDER BY n", run
        )
    tries = [r for r in rows if r["path"] == "/steps/move/compensate" and r["phase"] == "failed"]
    assert [row["attempt"] for row in tries] == [1, 2]
    assert tries[-1]["data"]["device"] == "T/d1"
    assert (await world.did(run)).writes == {"/steps/move": 1}


@pytest.mark.parametrize("word", ["cancel", "terminate"])
async def test_check_21_cancel_and_terminate_end_a_run_in_any_state_in_two_seconds(
    world: CrashWorld, nats_server: NatsForTests, word: str
) -> None:
    closing = {"finally": [{"id": "closing", "log": "closed"}]}
    retried = {"id": "call", "http": {"endpoint": "nowhere", "path": "x"},
               "retry": {"max": 20, "delay": "30s"}}  # fmt: skip
    states = {
        "waiting": [{"id": "w", "wait": "5m"}], "asking": [asking()], "retrying": [retried],
        "suspended": [{"id": "w", "wait": "100ms"}, asking()],
        "watching": [{"id": "u", "wait_until": {
            "condition": 'tag("d0.ready").value > 9000', "within": "5m"}}],
    }  # fmt: skip
    async with engine(world, nats_server) as hand:
        await hand.begin()
        for name, steps in states.items():
            run = await world.start(book(steps, playbook=f"in-{name}", **closing))

            async def at_rest(run: str = run) -> bool:
                query = "SELECT status = 'waiting' AND owner IS NULL FROM run WHERE id = $1"
                return bool(await world.pool.fetchval(query, run))

            await until(at_rest)
            if name == "suspended":
                assert await hand.control.suspend(run, "li", "look first") is None
            began = time.monotonic()
            act = getattr(hand.control, word)
            assert await act(run, "li", "enough") is None
            assert await hand.ended(run, 5) == "cancelled"
            assert time.monotonic() - began <= 2.0, name
            ends = (await world.did(run)).ends
            assert ("/finally/closing" in ends) == (word == "cancel"), name
            refused = await act(run, "li", "again")
            assert isinstance(refused, Rejected)
            assert refused.code == "run_over"


async def test_a_suspended_run_begins_nothing_until_it_is_resumed(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    async with engine(world, nats_server) as hand:
        run = await world.start(book([{"id": "w", "wait": "300ms"}, command("move")]))
        await hand.begin()
        assert await hand.control.suspend(run, "li", "") is None
        await asyncio.sleep(1.0)
        assert (await world.did(run)).writes == {}
        assert await hand.control.resume(run, "li", "") is None
        assert await hand.ended(run) == "success"
    assert (await world.did(run)).writes == {"/steps/move": 1}


async def test_check_22_gone_disables_retry_after_is_heard_and_a_person_replays(
    world: CrashWorld, nats_server: NatsForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [("429 Too Many", "Retry-After: 2\r\n"), ("410 Gone", "")]
    ids: list[tuple[str, float]] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
        headers = {name.lower(): value for name, _, value in lines}
        await reader.readexactly(int(headers["content-length"]))
        ids.append((headers["webhook-id"], time.monotonic()))
        status, more = answers.pop(0) if answers else ("200 OK", "")
        writer.write(f"HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(receive, "127.0.0.1", 0)
    world.order["receiver"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    hook = {"id": "hook", "webhook": {"endpoint": "cmms", "type": "t", "data": {}},
            "retry": {"schedule": ["0s", "100ms", "200ms", "300ms"]}}  # fmt: skip
    async with engine(world, nats_server) as hand:
        await hand.begin()
        run = await world.start(book([hook]))
        assert await hand.ended(run) == "failure"
        assert {name for name, _ in ids} == {f"{run}:/steps/hook"}  # the same id over tries
        assert ids[1][1] - ids[0][1] >= 1.9  # not before the receiver said
        second = await world.start(book([hook], playbook="second"))
        assert await hand.ended(second) == "failure"
        assert len(ids) == 2  # one that is gone is told nothing any more
        dead = await hand.store.dead_deliveries(10)
        assert {row["run"] for row in dead} == {run, second}
        now = SystemClock().now_ms()
        assert await hand.store.replay_delivery(f"{run}:/steps/hook", "li", now)
        hand.engine.deliveries.wake()

        async def delivered() -> bool:
            query = "SELECT status = 'delivered' FROM delivery WHERE run = $1"
            return bool(await world.pool.fetchval(query, run))

        await until(delivered)
    server.close()
    assert [name for name, _ in ids] == [f"{run}:/steps/hook"] * 3


async def test_check_23_no_secret_is_stored_or_told(
    world: CrashWorld, nats_server: NatsForTests, caplog: pytest.LogCaptureFixture
) -> None:
    planted = [f'plant"ed-{number}-{number * 7919:x}/s%s' for number in range(20)]
    for number, value in enumerate(planted):
        (world.folder / f"token-{number}").write_text(value)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A careless receiver: what it was sent comes back, as text, as JSON, as an error."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        seen = [line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("x-")]
        body = json.dumps({"seen": [one.encode("latin-1").decode() for one in seen]}).encode()
        writer.write(b"HTTP/1.1 401 No\r\nContent-Type: application/json\r\n")
        writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    world.order["receiver"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    headers = {f"x-{n}": f"secret:token-{n}" for n in range(20)}
    steps = [
        {"id": "call", "http": {"endpoint": "echo", "path": "x"}, "on_error": "continue"},
        {"id": "said", "log": "it said ${steps.call.json}"},
        {"id": "tell", "notify": {"to": ["role:shift-lead"], "message": "${steps.call.json}"}},
        {"id": "out", "emit": {"event": "told", "data": {"said": "${steps.call.json}"}}},
        {"id": "hook", "webhook": {"endpoint": "cmms", "type": "t", "detach": True,
                                   "data": {"said": "${steps.call.json}"}}},
    ]  # fmt: skip
    async with engine(world, nats_server, headers) as hand:
        await hand.begin()
        run = await world.start(book(steps))
        await hand.ended(run)
        call = next(r for p, r, _ in await hand.store.entries(run) if r.phase == "failed")
    server.close()
    assert call.data["kind"] == "http_401"
    assert call.data["json"]["seen"] == [redaction.HIDDEN] * 20  # it did come back
    tables = [
        row["tablename"] for row in await world.pool.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
    ]  # fmt: skip
    dumped = [
        row["text"] for table in tables for row in await world.pool.fetch(
            f'SELECT t::text AS text FROM "{table}" t'
        )
    ]  # fmt: skip
    whole = "\n".join(dumped) + caplog.text
    assert run in whole
    for value in planted:
        for form in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
            assert form not in whole


async def test_check_24_live_runs_finish_on_the_version_they_began_with(
    world: CrashWorld, nats_server: NatsForTests
) -> None:
    old = book([asking(), command("old-way")])
    new = book([asking(), command("new-way", "d1")], version=2)
    async with engine(world, nats_server) as hand:
        await hand.begin()
        runs = [await world.start(old) for _ in range(100)]
        last = await world.start(new)
        for run in (*runs, last):
            await hand.asks(run)
            assert await hand.control.answer(run, "decide", "go", "li", LEAD, "") is None
        for run in runs:
            assert await hand.ended(run) == "success"
        assert await hand.ended(last) == "success"
    for run in runs:
        assert (await world.did(run)).writes == {"/steps/old-way": 1}
    assert (await world.did(last)).writes == {"/steps/new-way": 1}
