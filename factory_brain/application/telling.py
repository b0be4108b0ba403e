"""Who is told of committed changes, lane by lane: a live alarm waits for no backlog's listeners.

Fed by the ingest after each commit. Keeps the order of commits within a lane, and across lanes for
what concerns the same occurrence; owns no truth.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from shared.messages.envelope import Frame
from shared.outbox.receiving import Receipt
from shared.telemetry import logger

log = logger("ingest")
MAX_TELLS = 5
"""How often somebody is told of a committed change before a lasting fault is left behind."""
TELL_AT_ONCE = 50
MAX_DOUBTS = 20


@dataclass(frozen=True, slots=True)
class Tell:
    """One listener's call, and the occurrence that it is about (none: of no one alarm)."""

    call: Callable[[], Awaitable[None]]
    occurrence: str | None = None


@dataclass(frozen=True, slots=True)
class _Doubt:
    frames: frozenset[str]
    tells: list[Tell]


class Doubts:
    """What frames set off of which nobody knows whether they are committed.

    A connection that breaks at the commit leaves that open. The frames come again: if they are
    known by then they were committed, all of them, and nobody has heard of it yet.
    """

    def __init__(self) -> None:
        self._open: deque[_Doubt] = deque(maxlen=MAX_DOUBTS)

    def add(self, frames: Sequence[Frame], tells: list[Tell]) -> None:
        """A transaction of these frames failed at its end, or before."""
        if tells:
            self._open.append(_Doubt(frozenset(each.message_id for each in frames), list(tells)))

    def believed(self, frames: Sequence[Frame], receipts: Sequence[Receipt]) -> list[Tell]:
        """What these committed frames prove to have been committed before."""
        found: list[Tell] = []
        if not self._open:
            return found
        for frame, receipt in zip(frames, receipts, strict=True):
            name = frame.message_id
            if receipt.waits or not any(name in doubt.frames for doubt in self._open):
                continue
            if not receipt.applied and not receipt.quarantined:  # all of it was known
                newest = next(d for d in reversed(self._open) if name in d.frames)
                found += newest.tells
            kept = [doubt for doubt in self._open if name not in doubt.frames]
            self._open = deque(kept, maxlen=MAX_DOUBTS)
        return found


@dataclass(slots=True)
class _Lane:
    due: deque[Tell] = field(default_factory=deque)
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    tries: int = 0


class Telling:
    """What is due to be told, by lane."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self.untold = 0
        """Changes of which somebody could not be told, however often it was tried."""

    async def tell(self, lane: str, news: list[Tell]) -> None:
        """Tell what a commit of `lane` set off, and what an earlier fault left there.

        The frame is committed: nobody would ever hear of it again. So a fault travels on: the
        frame is not acknowledged and the consumer comes back to what is due.
        """
        mine = self._lanes.setdefault(lane, _Lane())
        mine.due.extend(news)
        about = {each.occurrence for each in mine.due if each.occurrence is not None}
        for other in list(self._lanes.values()):
            if other is not mine and any(each.occurrence in about for each in other.due):
                await self._run(other)  # of the same occurrence: nobody hears the older one last
        await self._run(mine)

    async def _run(self, lane: _Lane) -> None:
        """Run what is due, in order of commits. What fails stays first and is tried again."""
        async with lane.busy:
            while lane.due:
                if len(lane.due) % TELL_AT_ONCE == 0:
                    await asyncio.sleep(0)  # a long frame must not keep a live alarm waiting
                try:
                    await lane.due[0].call()
                except Exception as error:
                    lane.tries += 1
                    if lane.tries >= MAX_TELLS:
                        log.error("after_commit_given_up", error=repr(error), tries=lane.tries)
                        self.untold += 1
                        _done(lane)
                    raise
                _done(lane)


def _done(lane: _Lane) -> None:
    lane.due.popleft()
    lane.tries = 0
