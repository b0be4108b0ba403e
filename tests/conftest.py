"""Fixtures of the whole suite: real PostgreSQL and real NATS on ports that the system picks."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support import summary
from tests.support.running import RunningSystem, new_state_folder
from tests.support.servers import NatsForTests, PostgresForTests, start_postgres

DESIGN = Path(__file__).resolve().parent.parent.parent / "shared"
"""Data and oracles from outside the project, where they are present."""


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
    yield server
    server.stop()


@pytest.fixture
async def database_url(postgres: PostgresForTests) -> AsyncIterator[str]:
    """A new empty database; dropped afterwards."""
    name = f"t_{secrets.token_hex(4)}"
    url = await postgres.create(name)
    yield url
    await asyncio.wait_for(postgres.drop(name), 20)


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
