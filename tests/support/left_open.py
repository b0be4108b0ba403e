"""A test that fails leaves its connections open: they are ended with it, not by a later collection.

Without this, what the body of a failed test would have closed lives in its traceback, and warns as
an unclosed transport in some later test of the same worker, which then fails for nothing.
"""

from __future__ import annotations

import asyncio
import inspect
from asyncio.base_events import Server
from collections.abc import Generator, Iterator
from typing import Any

import pytest

FAILED = pytest.StashKey[bool]()
TURNS = 5
"""Of the loop, in which what was aborted lets go of its sockets."""
ENDS_S = 5.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test has failed; kept where its fixtures look."""
    report = yield
    if call.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture(autouse=True)
def nothing_outlives_a_failure(request: pytest.FixtureRequest) -> Iterator[None]:
    """Made before all else of an asynchronous test, so that it ends after all of that."""
    said = request.node.get_closest_marker("asyncio")
    of_module = said is not None and said.kwargs.get("loop_scope", "function") != "function"
    if of_module or not inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        yield
        return
    runner: asyncio.Runner = request.getfixturevalue("_function_scoped_runner")
    yield
    if request.node.stash.get(FAILED, True):
        runner.run(_end_all(runner.get_loop()))


async def _end_all(loop: Any) -> None:
    """End each listener, child process and transport that the loop still watches."""
    children: set[Any] = set()
    for key in list((loop._selector.get_map() or {}).values()):
        for handle in filter(None, key.data or ()):
            owner = getattr(handle._callback, "__self__", None)
            for server in (each for each in handle._args or () if isinstance(each, Server)):
                server.close()
            child = getattr(getattr(owner, "_protocol", None), "proc", None)
            if child is not None:
                children.add(child)
            elif isinstance(owner, asyncio.BaseTransport):
                getattr(owner, "abort", owner.close)()
    for child in children:
        child.close()  # which kills it
        await asyncio.wait_for(child._wait(), ENDS_S)
    for _ in range(TURNS):
        await asyncio.sleep(0)
