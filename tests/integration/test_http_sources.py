"""HTTP pull, push and writes against real sockets: bounds, secrets, half answers, repetitions."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_node.adapters.sources.http_wire import HttpWire, Posted, Reply
from edge_node.adapters.tag_trial import Trial
from shared import webhooks
from shared.clock import SystemClock
from shared.errors import ConfigError, RetryableTransportError
from shared.site.model import SourceSpec, TagSpec
from tests.support.driver_here import Here, here
from tests.support.edge_plants import free_port, tag

pytestmark = pytest.mark.timeout(60)
SECRET = webhooks.new_secret()


@contextlib.asynccontextmanager
async def raw_server(answer: Callable[[bytes], bytes]) -> AsyncIterator[str]:
    """Answers each request with exactly these bytes; empty: with silence."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
                body = await reader.readexactly(int(size[0].split(b":")[1])) if size else b""
                if said := answer(head + body):
                    writer.write(said)
                    await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def ok(body: Any, status: str = "200 OK", *more: str) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(raw)}", *more, "", ""]
    return "\r\n".join(lines).encode() + raw


def secret_file(folder: Path, text: str = SECRET) -> dict[str, str]:
    path = folder / "secret"
    path.write_text(text + "\n")
    return {"password_file": str(path), "user": "edge"}


async def test_pull_reads_paths_times_texts_and_asks_only_for_what_is_new(tmp_path: Path) -> None:
    asked: list[bytes] = []
    body = {
        "at": "2026-01-02T03:04:05Z",
        "d": [{"t": 7}, {"t": "8.5"}],
        "mode": "AUTO",
        "run": "on",
    }

    def answer(request: bytes) -> bytes:
        asked.append(request)
        if b"GET /api/second?x=1 " in request:
            return ok({"v": 3})
        if b'If-None-Match: "e1"' in request:
            return b'HTTP/1.1 304 Not Modified\r\nETag: "e1"\r\n\r\n'
        return ok(body, "200 OK", 'ETag: "e1"')

    tags = [
        tag("A", "/d/0/t", scale=2.0), tag("B", "d[1].t"), tag("M", "mode", "string"),
        tag("R", "run", "boolean"), tag("S", "second?x=1#v"),
    ]  # fmt: skip
    async with raw_server(answer) as base:
        source = {
            "driver": "http",
            "url": f"{base}/api",
            "options": {"auth": "bearer", "time": "at"},
        }
        async with here(source, tags, secret_file(tmp_path, "s3cret")) as http:
            await http.until(lambda: len(http.of(0)) >= 3 and http.texts)
            moment = 1_767_323_045_000
            assert set(http.of(0)) == {(moment, 14.0, 0)}
            assert (http.last(1), http.last(3), http.last(4)) == ((8.5, 0), (1.0, 0), (3.0, 0))
            assert http.texts[0][1:] == (moment, "AUTO", 0)
            assert all(b"Authorization: Bearer s3cret" in request for request in asked)
            assert any(b'If-None-Match: "e1"' in request for request in asked)
            assert "no time at at" in http.detail, "the second body has none"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (ok(b"<html>"), "no JSON"), (ok({}, "500 Oops"), "answers 500"), (b"", "no answer in time"),
        (ok(b"[" + b"1," * 200 + b"1]"), "longer than 128"), (ok({}, "302 Found"), "answers 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", "no answer in time"),
        (b"\x00\x01nonsense\r\n\r\n", "illegal"),
    ],
    ids=["html", "500", "silence", "long", "redirect", "half", "garbage"],
)  # fmt: skip
async def test_pull_of_what_is_no_answer_fails_with_the_reason(said: bytes, words: str) -> None:
    options = {"timeout": "200ms", "max_body": 128}
    async with raw_server(lambda _: said) as base:
        source = {"driver": "http", "url": base, "interval": 20, "options": options}
        with pytest.raises(Exception, match=words) as raised:
            async with here(source, [tag("A", "/a")]) as http:
                await http.until(lambda: False, 5)
        assert base in str(raised.value)
        assert "mend:" in str(raised.value)


async def test_writes_are_done_refused_or_unknown_signed_and_never_doubled(tmp_path: Path) -> None:
    asked: list[bytes] = []
    answers = {
        b"/ok": ok({"value": 5}), b"/no": ok({"error": "too hot"}, "409 Conflict"),
        b"/oops": ok({}, "503 Busy"), b"/silent": b"",
    }  # fmt: skip

    def answer(request: bytes) -> bytes:
        asked.append(request)
        return answers[request.split(b" ")[1]]

    async with raw_server(answer) as base:
        source = {"driver": "http", "url": f"{base}/api", "options": {"auth": "signed"}}
        async with here(source, [], secret_file(tmp_path)) as http:
            done = await http.write("POST /ok", {"level": 5}, id="order-1")
            assert (done.outcome, done.readback) == ("done", 5)
            head, _, body = asked[0].partition(b"\r\n\r\n")
            lines = (line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
            headers = {name.lower(): value for name, value in lines}
            assert headers["idempotency-key"] == headers["webhook-id"] == "order-1"
            assert headers["content-type"] == "application/json"
            assert webhooks.verify(SECRET, headers, body, SystemClock().now_ms() // 1000)
            refused = await http.write("PUT /no", 1)
            assert (refused.outcome, "too hot" in refused.detail) == ("failed", True)
            assert (await http.write("POST /oops", 1)).outcome == "unknown"
            assert (await http.write("POST /silent", 1, 300)).outcome == "unknown"
            assert len(asked) == 4
            for wrong in ("GET /ok", "POST ok", "/ok"):
                assert "not sent" in (await http.write(wrong, 1)).detail
        again = {**source, "options": {"idempotent_writes": True}}
        async with here(again, []) as http:
            assert (await http.write("POST /oops", 1, id="k")).outcome == "unknown"
            assert len(asked) == 6
            assert all(b"Idempotency-Key: k" in request for request in asked[-2:])
            assert (await http.write("PUT /no", 1)).outcome == "failed"
            assert len(asked) == 7
    async with here({**source, "url": "http://127.0.0.1:1"}, [], secret_file(tmp_path)) as http:
        gone = await http.write("POST /ok", 1)
        assert (gone.outcome, "not sent" in gone.detail) == ("failed", True)


PUSH_TAGS = [tag("A", "temp", scale=0.1), tag("M", "mode", "string"), tag("L", "/line1#speed")]


@contextlib.asynccontextmanager
async def listener(options: dict[str, Any], settings: dict[str, str]) -> AsyncIterator[
    tuple[Here, httpx.AsyncClient]
]:  # fmt: skip
    port = free_port()
    source = {"driver": "http_push", "url": f"listen://127.0.0.1:{port}", "options": options}
    async with (
        here(source, PUSH_TAGS, settings) as push,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        await push.until(lambda: "nothing received" in push.detail)
        yield push, client


async def test_push_takes_signed_values_once_and_says_what_is_wrong(tmp_path: Path) -> None:
    async with listener({"max_body": 2000}, secret_file(tmp_path)) as (push, client):
        now_s = SystemClock().now_ms() // 1000

        async def post(body: Any, path: str = "/", id: str = "1", at: int = now_s, **more: str):
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = webhooks.headers(SECRET, id, at, raw) | more
            answer = await client.post(path, content=raw, headers=headers)
            return answer.status_code, answer.json()

        good = {"ts": 1_767_323_045_000, "values": {"temp": "215", "mode": "AUTO", "other": 1}}
        assert await post(good) == (200, {"accepted": 2, "unknown": ["other"]})
        await push.until(lambda: push.of(0) == [(1_767_323_045_000, 21.5, 0)])
        assert push.texts[-1][1:] == (1_767_323_045_000, "AUTO", 0)
        # The same message again, as senders do that have not heard the answer.
        assert (await post(good))[1]["repeated"] is True
        assert len(push.of(0)) == 1
        assert (await post({"values": {"speed": 3}}, "/line1", "2"))[0] == 200
        await push.until(lambda: push.last(2) == (3.0, 0))

        wrong = {"webhook-signature": "v1,AAAA"}
        for (status, said), wanted, words in (
            (await post(good, id="3", **wrong), 401, "webhook-signature"),
            (await post(good, id="4", at=now_s - 3600), 401, "5 minutes"),
            (await post(b"{", id="5"), 400, "no JSON"),
            (await post({"values": {}}, id="6"), 422, "values"),
            (await post([1], id="7"), 422, "values"),
            (await post({"values": {"x": 1}}, id="8"), 422, "temp"),
            (await post({"ts": "soon", "values": {"temp": 1}}, id="9"), 422, "no time"),
            (await post(good, "/nowhere", "10"), 404, "/line1"),
            (await post(b" " * 2001, id="11"), 413, "2000"),
        ):
            assert (status, words in said["error"]) == (wanted, True), said
        assert (await client.get("/")).status_code == 405
        assert len(push.of(0)) == 1
        await push.until(lambda: "refused: 10" in push.detail)
        assert "only listens" in (await push.write("temp", 1)).detail


async def test_push_with_a_bearer_secret_and_clients_that_are_none(tmp_path: Path) -> None:
    settings = secret_file(tmp_path, "s3cret")
    async with listener({"auth": "bearer", "max_connections": 2}, settings) as (push, client):
        body = {"values": {"temp": 10}}
        assert (await client.post("/", json=body)).status_code == 401
        right = {"Authorization": "Bearer s3cret"}
        assert (await client.post("/", json=body, headers=right)).status_code == 200
        port = client.base_url.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in await asyncio.wait_for(reader.read(200), 5)
        writer.close()
        # More connections than allowed are turned away; those that are there go on.
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        ends = [asyncio.create_task(reader.read(1)) for reader, _ in held]
        done, _ = await asyncio.wait(ends, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert done
        for end, (_, writer) in zip(ends, held, strict=True):
            end.cancel()
            writer.close()
        await push.until(lambda: push.last(0) == (1.0, 0))


async def test_a_listener_for_everybody_needs_a_secret_and_a_free_port(tmp_path: Path) -> None:
    source = {"driver": "http_push", "url": "listen://0.0.0.0:8091", "options": {"auth": "none"}}
    for settings, given, words in (
        ({}, source, "without a secret everybody"),
        ({}, {**source, "options": {}}, "needs a secret"),
        (secret_file(tmp_path, "short!"), {**source, "options": {}}, "whsec_"),
        ({}, {**source, "url": "listen://127.0.0.1"}, "no place to listen"),
    ):
        with pytest.raises(ConfigError, match=words):
            async with here(given, PUSH_TAGS, settings):
                pass

    async def nobody(posted: Posted) -> Reply:
        raise AssertionError(posted)

    wire = HttpWire(nobody, 100, 1)
    port = await wire.open("127.0.0.1", 0)
    taken = {**source, "url": f"listen://127.0.0.1:{port}"}
    with pytest.raises(Exception, match="cannot listen"):
        async with here(taken, PUSH_TAGS):
            pass
    await wire.close()


async def test_a_server_that_is_stopped_is_named_at_once_also_where_tags_are_tried() -> None:
    base = f"http://127.0.0.1:{free_port()}"
    source = {"driver": "http", "url": base, "interval": 60_000}
    with pytest.raises(RetryableTransportError, match="connection refused") as raised:
        async with here(source, [tag("A", "/a")]):
            pytest.fail("connected to nothing")
    assert base in str(raised.value)
    spec = SourceSpec.model_validate({"id": "h", "edge": "e1", **source, "interval": "60s"})
    tried = TagSpec.model_validate(
        {"id": "A", "source": "h", "address": "/a", "asset": "X", "name": {"zh": "a", "en": "a"}}
    )
    (report,) = await Trial(spec, [tried], {}, SystemClock()).run(0.1, {})
    assert "connection refused" in report.wrong
    assert "check that the service runs" in report.mend
