"""Counts in a process of its own, so that no day of samples holds up an alarm.

Used by the shadow job; started when there is something to count, ended after the round. If it
dies, the round fails and is tried again: what was counted is noted day by day.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from factory_brain.application.shadow.tasks import DayCount, FaultCount, Question
from factory_brain.application.shadow.trials import TrialWork, Tried
from factory_brain.domain.shadow import Signal
from shared.errors import StoreError

NICE = 10
"""Counting waits for everything else that the machine has to do."""
LONGEST_S = 300.0
T = TypeVar("T")


class ShadowProcess:
    """One process that counts, while there is something to count."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def count_day(self, signal: Signal, questions: list[Question]) -> list[DayCount]:
        """See `work.count_day`."""
        return await self._run(_count_day, signal, questions)

    async def judge(
        self, signal: Signal, start: int, end: int, questions: list[Question]
    ) -> list[FaultCount]:
        """See `work.judge`."""
        return await self._run(_judge, signal, start, end, questions)

    async def tried(self, signal: Signal, work: TrialWork) -> Tried:
        """See `trial_work.tried`."""
        return await self._run(_tried, signal, work)

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LONGEST_S):
                return await loop.run_in_executor(self._pool, work, *args)
        except (BrokenProcessPool, TimeoutError) as error:
            await self.close()
            raise StoreError(f"the counting process has ended: {error!r}") from error

    async def close(self) -> None:
        """End the process; the next question starts another."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    os.nice(NICE)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """A brain that was killed leaves no process behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def _count_day(signal: Signal, questions: list[Question]) -> list[DayCount]:
    from factory_brain.application.shadow import work

    return work.count_day(signal, questions)


def _judge(signal: Signal, start: int, end: int, questions: list[Question]) -> list[FaultCount]:
    from factory_brain.application.shadow import work

    return work.judge(signal, start, end, questions)


def _tried(signal: Signal, work: TrialWork) -> Tried:
    from factory_brain.application.shadow import trial_work

    return trial_work.tried(signal, work)
