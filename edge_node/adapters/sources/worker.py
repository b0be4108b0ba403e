"""One daemon thread for a library that blocks, so that the driver's own loop never does.

Used by drivers of blocking libraries. A call that outlives its time is left behind with its
thread: the next call needs a new worker, the stuck thread cannot hold up the process's end.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """Runs calls one after the other in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.stuck = False
        """A call has outlived its time; no further ones are taken."""
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    async def call(self, seconds: float, work: Callable[..., T], *args: Any) -> T:
        """The result of `work(*args)`; TimeoutError when it takes longer than `seconds`."""
        if self.stuck:
            raise TimeoutError("the library hangs in an earlier call")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(error: BaseException | None, result: Any) -> None:
            if not future.done():
                future.set_exception(error) if error is not None else future.set_result(result)

        def run() -> None:
            error, result = None, None
            try:
                result = work(*args)
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(settle, error, result)

        self._calls.put(run)
        try:
            return await asyncio.wait_for(future, seconds)
        except (TimeoutError, asyncio.CancelledError):
            self.stuck = True
            raise

    def end(self) -> None:
        """Let the thread end after the calls it has."""
        self._calls.put(None)
