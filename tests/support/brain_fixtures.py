"""Fixtures of the brain's tests: a brain on real servers, an edge spoken by the test, the web.

Loaded as a pytest plug-in by the tests/integration/test_brain*.py modules.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from factory_brain.bootstrap import Brain
from factory_brain.settings import BrainSettings
from shared.embedded.ports import Ports
from shared.paths import demo_sites
from shared.security import generate_key
from tests.support.brain_world import EDGE, FakeEdge, until
from tests.support.servers import NatsForTests


@pytest.fixture
async def brain(tmp_path: Path, nats_server: NatsForTests, brain_url: str) -> AsyncIterator[Brain]:
    private, public = generate_key()
    for name, text in {
        "app": nats_server.password.encode(), "admin": b"correct horse", "site.key": private,
        "group.pub": public,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(text)
    settings = BrainSettings(
        site="f1", site_dir=demo_sites() / "f1", playbook_dir=tmp_path, secrets_dir=tmp_path,
        state_dir=tmp_path, nats_url=nats_server.url, nats_password_file=tmp_path / "app",
        database_url=brain_url, http_port=Ports().take(0),
        admin_password_file=tmp_path / "admin",
        approval_key_file=tmp_path / "site.key", release_key_file=tmp_path / "group.pub",
        lease_ttl="1500ms",
    )  # fmt: skip
    running = await Brain.start(settings)
    yield running
    await running.service.shutdown()


@pytest.fixture
async def edge(brain: Brain, nats_server: NatsForTests) -> AsyncIterator[FakeEdge]:
    bus = await nats_server.connect(inbox=EDGE.inbox)
    fake = FakeEdge(bus)
    await asyncio.sleep(0.2)
    await fake.start()
    beating = asyncio.create_task(fake.beat())
    yield fake
    beating.cancel()
    await bus.close()


@pytest.fixture
async def web(brain: Brain) -> AsyncIterator[httpx.AsyncClient]:
    url = f"http://127.0.0.1:{brain.settings.http_port}"
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:

        async def up() -> bool:
            try:
                return (await client.get("/api/healthz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(up)
        yield client
