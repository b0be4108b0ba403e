"""Learns early warning in a process of its own, so that no answer waits for it.

Used by the trainer of early warning; started when there is something to learn, ended after the
round. If it dies, the round fails and is tried again: everything it needs is in the tables.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from group_cloud.adapters.learning_process import begin
from group_cloud.application.warning.ports import Learnt, Task
from shared.errors import StoreError

LONGEST_S = 1800.0


class WarningProcess:
    """Implements `application/warning/ports.Learns`."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def learn(self, task: Task) -> Learnt:
        """See `learning/warning_training.py`."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=begin)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LONGEST_S):
                return await loop.run_in_executor(self._pool, _learn, task)
        except (BrokenProcessPool, TimeoutError) as error:
            await self.rest()
            raise StoreError(f"the learning process has ended: {error!r}") from error

    async def rest(self) -> None:
        """End the process; the next family starts another."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)


def _learn(task: Task) -> Learnt:
    from group_cloud.learning.warning_training import learn

    return learn(task)
