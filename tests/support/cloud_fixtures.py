"""Fixtures of the cloud tests: a running group cloud, a factory, a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from shared.bus.nats_bus import NatsBus
from tests.support.cloud_world import (
    NODE,
    Factory,
    Group,
    until,
)
from tests.support.nats_world import World, running_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running_world(tmp_path_factory.mktemp("nats")) as made:
        yield made


@pytest.fixture
async def group(world: World, cloud_url: str, tmp_path: Path) -> AsyncIterator[Group]:
    # The servers serve all tests of this file: what an earlier one left must not come back.
    hub = await world.connect("cloud")
    await hub.jetstream().purge_stream("EVENTS")
    await hub.close()
    made = Group(world, cloud_url, tmp_path)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def factory(world: World, group: Group) -> AsyncIterator[Factory]:
    server = world.servers["f1"]
    bus = await NatsBus.connect(
        f"nats://127.0.0.1:{server.client_port}", user="app", password=server.app_password,
        name="brain-f1", inbox=NODE.inbox, site="f1",
    )  # fmt: skip
    made = Factory(bus)
    welcome = await made.begin()
    assert welcome.accepted
    yield made
    await bus.close()


@pytest.fixture
async def group_web(group: Group) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=group.url, timeout=10) as client:

        async def logged_in() -> bool:
            try:
                answer = await client.post(
                    "/api/session", json={"username": "admin", "password": "correct horse"}
                )
            except httpx.ConnectError:
                return False
            return answer.status_code == 204

        await until(logged_in)
        yield client
