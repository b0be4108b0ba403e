"""The memory of floods in a process of its own: fitting it takes seconds to a minute and numpy.

Used by `application/floods/asking.py`; started with the first question, ended when none has come
for a while. If it dies, the question is asked again: all that it holds is in the tables.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from group_cloud.application.floods.ports import Episode, Memory, Near, Raised, Resembled
from shared.errors import StoreError

NICE = 10
LONGEST_S = 300.0
HELD = 8
"""Memories that are held fitted: those of the tenants that were asked for last."""
_Rows = list[tuple[str, str, int, str, float, tuple[Raised, ...]]]
_memories: dict[tuple[str, str], Any] = {}


class FloodProcess:
    """Implements `application/floods/ports.Recall`."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def ask(
        self, memory: Memory, episodes: Sequence[Episode] | None, alarms: Sequence[Raised],
        minutes: float,
    ) -> Resembled | None:  # fmt: skip
        """What these alarms resemble; None: the process does not hold this memory."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin)
        rows: _Rows | None = None
        if episodes is not None:
            rows = [(e.name, e.site, e.at, e.cause, e.took_min, tuple(e.alarms)) for e in episodes]
        loop, key = asyncio.get_running_loop(), (memory.tenant, memory.version)
        try:
            async with asyncio.timeout(LONGEST_S):
                return await loop.run_in_executor(
                    self._pool, _ask, key, rows, tuple(alarms), minutes
                )
        except (BrokenProcessPool, TimeoutError) as error:
            await self.rest()
            raise StoreError(f"the memory of floods has ended: {error!r}") from error
        except (ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
            raise StoreError(f"the memory of floods cannot tell: {error!r}") from error

    async def rest(self) -> None:
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
    """A cloud that was killed leaves no process behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def _ask(
    key: tuple[str, str], rows: _Rows | None, alarms: Sequence[Raised], minutes: float
) -> Resembled | None:
    from group_cloud.learning.floods import Alarm, Episode, FloodMemory

    if rows is not None:
        made = FloodMemory()
        for name, site, at, cause, took, raised in rows:
            told = tuple(Alarm(*each) for each in raised)
            made.remember(Episode(name, site, at, cause, "", took, told))
        for old in [k for k in _memories if k[0] == key[0]] + list(_memories)[: 1 - HELD]:
            _memories.pop(old, None)
        _memories[key] = made
    memory = _memories.get(key)
    if memory is None:
        return None
    found = memory.resembles([Alarm(*each) for each in alarms], minutes)
    near = found.nearest and Near(found.nearest.id, found.nearest.similarity)
    others = tuple(Near(each.id, each.similarity) for each in found.others)
    return Resembled(found.known, found.settled, found.trust, near, others)
