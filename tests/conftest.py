"""Fixtures of the whole suite: real PostgreSQL and real NATS on ports that the system picks."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import factory_brain
import group_cloud
from shared.postgres.migrate import migrate
from tests.support import summary
from tests.support.left_open import nothing_outlives_a_failure as nothing_outlives_a_failure
from tests.support.left_open import pytest_runtest_makereport as pytest_runtest_makereport
from tests.support.running import RunningSystem, new_state_folder
from tests.support.servers import NatsForTests, PostgresForTests, start_postgres

DESIGN = Path(__file__).resolve().parent.parent.parent / "shared"
"""Data and oracles from outside the project, where they are present."""
BRAIN_MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"
CLOUD_MIGRATIONS = Path(group_cloud.__file__).parent / "adapters" / "postgres" / "migrations"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which identity server ran, and how much of the role matrix was walked."""
    for line in summary.lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def outside_data() -> Path:
    """The folder of oracles and data beside the project; skips loudly where it is not."""
    if not (DESIGN / "oracles").is_dir():
        pytest.skip("NOT RUN: the oracles beside the project are not here")
    return DESIGN


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresForTests]:
    """One real PostgreSQL for the session."""
    server = start_postgres(tmp_path_factory.mktemp("pg"))
    asyncio.run(server.spare_the_disk())
    yield server
    server.stop()


@pytest.fixture
async def database_url(postgres: PostgresForTests) -> AsyncIterator[str]:
    """A new empty database; dropped afterwards."""
    name = f"t_{secrets.token_hex(4)}"
    url = await postgres.create(name)
    yield url
    await asyncio.wait_for(postgres.drop(name), 20)


@pytest.fixture(scope="session")
def brain_template(postgres: PostgresForTests) -> Iterator[str]:
    """A brain's database as it is when nothing has happened yet; nobody writes to it."""
    name = f"t_{secrets.token_hex(4)}"

    async def make() -> str:
        url = await postgres.create(name)
        await migrate(url, BRAIN_MIGRATIONS)
        return url

    yield asyncio.run(make())
    asyncio.run(asyncio.wait_for(postgres.drop(name), 20))


@pytest.fixture
async def brain_url(postgres: PostgresForTests, brain_template: str) -> AsyncIterator[str]:
    """A new database of a brain, migrated already (copied: that costs a fraction); then dropped."""
    name = f"t_{secrets.token_hex(4)}"
    yield await postgres.copy(brain_template, name)
    await asyncio.wait_for(postgres.drop(name, owner=False), 20)


@pytest.fixture(scope="session")
def cloud_template(postgres: PostgresForTests) -> Iterator[str]:
    """The group's database as it is when nothing has happened yet; nobody writes to it."""
    name = f"t_{secrets.token_hex(4)}"

    async def make() -> str:
        url = await postgres.create(name)
        await migrate(url, CLOUD_MIGRATIONS)
        return url

    yield asyncio.run(make())
    asyncio.run(asyncio.wait_for(postgres.drop(name), 20))


@pytest.fixture
async def cloud_url(postgres: PostgresForTests, cloud_template: str) -> AsyncIterator[str]:
    """A new database of the group, migrated already (copied); then dropped."""
    name = f"t_{secrets.token_hex(4)}"
    yield await postgres.copy(cloud_template, name)
    await asyncio.wait_for(postgres.drop(name, owner=False), 20)


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsForTests]:
    """One real nats-server with JetStream, new for the test."""
    server = NatsForTests(tmp_path / "nats")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def running_system() -> Iterator[RunningSystem]:
    """The whole system, started once for the session as a user starts it."""
    system = RunningSystem(new_state_folder())
    system.start()
    yield system
    system.stop()
    system.remove()
