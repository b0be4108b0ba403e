"""Lives of brains by fork, and lanes: worlds side by side in which they live and are killed.

One process has imported everything and forks a brain per life; every lane has a database, a bus
and an edge of its own, so that several runs are killed at a time and none meets another's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.playbook_crash import CrashWorld, crash_world
from tests.support.servers import NatsForTests, PostgresForTests

LONGEST_S = 150


@dataclass
class Life:
    """One fork of a brain."""

    pid: int
    points: Path
    over: asyncio.Future[int]
    """The status it ended with."""

    async def end(self) -> int | None:
        """Wait for its end: how many points it passed, None if it was killed."""
        status = await asyncio.wait_for(self.over, LONGEST_S)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return None
        told = self.points.read_text()
        self.points.unlink()
        assert told.isdigit(), told
        return int(told)

    def kill(self) -> None:
        """SIGKILL, unless it is over."""
        if not self.over.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def _tell(future: asyncio.Future[int], what: int) -> None:
    if not future.done():  # whoever waited may have been cancelled
        future.set_result(what)


@dataclass
class Nursery:
    """The process that forks lives."""

    folder: Path
    lives: int = 0
    living: dict[str, Life] = field(default_factory=dict)
    kills: int = 0
    cpu_s: float = 0.0
    _born: dict[str, asyncio.Future[int]] = field(default_factory=dict)
    _over: dict[str, asyncio.Future[int]] = field(default_factory=dict)

    async def start(self) -> None:
        """Import everything once."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.playbook_brain",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._ear = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if not line.startswith(b'{"life"'):
                continue
            told = json.loads(line)
            name = told["life"]
            if "pid" in told:
                _tell(self._born.pop(name), told["pid"])
                continue
            self.cpu_s += told["cpu"]
            self.kills += os.WIFSIGNALED(told["status"])
            self.living.pop(name, None)
            _tell(self._over.pop(name), told["status"])

    async def begin(self, order: dict[str, Any]) -> Life:
        """Begin a life."""
        assert self._process.stdin is not None
        self.lives += 1
        name = str(self.lives)
        loop = asyncio.get_running_loop()
        born = self._born[name] = loop.create_future()
        over = self._over[name] = loop.create_future()
        points = self.folder / f"points-{name}"
        whole = {**order, "life": name, "points": str(points)}
        self._process.stdin.write(json.dumps(whole).encode() + b"\n")
        await self._process.stdin.drain()
        life = Life(await asyncio.wait_for(born, 120), points, over)
        if not over.done():
            self.living[name] = life
        return life

    async def stop(self) -> None:
        """End it and whoever lives."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), 20)
        await self._ear


@dataclass
class Lane:
    """A world and the brains that live in it."""

    world: CrashWorld
    nursery: Nursery

    async def begin(self, **more: Any) -> Life:
        """Begin a life."""
        return await self.nursery.begin({**self.world.order, **more})

    async def life(self, **more: Any) -> int | None:
        """One whole life: how many points it passed, None if it was killed."""
        return await (await self.begin(**more)).end()


@contextlib.asynccontextmanager
async def lanes(number: int, postgres: PostgresForTests, folder: Path) -> AsyncIterator[list[Lane]]:
    """So many lanes, all forked from one nursery."""
    async with contextlib.AsyncExitStack() as stack:
        nursery = Nursery(folder)
        await nursery.start()
        stack.push_async_callback(nursery.stop)

        async def lane(place: int) -> Lane:
            here = folder / f"lane-{place}"
            here.mkdir()
            name = f"lane_{place}_{os.getpid()}"
            url = await postgres.create(name)
            stack.push_async_callback(postgres.drop, name)
            bus = NatsForTests(here / "nats")
            await asyncio.to_thread(bus.start)
            stack.push_async_callback(asyncio.to_thread, bus.stop)
            world = await stack.enter_async_context(crash_world(url, bus, here))
            return Lane(world, nursery)

        yield [await lane(place) for place in range(number)]


Job = Callable[[Lane], Awaitable[None]]


async def work(on: list[Lane], jobs: Iterable[Job]) -> None:
    """Do all jobs, one in each lane at a time."""
    left = iter(jobs)

    async def keep_busy(lane: Lane) -> None:
        for job in left:
            await job(lane)

    async with asyncio.TaskGroup() as group:
        for lane in on:
            group.create_task(keep_busy(lane))
