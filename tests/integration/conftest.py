"""What a test leaves open strikes the module that left it, not a later one at random."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _nothing_left_open() -> Iterator[None]:
    """Collects once a module has ended: an unclosed socket is then told with its own tests."""
    yield
    gc.collect()
