"""Fixtures of the incidents' tests: one database for a module, emptied for each test.

Loaded as a pytest plug-in by tests/integration/test_incident*.py.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import factory_brain
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from tests.support.incident_world import EMPTY, World
from tests.support.servers import PostgresForTests

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"


@pytest.fixture(scope="module")
def migrated_url(postgres: PostgresForTests) -> Iterator[str]:
    """One database for all of them: making one anew costs more than what they do in it."""
    name = f"t_{secrets.token_hex(4)}"

    async def make() -> str:
        url = await postgres.create(name)
        await migrate(url, MIGRATIONS)
        return url

    yield asyncio.run(make())
    asyncio.run(asyncio.wait_for(postgres.drop(name), 20))


@pytest.fixture
async def plant(migrated_url: str) -> AsyncIterator[World]:
    pool = await connect_pool(migrated_url)
    await pool.execute(EMPTY)
    yield World(pool)
    await pool.close()
