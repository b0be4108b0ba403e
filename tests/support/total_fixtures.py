"""Fixtures of the total set's tests: one database for all of their modules.

Each test speaks as factories of its own, so that none sees another's.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator

import pytest

from group_cloud.bootstrap import MIGRATIONS
from shared.postgres.migrate import migrate
from tests.support.servers import PostgresForTests


@pytest.fixture(scope="session")
def total_url(postgres: PostgresForTests) -> Iterator[str]:
    """A migrated database of the group."""
    name = f"t_{secrets.token_hex(4)}"

    async def make() -> str:
        url = await postgres.create(name)
        await migrate(url, MIGRATIONS)
        return url

    yield asyncio.run(make())
    asyncio.run(asyncio.wait_for(postgres.drop(name), 20))
