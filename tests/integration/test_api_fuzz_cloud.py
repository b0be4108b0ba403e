"""Schemathesis over the REST interface of a running group cloud; and that it finds faults."""

from __future__ import annotations

import asyncio
import os

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from group_cloud.bootstrap import MIGRATIONS
from shared.clock import ManualClock, SystemClock
from shared.embedded.ports import Ports
from shared.identity.policy import User
from shared.postgres.accounts import KEPT_MS, PgAccounts
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.service import Service
from shared.web.app import WebServer
from shared.web.dto_base import Text
from tests.support.api_fuzz import fuzz, listing
from tests.support.brain_world import until
from tests.support.cloud_world import Factory, Group, outcome
from tests.support.summary import say

pytest_plugins = ("tests.support.cloud_fixtures",)
WHOLE = os.environ.get("ANDON_CHAOS") == "whole"
SEED = int(os.environ.get("ANDON_CHAOS_SEED", "20260"))


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.timeout(3600 if WHOLE else 180)
async def test_no_request_of_any_kind_breaks_the_cloud(group: Group, factory: Factory) -> None:
    await factory.say(outcome(1, "nuisance", 1.0, 5.0))
    await until(factory.all_committed)
    pool = await connect_pool(group.settings.database_url)
    accounts = PgAccounts(pool, SystemClock())
    tokens = {}
    for role, examples in (("administrator", 4), ("viewer", 1)):
        await accounts.create(f"fuzz-{role}", "correct horse battery", [role])
        token = await accounts.open_session(User(f"fuzz-{role}", (role,)), "local")
        tokens[role] = (token, examples * (25 if WHOLE else 1))
    await pool.close()
    await until(lambda: answers(group.settings.http_port))
    for role, (token, examples) in tokens.items():
        done = await asyncio.to_thread(
            fuzz, group.url, token, examples=examples, number=SEED,
            known={"site": "f1", "occurrence": "occ-1", "username": "fuzz-viewer"},
            hostile=role != "viewer",
        )  # fmt: skip
        say(f"schemathesis-cloud-{role}", done.line(role))
        assert done.operations > 20
        assert done.failures == {}, listing(done)


async def test_a_fault_would_be_found() -> None:
    app = FastAPI(openapi_url="/api/openapi.json")

    @app.get("/api/crash")
    async def crash() -> JSONResponse:
        return JSONResponse({}, status_code=500)

    @app.get("/api/shape", response_model=Text)
    async def shape() -> JSONResponse:
        return JSONResponse({"zh": 5})

    @app.get("/api/status")
    async def status() -> JSONResponse:
        return JSONResponse({}, status_code=202)

    @app.get("/api/plain")
    async def plain(n: int) -> int:
        return n

    port, service = Ports().take(0), Service()
    server = WebServer(app, "127.0.0.1", port)
    service.run("web", server.run)
    service.on_close("web", server.close)
    try:
        await until(lambda: answers(port))
        done = await asyncio.to_thread(
            fuzz, f"http://127.0.0.1:{port}", "", examples=4, number=1, known={}
        )
    finally:
        await service.shutdown()
    found = set(done.failures)
    assert "GET /api/crash: server error 500" in found
    assert any(each.startswith("GET /api/shape: ") for each in found), found
    assert any(each.startswith("GET /api/status: ") for each in found), found
    assert "GET /api/plain: no problem+json" in found


async def test_an_answer_is_repeated_for_a_day_and_no_longer(database_url: str) -> None:
    await migrate(database_url, MIGRATIONS)
    pool, clock = await connect_pool(database_url), ManualClock()
    accounts = PgAccounts(pool, clock)
    asked = ("key-00000001", "ming", "POST /api/x")
    await accounts.remember(*asked, {"n": 1})
    clock.advance(KEPT_MS - 1)
    assert await accounts.recall(*asked) == {"n": 1}
    await accounts.remember(*asked, {"n": 2})
    assert await accounts.recall(*asked) == {"n": 1}, "the first answer stays"
    clock.advance(1)
    assert await accounts.recall(*asked) is None
    await accounts.remember(*asked, {"n": 3})
    assert await accounts.recall(*asked) == {"n": 3}
    await pool.close()
