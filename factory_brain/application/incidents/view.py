"""What every brain shows of incidents: on the rows of its live list, and on its stream.

Follows the store by the number of the newest change, so that it does not matter which brain made
it. Owns no truth; built anew at start.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from factory_brain.application.incidents.desk import Labelling
from factory_brain.application.incidents.ports import IncidentReads, Member
from factory_brain.application.incidents.story import IncidentWords
from factory_brain.domain.rows import NOT_UNDERSTOOD, Understood
from shared.web.dto_incidents import IncidentPage
from shared.web.sse import Broadcaster

POLL_S = 1.0
REST_S = 0.25
LABEL_LOOKS = 10
BATCH = 1000
MOST_SENT = 100
"""Incidents of one frame."""


class IncidentView:
    """Rows' part of incidents, in memory."""

    def __init__(
        self, reads: IncidentReads, words: IncidentWords, broadcaster: Broadcaster,
        labelling: Labelling, row_changed: Callable[[str], None],
        shown: Callable[[], set[str]],
    ) -> None:  # fmt: skip
        self._reads, self._words, self._broadcaster = reads, words, broadcaster
        self._labelling, self._row_changed, self._shown = labelling, row_changed, shown
        self._rows: dict[str, Understood] = {}
        self._members = self._incidents = 0
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something was committed here."""
        self._wake.set()

    def of(self, occurrence: str) -> Understood:
        """What the row of an occurrence shows."""
        return self._rows.get(occurrence, NOT_UNDERSTOOD)

    async def load(self) -> None:
        """Begin with what is stored now."""
        self._members = self._incidents = await self._reads.newest_change()
        for each in await self._reads.open_members():
            self._take(each)

    def _take(self, each: Member) -> None:
        shown = each.shown
        new = Understood(each.incident, shown.first_out, shown.hidden_behind, shown.marks)
        if self._rows.get(each.seen.occurrence) != new:
            self._rows[each.seen.occurrence] = new
            self._row_changed(each.seen.alarm)

    async def run(self) -> None:
        """Follow changes for ever."""
        looks = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            self._wake.clear()
            # What another brain began to label and did not end is taken up too, if less often.
            looks += 1
            if await self.look() or looks >= LABEL_LOOKS:
                looks = 0
                if await self._labelling.some():
                    looks = LABEL_LOOKS
                    self._wake.set()
            await asyncio.sleep(REST_S)

    async def look(self) -> bool:
        """Take over what changed since the last look; whether an incident did."""
        while found := await self._reads.changed_members(self._members, BATCH):
            self._members = found[-1][0]
            for _, each in found:
                self._take(each)
        changed = await self._reads.changed_incidents(self._incidents, BATCH)
        for start in range(0, len(changed), MOST_SENT):
            part = changed[start : start + MOST_SENT]
            page = IncidentPage(items=[self._words.incident(each) for each in part])
            self._broadcaster.send("incidents", page.model_dump_json().encode())
            self._incidents = part[-1].changed
        if len(changed) == BATCH:
            self._wake.set()
        if len(self._rows) > 2 * BATCH:
            self._forget()
        return bool(changed)

    def _forget(self) -> None:
        """Rows that nobody is shown any more."""
        kept = self._shown()
        if len(self._rows) > 2 * len(kept) + BATCH:
            self._rows = {name: row for name, row in self._rows.items() if name in kept}
