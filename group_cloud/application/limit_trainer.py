"""Looks for better settings in what the factories have counted in shadow, and proposes them.

Run by the cloud on a period and on demand. Its only state is the tables: a round that was cut short
is done again and changes nothing twice. It learns from judged days and recorded faults alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from group_cloud.application.limit_wording import limit_body
from group_cloud.application.ports import Records
from group_cloud.application.proposal_keeping import Found, ProposalKeeper
from group_cloud.domain.limit_evidence import PointEvidence, SiteEvidence
from group_cloud.domain.limit_proposals import LimitFound
from shared.clock import Clock
from shared.errors import StoreError
from shared.telemetry import logger

log = logger("trainer")
DAY_MS = 86_400_000
WINDOW_DAYS = 60
"""Older counts weigh nothing any more: their weight halves every fortnight."""
AFTER_FAILURE_S = 60.0
MOST_OTHERS = 8
"""Factories of the same owner that stand behind one; those with the most recorded faults."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much a proposal must rest on."""

    min_days: float = 4.0
    """Judged days of the point itself."""
    min_faults: int = 1
    """Recorded faults that the point was held against."""


class LimitReads(Protocol):
    """See `adapters/postgres/limit_store.py`."""

    async def tenants(self) -> Mapping[str, str]:
        """site -> tenant, of the factories with shadow counts; who recorded most faults first."""
        ...

    async def evidence(self, site: str, since: int) -> SiteEvidence:
        """What is known of a factory's counted points."""
        ...


class Searcher(Protocol):
    """See `adapters/learning_process.py`."""

    async def search(
        self, own: SiteEvidence, others: Sequence[SiteEvidence], wanted: Wanted
    ) -> list[LimitFound]:
        """Better settings, in the order in which they suppose each other."""
        ...

    async def rest(self) -> None:
        """There is nothing to search for a while."""
        ...


class LimitTrainer:
    """The optimiser's loop over all factories."""

    def __init__(
        self, reads: LimitReads, records: Records, keeper: ProposalKeeper, searcher: Searcher,
        clock: Clock, wanted: Wanted, every_s: float,
    ) -> None:  # fmt: skip
        self._reads, self._records, self._keeper = reads, records, keeper
        self._searcher, self._clock, self._wanted = searcher, clock, wanted
        self._every_s = every_s
        self._asked: set[str] = set()
        self._wake = asyncio.Event()
        self.on_proposals: Callable[[], None] = lambda: None

    async def sites(self) -> Mapping[str, str]:
        """site -> tenant, of the factories that can be searched."""
        return await self._reads.tenants()

    def ask(self, sites: Iterable[str]) -> None:
        """Search these factories now."""
        self._asked |= set(sites)
        self._wake.set()

    async def run(self) -> None:
        """Train for ever: all factories on the period, those asked for at once."""
        wait = 0.0
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                self._asked |= set(await self._reads.tenants())
            self._wake.clear()
            wait = self._every_s if await self.round() else AFTER_FAILURE_S

    async def round(self) -> bool:
        """Search all that was asked for; whether everything could be."""
        try:
            while self._asked:
                site = min(self._asked)
                await self.train(site)
                self._asked.discard(site)
        except StoreError as error:
            log.error("limit_search_failed", error=str(error))
            return False
        finally:
            await self._searcher.rest()
        return True

    async def train(self, site: str) -> int:
        """Search one factory; returns how many proposals changed."""
        since = self._clock.now_ms() - WINDOW_DAYS * DAY_MS
        tenants = await self._reads.tenants()
        own = await self._reads.evidence(site, since)
        if not own.points:
            return 0
        # Only the owner's other factories stand behind it: tenants learn nothing of each other.
        kin = [s for s, owner in tenants.items() if s != site and owner == tenants.get(site)]
        others = [await self._reads.evidence(each, since) for each in kin[:MOST_OTHERS]]
        found = {
            each.point: each for each in await self._searcher.search(own, others, self._wanted)
        }
        changed = 0
        for point in own.points:
            changed += await self._settle(point, found.get(point.point))
        if changed:
            self.on_proposals()
        log.info("limits_searched", site=site, points=len(own.points), proposed=len(found))
        return changed

    async def _settle(self, point: PointEvidence, found: LimitFound | None) -> bool:
        async with self._records.transaction() as tx:
            return await self._keeper.settle(
                tx, point.point, "shadow", None if found is None else _proposed(point, found)
            )


def _proposed(point: PointEvidence, found: LimitFound) -> Found:
    # A rejected setting comes again after three more faults, or nine more judged days.
    return Found(
        found.current, found.proposed, found.fingerprint, found.faults + found.days // 3,
        found.newest_at, limit_body(point, found),
    )  # fmt: skip
