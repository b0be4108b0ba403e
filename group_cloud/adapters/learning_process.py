"""Searches for settings in a process of its own, so that no factory's round holds up an answer.

Used by the limit trainer; started when there is something to search, ended after the round. If it
dies, the round fails and is tried again: everything it needs is in the tables.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from group_cloud.application.limit_trainer import Wanted
from group_cloud.domain.limit_evidence import SiteEvidence
from group_cloud.domain.limit_proposals import LimitFound
from shared.errors import StoreError

NICE = 10
"""Learning waits for everything else that the machine has to do."""
LONGEST_S = 600.0


class LearningProcess:
    """Implements `application/limit_trainer.Searcher`."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def search(
        self, own: SiteEvidence, others: Sequence[SiteEvidence], wanted: Wanted
    ) -> list[LimitFound]:
        """See `learning/live/search.py`."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=begin)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LONGEST_S):
                return await loop.run_in_executor(self._pool, _search, own, others, wanted)
        except (BrokenProcessPool, TimeoutError) as error:
            await self.rest()
            raise StoreError(f"the learning process has ended: {error!r}") from error

    async def rest(self) -> None:
        """End the process; the next question starts another."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)


def begin() -> None:
    """Set up a learning process: it waits for everything else, and ends with its parent."""
    os.nice(NICE)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """A cloud that was killed leaves no process behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def _search(
    own: SiteEvidence, others: Sequence[SiteEvidence], wanted: Wanted
) -> list[LimitFound]:  # fmt: skip
    from group_cloud.learning.live.search import search

    return search(own, others, wanted)
