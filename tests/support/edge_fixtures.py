"""Fixtures of the edge engine's tests: servers, a brain, a running engine.

Loaded as a pytest plug-in by the tests/integration/test_edge_engine*.py modules.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.edge_world import Brain, Engine, World, world


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


@pytest.fixture
async def above(servers: World) -> AsyncIterator[Brain]:
    made = await servers.brain()
    yield made
    await made.stop()


@pytest.fixture
async def engine(servers: World, tmp_path: Path) -> AsyncIterator[Engine]:
    made = Engine(tmp_path, servers.url("f9-e9"))
    made.start()
    try:
        await made.ready()
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.kill()
