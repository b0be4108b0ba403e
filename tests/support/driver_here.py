"""A driver in the test's own process: quicker than a child, and its parts can be looked at."""

from __future__ import annotations

import asyncio
import contextlib
from array import array
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from edge_node.adapters.sources import registry
from edge_node.adapters.sources.port import Driver
from edge_node.application.ipc import Configure, Write, WriteResult
from shared.clock import SystemClock


@dataclass
class Here:
    """A running driver and all that it has said."""

    driver: Driver = field(init=False)
    samples: list[tuple[int, int, float, int]] = field(default_factory=list)
    texts: list[tuple[int, int, str, int]] = field(default_factory=list)
    states: list[tuple[str, str]] = field(default_factory=list)
    task: asyncio.Task[None] = field(init=False)

    def sample(self, *row: Any) -> None:
        self.samples.append(row)

    def columns(self, tags: bytes, times: bytes, values: bytes, qualities: bytes) -> None:
        columns = array("i", tags), array("q", times), array("d", values), qualities
        self.samples += zip(*columns, strict=True)

    def text(self, *row: Any) -> None:
        self.texts.append(row)

    def state(self, state: str, detail: str = "") -> None:
        if not self.states or self.states[-1] != (state, detail):
            self.states.append((state, detail))

    def of(self, index: int) -> list[tuple[int, float, int]]:
        """(time, value, quality) of one tag so far."""
        return [(t, v, q) for i, t, v, q in self.samples if i == index]

    def last(self, index: int) -> tuple[float, int] | None:
        """(value, quality) of the tag's newest sample."""
        seen = self.of(index)
        return seen[-1][1:] if seen else None

    @property
    def detail(self) -> str:
        """Of the newest state."""
        return self.states[-1][1] if self.states else ""

    async def until(self, what: Callable[[], Any], seconds: float = 10.0) -> None:
        """Wait until it is true; fails with what was said, or with the driver's own fault."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not what():
            if self.task.done():
                await self.task
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"not within {seconds} s: {self.states} {self.samples[-6:]}")
            await asyncio.sleep(0.01)

    async def write(self, address: str, value: Any, ms: int = 2000, id: str = "w") -> WriteResult:
        """Order one write."""
        return await self.driver.write(Write(id=id, address=address, value=value, timeout_ms=ms))


@contextlib.asynccontextmanager
async def here(
    source: dict[str, Any], tags: list[dict[str, Any]], settings: dict[str, Any] | None = None
) -> AsyncIterator[Here]:
    """Connect and run a driver; closed at the end."""
    heard = Here()
    message = Configure(source={"id": "s", "interval": 50, **source}, tags=tags,
                        settings=settings or {})  # fmt: skip
    _, heard.driver = registry.build(message, heard, SystemClock())
    try:
        await asyncio.wait_for(heard.driver.connect(), 12)
        heard.task = asyncio.create_task(heard.driver.run())
        try:
            yield heard
        finally:
            heard.task.cancel()
            await asyncio.wait([heard.task], timeout=5)
            if not heard.task.cancelled():
                heard.task.exception()
    finally:
        await asyncio.wait_for(heard.driver.close(), 5)
