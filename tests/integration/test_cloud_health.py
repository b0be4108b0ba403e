"""The cloud says whether it is ready, and its counters, to whoever watches it."""

from __future__ import annotations

import httpx

from tests.support.cloud_world import Factory, Group, until

pytest_plugins = ("tests.support.cloud_fixtures",)


async def test_readiness_and_counters_without_a_login(group: Group, factory: Factory) -> None:
    async with httpx.AsyncClient(base_url=group.url, timeout=10) as client:

        async def ready() -> bool:
            try:
                return (await client.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(ready)
        told = (await client.get("/readyz")).json()
        assert told["ready"] is True
        names = ("database", "migrations", "bus", "consumers")
        assert told["checks"] == dict.fromkeys(names, "ok")
        assert (await client.get("/healthz")).json() == {"ok": True}
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "andon_cloud_viewers 0" in answer.text
        assert 'andon_cloud_db_connections{state="idle"}' in answer.text
