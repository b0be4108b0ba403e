"""When a tag was beyond a limit that somebody asks about: by the roll-ups, then by its samples.

Called by the questions; reads page by page, so that nothing is cut off or counted twice.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from factory_brain.application.units.ports import UnitReads, Wanted
from factory_brain.domain.units.spans import Limits, Span, merged, spans_of
from shared.errors import Rejected

MOST_SPANS = 2000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
PAGE = 20_000
"""Samples that are read at a time."""


def too_many() -> Rejected:
    """More of them than one answer is of."""
    return Rejected("too_many_spans", {"most": MOST_SPANS})


class Standing(Protocol):
    """What knows the value that stood at a moment."""

    async def last_before(self, tag: str, at: int) -> Any:
        """The last sample of a tag up to `at`."""
        ...


class Excursions:
    """Finds spans by a limit of one's own."""

    def __init__(self, reads: UnitReads, standing: Standing, page: int = PAGE) -> None:
        self._reads, self._standing, self._page = reads, standing, page

    async def of(self, tag: str, limits: Limits, wanted: Wanted) -> list[Span] | Rejected:
        """The spans in the period, each once."""
        since, until = wanted.since, wanted.until
        rough, fresh = await self._reads.minutes_out(tag, limits, since, until, MOST_SPANS + 1)
        if len(rough) > MOST_SPANS:
            return too_many()
        found = await self._from_before(tag, limits, wanted)
        for start, end in rough:
            exact, kept_from = await self._looked_at(tag, limits, wanted, start, end)
            if kept_from > start:
                # The samples themselves are no longer kept: the minutes are all that is known.
                gone = min(kept_from, end, until)
                found.append(Span(max(start, since), gone, unsure=MINUTE_MS))
            found = merged([*found, *exact])
            if len(found) > MOST_SPANS:
                return too_many()
        if fresh is not None and fresh < until:
            start = max(fresh, since - HOUR_MS)
            exact, _ = await self._looked_at(tag, limits, wanted, start, until)
            found = merged([*found, *exact])
        return found

    async def _from_before(self, tag: str, limits: Limits, wanted: Wanted) -> list[Span]:
        """What stood when the period began, however long before that it was said."""
        last = await self._standing.last_before(tag, wanted.since)
        if last is None:
            return []
        return (await self._looked_at(tag, limits, wanted, last["at"], last["at"] + 1))[0]

    async def _looked_at(
        self, tag: str, limits: Limits, wanted: Wanted, start: int, end: int
    ) -> tuple[list[Span], int]:
        """(spans by the samples of [start, end), from which minute on there are samples)."""
        found: list[Span] = []
        kept_from, at, more = end, start, True
        while more and len(found) <= MOST_SPANS:
            samples, more = await self._reads.samples(tag, at, end, self._page)
            if not samples or (kept_from == end and samples[0][0] >= end):
                break
            if kept_from == end:
                kept_from = max(samples[0][0] // MINUTE_MS * MINUTE_MS, start)
            at = samples[-1][0]
            # The last value holds until the next one: the next page begins with it.
            known = at if more or at >= end else wanted.until
            until = min(wanted.until, known)
            found = merged(
                [*found, *await asyncio.to_thread(spans_of, samples, limits, wanted.since, until)]
            )
        return found, kept_from
