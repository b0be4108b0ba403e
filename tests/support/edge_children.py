"""A child process of the edge, seen from the engine's end of its pipes; for integration tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from array import array
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from edge_node.application.ipc import (
    Configure,
    DriverState,
    FromChild,
    Samples,
    Stop,
    Texts,
    ToChild,
    Write,
    WriteResult,
    pack,
    read_from_child,
)

CHECK_S = 0.02


@dataclass
class Child:
    """A running child and all that it has said."""

    process: asyncio.subprocess.Process
    samples: list[tuple[int, int, float, int]] = field(default_factory=list)
    texts: list[tuple[int, int, str, int]] = field(default_factory=list)
    states: list[DriverState] = field(default_factory=list)
    results: dict[str, WriteResult] = field(default_factory=dict)
    others: list[FromChild] = field(default_factory=list)
    batches: int = 0

    def send(self, message: ToChild) -> None:
        """One frame to the child."""
        assert self.process.stdin is not None
        self.process.stdin.write(pack(message))

    def of(self, tag: int) -> list[tuple[int, float, int]]:
        """(time, value, quality) of one tag so far."""
        return [(t, v, q) for i, t, v, q in self.samples if i == tag]

    def last(self, tag: int) -> tuple[float, int] | None:
        """(value, quality) of the tag's newest sample."""
        seen = self.of(tag)
        return seen[-1][1:] if seen else None

    @property
    def state(self) -> str:
        """The newest state."""
        return self.states[-1].state if self.states else ""

    async def until(self, what: Callable[[], Any], seconds: float = 45.0) -> Any:
        """Wait until `what()` is true; fails with everything the child said last."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not (found := what()):
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(
                    f"not within {seconds} s; states {self.states[-3:]}, "
                    f"samples {self.samples[-8:]}, exit {self.process.returncode}"
                )
            await asyncio.sleep(CHECK_S)
        return found

    async def write(self, order: Write) -> WriteResult:
        """Send a write and wait for its answer."""
        self.send(order)
        await self.until(lambda: order.id in self.results, order.timeout_ms / 1000 + 6)
        return self.results[order.id]

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        while (message := await read_from_child(self.process.stdout)) is not None:
            match message:
                case Samples():
                    self.batches += 1
                    columns = (
                        array("i", message.tags), array("q", message.times),
                        array("d", message.values), message.qualities,
                    )  # fmt: skip
                    self.samples += zip(*columns, strict=True)
                case Texts():
                    self.texts += message.rows
                case DriverState():
                    self.states.append(message)
                case WriteResult():
                    assert message.id not in self.results, "a write was answered twice"
                    self.results[message.id] = message
                case _:
                    self.others.append(message)


@contextlib.asynccontextmanager
async def child(module: str, *args: str) -> AsyncIterator[Child]:
    """Start a child; at the end its input is closed and it must be gone within 5 s."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *args, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, env=dict(os.environ),
    )  # fmt: skip
    running = Child(process)
    listening = asyncio.create_task(running._listen())
    try:
        yield running
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 5)
        await asyncio.wait_for(listening, 2)
    finally:
        listening.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def driver(
    source: dict[str, Any], tags: list[dict[str, Any]], settings: dict[str, Any] | None = None
) -> AsyncIterator[Child]:
    """A configured driver child."""
    async with child("edge_node.driver_child", "--source", source["id"]) as running:
        running.send(Configure(source=source, tags=tags, settings=settings or {}))
        yield running


def write(id: str, address: str, value: Any, timeout_ms: int = 2000) -> Write:
    """A write order."""
    return Write(id=id, address=address, value=value, timeout_ms=timeout_ms)


__all__ = ["Child", "Stop", "child", "driver", "write"]
