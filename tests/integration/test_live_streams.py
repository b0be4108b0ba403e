"""The live stream of a running brain as WebSocket and as SSE: picture, deltas, resume, restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from factory_brain.bootstrap import Brain
from shared.identity.policy import Grant, User
from shared.web import live_socket
from shared.web.auth import COOKIE
from shared.web.sse import QUEUE
from tests.support.brain_world import ALARM, FakeEdge, log_in, transition, until

pytest_plugins = ("tests.support.brain_fixtures",)


async def viewer(brain: Brain, role: str = "operator") -> str:
    grants = (Grant(role),)
    await brain.accounts.create("lan", "correct horse battery", grants)
    return await brain.accounts.open_session(User.of("lan", grants), "local")


@asynccontextmanager
async def opened(
    web: httpx.AsyncClient, token: str, query: str = "", **headers: str
) -> AsyncIterator[ClientConnection]:
    url = str(web.base_url).replace("http", "ws", 1).rstrip("/") + "/api/ws" + query
    sent = {"Cookie": f"{COOKIE}={token}", **headers} if token else headers
    async with connect(url, additional_headers=sent, proxy=None, max_size=None) as socket:
        yield socket


async def frame(socket: ClientConnection, *events: str) -> dict[str, Any]:
    """The next frame of these kinds."""
    async with asyncio.timeout(10):
        while True:
            told = json.loads(await socket.recv())
            assert set(told) == {"id", "event", "data"}
            if told["event"] in events:
                return told


async def sse(web: httpx.AsyncClient, token: str, last: str) -> dict[str, str]:
    """The first event of an event stream that goes on after `last`."""
    headers = {"Cookie": f"{COOKIE}={token}", "Last-Event-ID": last}
    async with asyncio.timeout(15), web.stream("GET", "/api/stream", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        found: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if not line and found:
                return found
            name, _, value = line.partition(": ")
            found[name] = value
    raise AssertionError("the stream ended")


async def test_a_socket_gives_the_picture_then_what_changes_and_goes_on_where_it_was(
    brain: Brain, edge: FakeEdge, web: httpx.AsyncClient
) -> None:
    token = await viewer(brain)
    async with opened(web, token) as socket:
        assert (await frame(socket, "resync", "snapshot"))["event"] == "resync"
        picture = await frame(socket, "snapshot", "delta")
        assert (picture["event"], picture["data"]["rows"]) == ("snapshot", [])
        assert picture["id"] == f"{picture['data']['epoch']}-{picture['data']['seq']}"
        assert brain.broadcaster.attended
        await edge.send(transition(1, active=True, acked=False, kind="raised"))
        while not (delta := await frame(socket, "delta"))["data"]["rows"]:
            pass
        assert delta["data"]["rows"][0]["alarm"] == ALARM

    async def left() -> bool:
        return brain.broadcaster.viewers == 0

    await until(left)
    await edge.send(transition(2, active=False, acked=False, kind="returned"))

    async def moved() -> bool:
        return brain.live.seq > delta["data"]["seq"]

    await until(moved)
    async with opened(web, token, f"?last_event_id={delta['id']}") as socket:
        missed = await frame(socket, "resync", "snapshot", "delta")
        assert (missed["event"], missed["data"]["seq"]) == ("delta", delta["data"]["seq"] + 1)
    same = await sse(web, token, delta["id"])
    assert (same["event"], same["id"]) == ("delta", missed["id"])
    assert json.loads(same["data"]) == missed["data"]


async def test_after_a_restart_of_the_brain_nobody_goes_on_from_an_old_place(
    brain: Brain, web: httpx.AsyncClient
) -> None:
    token = await viewer(brain)
    async with opened(web, token) as socket:
        place = (await frame(socket, "snapshot"))["id"]
    assert (await sse(web, token, place))["event"] != "resync"
    await brain.service.shutdown()
    again = await Brain.start(brain.settings)
    try:

        async def up() -> bool:
            try:
                return (await web.get("/api/healthz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(up)
        assert (await sse(web, token, place))["event"] == "resync"
        async with opened(web, token, f"?last_event_id={place}") as socket:
            assert (await frame(socket, "resync", "delta"))["event"] == "resync"
            picture = await frame(socket, "snapshot", "delta")
            assert picture["event"] == "snapshot"
            assert not picture["id"].startswith(place.rpartition("-")[0])
    finally:
        await again.service.shutdown()


async def test_only_who_may_view_from_this_place_gets_a_socket(
    brain: Brain, web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await viewer(brain, "viewer")
    host = web.base_url.netloc.decode()
    for shown, headers, status, code in (
        ("", {}, 401, "not_logged_in"), ("nonsense", {}, 401, "not_logged_in"),
        ("", {"Authorization": "Bearer nonsense"}, 401, "bad_token"),
        (token, {"Origin": "https://evil.example"}, 403, "cross_site"),
    ):  # fmt: skip
        with pytest.raises(InvalidStatus) as refused:
            async with opened(web, shown, **headers):
                pass
        answer = refused.value.response
        assert (answer.status_code, json.loads(answer.body)["code"]) == (status, code)
    body = {"client": "screen-1", "grants": [{"role": "viewer"}]}
    admin = await brain.accounts.open_session(User("admin", ("administrator",)), "local")
    made = await web.post(
        "/api/service-accounts", json=body,
        headers={"Cookie": f"{COOKIE}={admin}", "Idempotency-Key": "key-00000001"},
    )  # fmt: skip
    bearer = f"Bearer {made.json()['token']}"
    async with opened(web, "", Authorization=bearer) as socket:
        assert (await frame(socket, "snapshot"))["data"]["rows"] == []
        assert not brain.broadcaster.attended, "who may not acknowledge keeps no horn quiet"
    monkeypatch.setattr(live_socket, "LOOK_EVERY_S", 0.0)
    async with opened(web, token, Origin=f"http://{host}") as socket:
        await frame(socket, "snapshot")
        await brain.accounts.logout(token)
        brain.broadcaster.send("runs", b"{}")
        with pytest.raises(ConnectionClosed) as ended:
            await frame(socket, "nothing of this kind")
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == live_socket.POLICY_VIOLATION


async def test_a_socket_that_fell_behind_is_given_the_picture_anew(
    brain: Brain, web: httpx.AsyncClient
) -> None:
    token = await viewer(brain)
    async with opened(web, token) as socket:
        await frame(socket, "snapshot")
        for _ in range(QUEUE + 5):  # at once: the speaker cannot take any in between
            brain.broadcaster.send("runs", b'{"runs":[]}')
        assert (await frame(socket, "resync", "runs"))["event"] == "resync"
        assert (await frame(socket, "snapshot", "runs"))["event"] == "snapshot"
        brain.broadcaster.send("runs", b'{"runs":[]}')
        assert (await frame(socket, "runs"))["data"] == {"runs": []}
    assert brain.broadcaster.overflows == 1


async def test_a_stream_in_a_form_that_is_not_offered_ends_and_attends_nothing(
    brain: Brain, web: httpx.AsyncClient
) -> None:
    await log_in(web)
    async with asyncio.timeout(10):
        answer = await web.get("/api/stream", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")

    async def unattended() -> bool:
        return not brain.broadcaster.attended

    await until(unattended)
