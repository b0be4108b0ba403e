"""Every route of the running group cloud as every role."""

from __future__ import annotations

import httpx

from group_cloud.web.app import openapi_app
from shared.clock import SystemClock
from shared.messages.bodies import AuditHead, FactorySummary
from shared.postgres.accounts import PgAccounts
from shared.postgres.pool import connect_pool
from tests.support.cloud_world import Factory, Group, until
from tests.support.role_matrix import sessions, walk
from tests.support.summary import say

pytest_plugins = ("tests.support.cloud_fixtures",)


async def test_every_route_as_every_role(group: Group) -> None:
    pool = await connect_pool(group.settings.database_url)
    tokens = await sessions(PgAccounts(pool, SystemClock()))
    await pool.close()

    async def up() -> bool:
        try:
            async with httpx.AsyncClient(base_url=group.url) as client:
                return (await client.get("/api/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    await until(up)
    done = await walk(openapi_app(), group.url, tokens)
    assert done.wrong == []
    assert done.routes > 10
    line = f"{done.routes} routes x {len(tokens)} roles = {done.checks} checks (group cloud)"
    say("role-matrix-cloud", line)


async def test_the_head_of_a_factorys_log_is_kept_as_a_witness(
    group: Group, factory: Factory
) -> None:
    totals = dict(
        site="f1", names={}, active=0, unacked=0, worst_priority=None, edges_online=0, edges_total=0
    )
    heads = [AuditHead(n, f"h{n}", 1, b"s") for n in (7, 9)]
    await factory.say(*(FactorySummary(**totals, audit=head) for head in heads))  # type: ignore[arg-type]
    await until(factory.all_committed)
    rows = await group.db.fetch("SELECT site, id, hash FROM audit_witness ORDER BY id")
    assert [tuple(row) for row in rows] == [("f1", 7, "h7"), ("f1", 9, "h9")]
