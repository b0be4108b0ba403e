"""How much of the chaos suite runs: a seeded sample in `make test`, all of it in `make soak`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.chaos_report import ChaosReport
from tests.support.chaos_world import Factory, factory
from tests.support.servers import NatsForTests

WHOLE = os.environ.get("ANDON_CHAOS") == "whole"
SEED = int(os.environ.get("ANDON_CHAOS_SEED", "20260"))


@pytest.fixture(scope="session")
def chaos_report() -> Iterator[ChaosReport]:
    """Where campaigns note what they did; written when the whole suite ran and held."""
    report = ChaosReport(SEED, WHOLE)
    yield report
    if WHOLE and report.lines:
        report.write()


@pytest.fixture
async def upper(
    database_url: str, nats_server: NatsForTests, tmp_path: Path
) -> AsyncIterator[Factory]:
    """The factory's side."""
    async with factory(database_url, nats_server, tmp_path) as world:
        yield world


def pytest_configure(config: pytest.Config) -> None:
    """The suite's own mark."""
    config.addinivalue_line("markers", "chaos: kills, cuts, full disks; whole by `make soak`")
