"""Fixtures of the incidents' tests: one database for a module, emptied for each test.

Loaded as a pytest plug-in by tests/integration/test_incident*.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.postgres.pool import connect_pool
from tests.support.incident_world import EMPTY, World
from tests.support.migrated import migrated_url

__all__ = ["migrated_url", "plant"]


@pytest.fixture
async def plant(migrated_url: str) -> AsyncIterator[World]:
    pool = await connect_pool(migrated_url)
    await pool.execute(EMPTY)
    yield World(pool)
    await pool.close()
