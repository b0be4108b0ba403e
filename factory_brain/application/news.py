"""Brings what other brains committed into this one's memory: its list, its rows, its figures.

Looks five times a second while another brain lives, else not at all. Notes are hints: what changed
is read anew, and after a silence everything is. Owns no truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from factory_brain.application.brains import Brains
from factory_brain.application.ingest import OnOccurrence
from factory_brain.application.live_view import LiveView
from factory_brain.domain.rows import Occurrence
from shared.errors import StoreError
from shared.telemetry import logger

log = logger("news")
EVERY_S = 0.2
ALONE_S = 0.5
SILENT_S = 20.0
"""Notes are kept for ten leases; after so long without a look everything is read anew."""
AT_ONCE = 500
TRIES = 3


@dataclass(frozen=True, slots=True)
class Note:
    """Something of this kind and key has changed."""

    kind: str
    key: str


class Notes(Protocol):
    """The notes (see `adapters/postgres/news_store.py`); raises StoreError."""

    async def begin(self) -> int:
        """From now on; the transaction id before which all else is."""
        ...

    async def read(self) -> tuple[list[Note], int]:
        """What is new, and the oldest transaction under way."""
        ...


class Reads(Protocol):
    """The stored occurrences."""

    async def counted(self, occurrences: list[str]) -> list[Occurrence]:
        """These, as the list shows them."""
        ...

    async def open_occurrences(self) -> list[Occurrence]:
        """All that the list shows."""
        ...


class News:
    """What happens here when another brain has committed."""

    def __init__(self, notes: Notes, brains: Brains, alarms: Reads, live: LiveView) -> None:
        self._notes, self._brains = notes, brains
        self._alarms, self._live = alarms, live
        self.on_occurrence: list[OnOccurrence] = []
        self.on_annunciated: list[Callable[[list[int]], Awaitable[None]]] = []
        self.on_key: dict[str, Callable[[str], Awaitable[None]]] = {}
        """By kind: told the key."""
        self.on_round: list[Callable[[], None]] = []
        """Told after each look at the other brains."""
        self.on_anew: list[Callable[[], Awaitable[None]]] = []
        """Told when everything is read anew."""
        self._looked = float("-inf")
        self._anew = asyncio.Event()
        self._again_from: int | None = None
        self._due: dict[Note, None] = {}
        """Read and not told yet: a fault of the database must not swallow it."""
        self.taken = 0

    def read_anew(self) -> None:
        """Something may have been missed."""
        self._anew.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            company = bool(self._brains.others)
            try:
                if self._anew.is_set():
                    await self._everything()
                if company:
                    await self._look()
            except StoreError as error:
                log.warning("news_not_read", error=str(error))
            for told in self.on_round:
                told()
            await asyncio.sleep(EVERY_S if company else ALONE_S)

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        await self._brains.look()
        if now - self._looked > SILENT_S:
            # Whoever was just committing when the other brain appeared wrote no note: once more
            # when all of those have ended.
            self._again_from = await self._notes.begin()
            await self._everything()
        found, oldest = await self._notes.read()
        if self._again_from is not None and oldest >= self._again_from:
            self._again_from = None
            await self._everything()
        self._looked = asyncio.get_running_loop().time()
        self.taken += len(found)
        self._due.update(dict.fromkeys(found))
        await self._tell(list(self._due))
        self._due.clear()

    async def _tell(self, found: list[Note]) -> None:
        occurrences = [note.key for note in found if note.kind == "occurrence"]
        for note in found:
            if (told := self.on_key.get(note.kind)) is not None:
                await told(note.key)
        for start in range(0, len(occurrences), AT_ONCE):
            await self._occurrences(occurrences[start : start + AT_ONCE])

    async def _occurrences(self, names: list[str]) -> None:
        """Read them and put them into the list, unless it has heard of newer ones meanwhile."""
        for _ in range(TRIES):
            before = {each.alarm: each for each in self._live.occurrences}
            found = await self._alarms.counted(names)
            names = []
            for each in found:
                shown = self._live.occurrence(each.alarm)
                if shown is not before.get(each.alarm):
                    names.append(each.occurrence)
                    continue
                moved = shown is None or shown.order_key != each.order_key
                for listener in self.on_occurrence:
                    await listener(each, moved)
                if moved and each.transition.annunciate:
                    at = each.transition.source_time or each.received_at
                    for told in self.on_annunciated:
                        await told([at])
            if not names:
                return

    async def _everything(self) -> None:
        self._anew.clear()
        try:
            before = {each.alarm: each for each in self._live.occurrences}
            found = await self._alarms.open_occurrences()
            self._live.reload(found, before)
            for told in self.on_anew:
                await told()
        except BaseException:
            self._anew.set()
            raise
        log.info("read_anew", occurrences=len(found))
