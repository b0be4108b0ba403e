"""One thread for the plant's own code, with a time budget for every call and an end for a hung one.

Used by `computed`; knows nothing of tags. What cannot be stopped ends the process: the engine
starts it again with backoff, and nothing else notices.
"""

from __future__ import annotations

import asyncio
import faulthandler
import queue
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from shared.errors import AndonError

T = TypeVar("T")
LAST_RESORT_S = 1.0


class Hung(AndonError):
    """A call that does not come back; only the end of the process ends it."""


class Worker:
    """Runs calls one after the other in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._orders: queue.SimpleQueue[tuple[Callable[[], Any], Callable[..., None]]] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while True:
            call, answer = self._orders.get()
            try:
                result = call()
            except BaseException as error:  # the plant's code may raise anything, also SystemExit
                answer(None, error)
            else:
                answer(result, None)

    async def run(
        self, call: Callable[[], T], budget_s: float, hang_s: float, over: Callable[[], None]
    ) -> tuple[T, float]:
        """The result and how long it took; `over` is called once the budget is spent.

        Raises what the call raises, and Hung when it has not come back after `hang_s`.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[T, float]] = loop.create_future()

        def timed() -> tuple[T, float]:
            began = loop.time()
            result = call()
            return result, loop.time() - began

        def answer(result: Any, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(_settle, done, result, error)

        arm_last_resort(hang_s + LAST_RESORT_S)
        self._orders.put((timed, answer))
        try:
            ready, _ = await asyncio.wait({done}, timeout=budget_s)
            if not ready:
                over()
                ready, _ = await asyncio.wait({done}, timeout=max(0.0, hang_s - budget_s))
            if not ready:
                raise Hung(f"has not come back for {hang_s:g} s")
        finally:
            arm_last_resort(0)
        return done.result()


def _settle(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    elif isinstance(error, Exception) and not isinstance(error, StopIteration):
        done.set_exception(error)
    else:  # a future cannot carry these, and they must not end the loop
        done.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))


def arm_last_resort(seconds: float) -> None:
    """End this process by a signal unless disarmed (0): code that holds the interpreter's lock
    keeps every thread from running, also the one that watches it.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)


def show_last_resort() -> None:
    """Where the hung call stood goes to the log before the signal ends the process."""
    faulthandler.register(signal.SIGALRM, file=sys.stderr, all_threads=True, chain=True)


def limit_memory(megabytes: int) -> None:
    """Let this process take so much more than it has now; 0: no limit (Linux only)."""
    if not megabytes or sys.platform != "linux":
        return
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + (megabytes << 20)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
