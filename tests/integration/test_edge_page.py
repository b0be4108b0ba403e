"""The local page's child over real HTTP, with the test at the engine's end of the pipes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from edge_node.application.ipc import (
    OperatorAction,
    OperatorResult,
    PageAnswer,
    PageQuery,
    PageStatus,
)
from edge_node.application.status import AlarmStatus, EdgeStatus, Names, encode_status
from tests.support.edge_children import Child, child

pytestmark = pytest.mark.timeout(60)
MAX_BYTES = 60 * 2**20
KEY = {"Idempotency-Key": "key-0001"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def status(version: int) -> EdgeStatus:
    alarm = AlarmStatus(
        alarm="FUR-01.TT-101.HIHI", occurrence="o1", version=version,
        annunciated_version=1, name=Names("一段炉温高高", "Zone 1 over-temperature"), priority=1,
        state="unacknowledged", isa="B", active=True, acked=False, value=1290.0, limit=1280.0,
        unit="°C", raised_at=1_700_000_000_000, tag="TT-101", asset="FUR-01",
    )  # fmt: skip
    return EdgeStatus(
        site="f1", edge="e1", name=Names("加热炉", "Furnace"), at=1_700_000_000_000,
        brain_reachable=False, brain_lost_since=1_699_999_000_000, backlog=12, annunciating=True,
        horn=True, alarms=[alarm],
    )  # fmt: skip


def request(*occurrences: str, actor: str = "wang") -> dict[str, Any]:
    items = [{"alarm": "FUR-01.TT-101.HIHI", "occurrence": o, "version": 3} for o in occurrences]
    return {"items": items, "actor": actor, "comment": "seen"}


@contextlib.asynccontextmanager
async def page(*args: str) -> AsyncIterator[tuple[Child, httpx.AsyncClient]]:
    port = free_port()
    async with child("edge_node.page_child", "--port", str(port), *args) as running:
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as http:
            for _ in range(200):
                with contextlib.suppress(httpx.HTTPError):
                    await http.get("/api/healthz")
                    break
                await asyncio.sleep(0.05)
            yield running, http


def actions(engine: Child) -> list[OperatorAction]:
    return [m for m in engine.others if isinstance(m, OperatorAction)]


async def test_status_goes_through_and_reaches_the_stream() -> None:
    async with page() as (engine, http):
        assert (await http.get("/api/status")).json()["code"] == "engine_starting"
        first = encode_status(status(1))
        engine.send(PageStatus(json=first))
        for _ in range(100):
            if (await http.get("/api/status")).content == first:
                break
            await asyncio.sleep(0.02)
        assert (await http.get("/api/status")).content == first
        async with http.stream("GET", "/api/stream") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "event: status"
            assert (await anext(lines)) == "data: " + first.decode()
            second = encode_status(status(2))
            engine.send(PageStatus(json=second))
            assert [await anext(lines) for _ in range(3)][2] == "data: " + second.decode()
        memory = psutil.Process(engine.process.pid).memory_info().rss
        assert memory <= MAX_BYTES, f"{memory / 2**20:.0f} MiB"


async def test_an_acknowledgement_is_passed_on_once_and_answered_row_by_row() -> None:
    async with page() as (engine, http):
        asking = [
            asyncio.create_task(http.post("/api/alarms/ack", json=request("o1", "o2"), headers=KEY))
            for _ in range(2)  # a double click
        ]
        await engine.until(lambda: len(actions(engine)) == 2)
        for action in actions(engine):
            assert (action.action, action.actor, action.version) == ("acknowledge", "wang", 3)
            assert action.args == {"comment": "seen"}
            good = action.occurrence == "o1"
            code = "ok" if good else "occurrence_unknown"
            engine.send(OperatorResult(id=action.id, accepted=good, code=code))
        answers = [answer.json()["results"] for answer in await asyncio.gather(*asking)]
        assert answers[0] == answers[1]
        assert [(r["occurrence"], r["accepted"], r["code"]) for r in answers[0]] == [
            ("o1", True, "ok"), ("o2", False, "occurrence_unknown"),
        ]  # fmt: skip
        again = await http.post("/api/alarms/ack", json=request("o1", "o2"), headers=KEY)
        assert again.json()["results"] == answers[0]
        assert len(actions(engine)) == 2


async def test_an_engine_that_does_not_answer_is_said_so() -> None:
    async with page() as (_, http):
        answer = await http.post("/api/alarms/ack", json=request("o1"), headers=KEY)
        assert answer.json()["results"][0]["code"] == "engine_did_not_answer"


@pytest.mark.parametrize(
    ("headers", "body", "wanted"),
    [
        ({}, request("o1"), 422),
        (KEY, request("o1", actor=""), 422),
        (KEY, {**request("o1"), "extra": 1}, 422),
        (KEY | {"Origin": "http://evil.example"}, request("o1"), 403),
        (KEY | {"Host": "evil.example"}, request("o1"), 400),
    ],
    ids=["no-key", "no-actor", "extra", "cross-site", "rebinding"],
)
async def test_what_is_not_an_operator_s_request_never_reaches_the_engine(
    headers: dict[str, str], body: dict[str, Any], wanted: int
) -> None:
    async with page() as (engine, http):
        answer = await http.post("/api/alarms/ack", json=body, headers=headers)
        assert answer.status_code == wanted
        assert not actions(engine)


async def test_the_page_is_self_contained_and_its_policy_fits_it() -> None:
    async with page() as (_, http):
        answer = await http.get("/")
        assert answer.status_code == 200
        named = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
        assert len(named) >= 5
        assert not re.search(r"<style|style=|onclick|<script>", answer.text)
        texts = [answer.text]
        for path in named:
            if path != "data:,":
                assert path.startswith("/assets/")
                part = await http.get(path)
                assert part.status_code == 200, path
                texts.append(part.text)
        for text in texts:
            assert not re.search(r"https?://|[\"'(]//[a-z]", text)
            assert "innerHTML" not in text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert (await http.get("/assets/local_api.py")).status_code == 404


async def test_every_action_goes_to_the_engine_with_what_it_needs() -> None:
    async with page() as (engine, http):
        items = request("o1")["items"]
        body = {
            "action": "shelve", "items": items, "actor": "wang",
            "args": {"minutes": 30, "reason": "sensor change"},
        }  # fmt: skip
        asking = asyncio.create_task(http.post("/api/alarms/act", json=body, headers=KEY))
        await engine.until(lambda: len(actions(engine)) == 1)
        action = actions(engine)[0]
        assert (action.action, action.args) == (
            "shelve", {"minutes": 30.0, "reason": "sensor change"},
        )  # fmt: skip
        engine.send(OperatorResult(id=action.id, accepted=False, code="safety_alarm"))
        assert (await asking).json()["results"][0]["code"] == "safety_alarm"
        for wrong in ({"action": "explode"}, {"args": {"minutes": -1}}, {"args": {"sql": 1}},
                      {"items": []}):  # fmt: skip
            answer = await http.post("/api/alarms/act", json={**body, **wrong}, headers=KEY)
            assert answer.status_code == 422, wrong
        assert len(actions(engine)) == 1


async def test_a_look_up_is_answered_by_the_engine_or_refused_with_its_code() -> None:
    async with page() as (engine, http):
        asking = asyncio.create_task(http.get("/api/trend", params={"tag": "TT-1", "most": 50}))
        await engine.until(lambda: bool([m for m in engine.others if isinstance(m, PageQuery)]))
        query = next(m for m in engine.others if isinstance(m, PageQuery))
        assert (query.what, query.args["tag"], query.args["most"]) == ("trend", "TT-1", 50)
        engine.send(PageAnswer(id=query.id, json=b'{"t": [1]}'))
        assert (await asking).json() == {"t": [1]}
        asking = asyncio.create_task(http.get("/api/trend", params={"tag": "NO"}))
        await engine.until(lambda: len([m for m in engine.others if isinstance(m, PageQuery)]) == 2)
        query = [m for m in engine.others if isinstance(m, PageQuery)][1]
        engine.send(PageAnswer(id=query.id, code="unknown_tag", params={"tag": "NO"}))
        refused = await asking
        assert (refused.status_code, refused.json()["code"]) == (404, "unknown_tag")


async def test_a_password_guards_the_data(tmp_path: Path) -> None:
    secret = tmp_path / "page-password"
    secret.write_text("correct horse\n", encoding="utf-8")
    async with page("--password-file", str(secret)) as (engine, http):
        engine.send(PageStatus(json=encode_status(status(1))))
        for path in ("/api/status", "/api/stream"):
            assert (await http.get(path)).json()["code"] == "not_logged_in"
        refused = await http.post("/api/alarms/ack", json=request("o1"), headers=KEY)
        assert refused.status_code == 401
        assert not actions(engine)
        wrong = await http.post("/api/session", json={"password": "guess"})
        assert wrong.json()["code"] == "wrong_password"
        good = await http.post("/api/session", json={"password": "correct horse"})
        assert good.status_code == 204
        cookie = good.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert (await http.get("/api/status")).status_code == 200
        http.cookies.clear()
        for _ in range(6):
            last = await http.post("/api/session", json={"password": "guess"})
        assert last.json()["code"] == "too_many_attempts"


@pytest.mark.parametrize(
    ("host", "password", "taken", "words"),
    [
        ("127.0.0.1", None, True, "free the port"),
        ("0.0.0.0", None, False, "--password-file"),
        ("127.0.0.1", "missing", False, "create the file"),
    ],
)
async def test_a_page_that_cannot_start_says_why(
    tmp_path: Path, host: str, password: str | None, taken: bool, words: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1] if taken else free_port()
        args = ["--port", str(port), "--host", host]
        if password:
            args += ["--password-file", str(tmp_path / password)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge_node.page_child", *args,
            stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, errors = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 2
    assert words in errors.decode()
    assert "Traceback" not in errors.decode()
