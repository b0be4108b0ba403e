"""The cloud's desk and store on real servers: audit, isolation, overview, rights."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg
import httpx
import pytest

from shared.bus.nats_bus import NatsBus
from shared.messages.bodies import (
    AlarmTransition,
    DirectiveReport,
    FactorySummary,
    PlaybookOutcome,
)
from shared.messages.subjects import Node
from shared.postgres.audit_verify import verify_chain
from shared.postgres.pool import connect_pool
from tests.support.cloud_world import (
    HI,
    Factory,
    Group,
    decide,
    four_labels,
    outcome,
    proposals,
    two_rollouts,
    until,
)
from tests.support.nats_world import World

pytest_plugins = ("tests.support.cloud_fixtures",)


@pytest.fixture
def web(group_web: httpx.AsyncClient) -> httpx.AsyncClient:
    """The group's interface; a name of its own in the plug-in, as the brain's has the same one."""
    return group_web


async def test_the_audit_chain_holds(group: Group, factory: Factory, web: httpx.AsyncClient):
    await two_rollouts(factory, web)
    pool = await connect_pool(group.settings.database_url)
    async with pool.acquire() as connection:
        report = await verify_chain(connection)
    await pool.close()
    assert report.holds
    assert report.entries >= 9


async def test_a_factory_speaks_of_itself_only(
    group: Group, factory: Factory, web: httpx.AsyncClient, world: World
):
    server = world.servers["cloud"]
    bus = await NatsBus.connect(
        f"nats://127.0.0.1:{server.client_port}", user="app", password=server.app_password,
        name="f2", inbox="_INBOX_f2", site="f2",
    )  # fmt: skip
    stranger = Factory(bus, Node("f2", "brain"))
    assert (await stranger.begin()).accepted
    try:
        await factory.say(*four_labels())
        [made] = await until(lambda: proposals(web, "open"))
        rollout = (await decide(web, made["id"])).json()["rollout"]
        await stranger.say(
            outcome(1, "true", 1231.0, 2.0),
            FactorySummary(
                site="f1", names={}, active=99, unacked=99, worst_priority=1, edges_online=0,
                edges_total=0,
            ),
            DirectiveReport(directive=rollout["directive"], counter=1, status="rolled_back"),
            DirectiveReport(directive=rollout["directive"], counter=1, status="applied"),
        )  # fmt: skip
        await until(stranger.all_committed)
        assert (await stranger.hello("f1.brain")).code == "source_forged"
    finally:
        await bus.close()
    assert await group.db.fetchval("SELECT label FROM outcome WHERE occurrence = 'occ-1'") == (
        "nuisance"
    )
    assert await group.db.fetchval("SELECT max(active) FROM factory") == 0
    [shown] = await proposals(web, "approved")
    assert shown["rollout"]["status"] in ("signed", "sent")


async def test_cut_database_connections_lose_nothing(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    outside = await asyncpg.connect(group.settings.database_url, ssl=False)
    try:
        for record in four_labels():
            await factory.say(record)
            await outside.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = current_user AND pid <> pg_backend_pid()"
            )
        for again in range(20):
            # As the sender's drainer does: what is not reported committed is sent again.
            for frame in factory.sent:
                if frame.last > factory.committed:
                    await factory.resend(frame, f":{again}")
            with suppress(TimeoutError):
                await until(factory.all_committed, 2)
                break
        assert await factory.all_committed()
        found = await until(lambda: outside.fetch("SELECT * FROM proposal"), 45)
        assert [row["status"] for row in found] == ["open"]
        assert await outside.fetchval("SELECT count(*) FROM group_event") == 4
        assert await outside.fetchval("SELECT max(seq) FROM watermark") == 4
    finally:
        await outside.close()


async def test_the_overview_and_its_stream(group: Group, factory: Factory, web: httpx.AsyncClient):
    seen: list[str] = []
    all_seen = asyncio.Event()

    async def watch() -> None:
        async with web.stream("GET", "/api/stream", timeout=20) as answer:
            async for line in answer.aiter_lines():
                seen.append(line)
                if '"active":3' in line:
                    all_seen.set()

    watching = asyncio.create_task(watch())
    await factory.beat()
    transition = AlarmTransition(
        alarm=HI.id, occurrence="o", version=1, annunciated_version=1, kind="raised",
        annunciate=True, state={}, settings_version=1, priority=3, asset="FUR-01", tag="TT-101",
    )  # fmt: skip
    run = PlaybookOutcome(
        run="r1", playbook="p", version=1, alarm=HI.id, occurrence="o", status="success",
        success=True,
    )  # fmt: skip
    await factory.say(
        FactorySummary(
            site="f1", names={"zh": "一号工厂", "en": "Factory 1"}, active=3, unacked=2,
            worst_priority=1, edges_online=2, edges_total=2,
        ),
        transition,
        run,
        outcome(1, "nuisance", 1231.0, 2.0),
        outcome(2, "", 1231.0, 2.0),
    )  # fmt: skip
    try:
        await asyncio.wait_for(all_seen.wait(), 10)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert "event: factories" in seen
    assert "event: proposals" in seen
    [shown] = (await web.get("/api/factories")).json()["factories"]
    assert shown["name"]["zh"] == "一号工厂"
    assert (shown["active"], shown["unacked"], shown["worst_priority"]) == (3, 2, 1)
    assert (shown["events"], shown["outcomes"]) == (4, 1)
    assert shown["online"]
    assert shown["lanes"]["live"]["produced"] >= 0
    assert await group.db.fetchval("SELECT status FROM playbook_outcome WHERE run = 'r1'")
    assert (await web.get("/api/healthz")).json() == {"ok": True}


async def test_decisions_need_a_right_a_reason_and_the_same_origin(
    group: Group, factory: Factory, web: httpx.AsyncClient
):
    await factory.say(*four_labels())
    [made] = await until(lambda: proposals(web, "open"))
    path = f"/api/proposals/{made['id']}/decision"
    body = {"decision": "approve", "reason": "x"}
    key = {"Idempotency-Key": "key-1234"}
    assert (await web.post(path, json=body)).status_code == 422
    assert (await web.post(path, json={**body, "reason": ""}, headers=key)).status_code == 422
    foreign = await web.post(path, json=body, headers={**key, "Origin": "http://evil.example"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "cross_site")
    assert (await decide(web, "no-such")).status_code == 404
    async with httpx.AsyncClient(base_url=group.url) as nobody:
        assert (await nobody.post(path, json=body, headers=key)).status_code == 401
        assert (await nobody.get("/api/proposals")).status_code == 401
    assert group.cloud is not None
    from shared.postgres.accounts import PgAccounts

    await PgAccounts(group.db, group.cloud.clock).create("li", "operator-pass", ["operator"])
    async with httpx.AsyncClient(base_url=group.url) as operator:
        login = {"username": "li", "password": "operator-pass"}
        assert (await operator.post("/api/session", json=login)).status_code == 204
        assert len((await operator.get("/api/proposals")).json()["proposals"]) == 1
        answer = await operator.post(path, json=body, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert (await proposals(web, "open"))[0]["id"] == made["id"]
