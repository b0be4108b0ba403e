"""Life cycle of a process: supervised tasks, bounded last-in-first-out shutdown, signals.

Every long-running loop of the tiers runs under `supervise`; the only place that catches everything.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from shared.telemetry import logger

log = logger("service")
STOP_TIMEOUT_S = 5.0
OnFault = Callable[[str, BaseException], None]
Body = Callable[[], Awaitable[None]]


async def supervise(
    name: str,
    body: Callable[[], Awaitable[None]],
    *,
    on_fault: OnFault | None = None,
    first_delay_s: float = 0.2,
    max_delay_s: float = 10.0,
) -> None:
    """Run `body` for ever: a fault is logged, reported, and followed by a restart with backoff."""
    delay = first_delay_s
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            await body()
            return
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the one supervised loop: see module docstring
            log.exception("task_failed", task=name, restart_in_s=delay)
            if on_fault is not None:
                on_fault(name, error)
        if loop.time() - began > 60:
            delay = first_delay_s
        await asyncio.sleep(delay)
        delay = min(delay * 2, max_delay_s)


class Service:
    """Named supervised tasks and closers of one process."""

    def __init__(self, on_fault: OnFault | None = None) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._closers: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._on_fault = on_fault
        self._resting: set[str] = set()
        """Tasks that failed and wait for their restart."""
        self.stopping = asyncio.Event()

    def run(self, name: str, body: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Start a supervised task."""
        work = supervise(name, self._noted(name, body), on_fault=self._faulted)
        task = asyncio.create_task(work, name=name)
        self._tasks.append(task)
        return task

    def stopped(self, names: Iterable[str]) -> list[str]:
        """Which of these tasks are not at work: never started, ended, or waiting after a fault."""
        at_work = {
            task.get_name() for task in self._tasks
            if not task.done() and task.get_name() not in self._resting
        }  # fmt: skip
        return [name for name in names if name not in at_work]

    def on_close(self, name: str, closer: Callable[[], Awaitable[None]]) -> None:
        """Register a closer; closers run last-in-first-out, each bounded."""
        self._closers.append((name, closer))

    def _noted(self, name: str, body: Body) -> Body:
        async def noted() -> None:
            self._resting.discard(name)
            await body()

        return noted

    def _faulted(self, name: str, error: BaseException) -> None:
        self._resting.add(name)
        if self._on_fault is not None:
            self._on_fault(name, error)

    def stop(self) -> None:
        """Ask the process to end."""
        self.stopping.set()

    def heed_signals(self) -> None:
        """From now on SIGTERM and SIGINT ask for an orderly end instead of making a sudden one."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError):
                loop.add_signal_handler(number, self.stop)

    async def run_until_signal(self) -> None:
        """Wait for SIGTERM or SIGINT (or `stop`), then shut down in order."""
        self.heed_signals()
        await self.stopping.wait()
        await self.shutdown()

    async def shutdown(self) -> None:
        """Cancel tasks newest first, then run the closers newest first."""
        for task in reversed(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_TIMEOUT_S)
        for name, closer in reversed(self._closers):
            try:
                await asyncio.wait_for(closer(), STOP_TIMEOUT_S)
            except Exception:  # a failing step must not keep the next from running
                log.exception("close_failed", step=name)
