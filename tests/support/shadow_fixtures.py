"""Fixture of shadow counting: one database for a module, emptied for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.postgres.pool import connect_pool
from tests.support.incident_world import World
from tests.support.migrated import migrated_url
from tests.support.shadow_world import CLEAN, Shadow

__all__ = ["migrated_url", "shadow"]


@pytest.fixture
async def shadow(migrated_url: str) -> AsyncIterator[Shadow]:
    pool = await connect_pool(migrated_url)
    await pool.execute(CLEAN)
    yield Shadow(World(pool))
    await pool.close()
