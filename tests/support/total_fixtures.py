"""Fixtures of the total set's tests: one database for all of their modules.

Each test speaks as factories of its own, so that none sees another's.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator

import pytest

from tests.support.servers import PostgresForTests


@pytest.fixture(scope="session")
def total_url(postgres: PostgresForTests, cloud_template: str) -> Iterator[str]:
    """A migrated database of the group."""
    name = f"t_{secrets.token_hex(4)}"
    yield asyncio.run(postgres.copy(cloud_template, name))
    asyncio.run(asyncio.wait_for(postgres.drop(name, owner=False), 20))
