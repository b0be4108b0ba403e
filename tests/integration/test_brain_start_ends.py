"""A brain whose start is broken off, wherever, leaves nothing behind: no lease, no connection."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from factory_brain.bootstrap import Brain, group
from factory_brain.settings import BrainSettings
from shared.bus.nats_bus import NatsBus
from shared.embedded.ports import Ports
from shared.paths import demo_sites, playbook_library
from shared.security import generate_key
from tests.support.servers import NatsForTests


class TornError(BaseException):
    """What no `except Exception` sees."""


@pytest.fixture
def settings(tmp_path: Path, brain_url: str, nats_server: NatsForTests) -> BrainSettings:
    private, public = generate_key()
    files = {"nats-pw": b"test-app", "admin": b"correct horse", "key": private, "pub": public}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return BrainSettings(
        site="f1", site_dir=demo_sites() / "f1", state_dir=tmp_path, secrets_dir=tmp_path,
        playbook_dir=playbook_library(), approval_key_file=tmp_path / "key",
        release_key_file=tmp_path / "pub", nats_url=nats_server.url, database_url=brain_url,
        nats_password_file=tmp_path / "nats-pw", http_port=Ports().take(0),
        admin_password_file=tmp_path / "admin",
    )  # fmt: skip


@pytest.fixture
def buses(monkeypatch: pytest.MonkeyPatch) -> list[NatsBus]:
    """Every bus that is connected."""
    made: list[NatsBus] = []
    connect = NatsBus.connect

    async def noted(*given: Any, **named: Any) -> NatsBus:
        made.append(await connect(*given, **named))
        return made[-1]

    monkeypatch.setattr(NatsBus, "connect", noted)
    return made


async def nothing_is_left(url: str, buses: list[NatsBus], before: set[asyncio.Task[Any]]) -> None:
    database = await asyncpg.connect(url, ssl=False)
    try:
        held = "SELECT count(*) FROM lease WHERE until > clock_timestamp()"
        others = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        assert await database.fetchval(held) == 0
        assert await database.fetchval("SELECT count(*) FROM brain") == 0
        async with asyncio.timeout(10):
            while await database.fetchval(others):  # the server notices a moment later
                await asyncio.sleep(0.02)
    finally:
        await database.close()
    assert [bus.closed for bus in buses] == [True]
    assert {task.get_name() for task in asyncio.all_tasks() - before} == set()


async def test_torn_while_it_prepares(
    settings: BrainSettings, buses: list[NatsBus], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = asyncio.all_tasks()

    async def torn(_: Any) -> Any:
        raise TornError

    with monkeypatch.context() as broken:
        broken.setattr(group, "playbooks", torn)
        with pytest.raises(TornError):
            await Brain.start(settings)
    await nothing_is_left(settings.database_url, buses, before)


async def test_torn_while_it_connects(
    settings: BrainSettings, buses: list[NatsBus], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = asyncio.all_tasks()

    async def torn(*_: Any) -> Any:
        raise TornError

    with monkeypatch.context() as broken:
        broken.setattr("factory_brain.bootstrap.open_rest", torn)
        with pytest.raises(TornError):
            await Brain.start(settings)
    await nothing_is_left(settings.database_url, buses, before)


async def test_cancelled_when_it_holds_leases_already(
    settings: BrainSettings, buses: list[NatsBus]
) -> None:
    before = asyncio.all_tasks()
    start = asyncio.create_task(Brain.start(settings))
    database = await asyncpg.connect(settings.database_url, ssl=False)
    try:
        async with asyncio.timeout(60):
            while not await database.fetchval("SELECT count(*) FROM lease WHERE until > now()"):
                assert not start.done(), start
                await asyncio.sleep(0.005)
    finally:
        await database.close()
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    await nothing_is_left(settings.database_url, buses, before)
