"""A factory's database for a module of tests: making one anew costs more than what they do in it.

Imported by the plug-ins of fixtures and by tests; itself no plug-in, so any of them may come first.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

import factory_brain
from shared.postgres.migrate import migrate
from tests.support.servers import PostgresForTests

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"


@pytest.fixture(scope="module")
def migrated_url(postgres: PostgresForTests) -> Iterator[str]:
    """One database for all tests of a module."""
    name = f"t_{secrets.token_hex(4)}"

    async def make() -> str:
        url = await postgres.create(name)
        await migrate(url, MIGRATIONS)
        return url

    yield asyncio.run(make())
    asyncio.run(asyncio.wait_for(postgres.drop(name), 20))
