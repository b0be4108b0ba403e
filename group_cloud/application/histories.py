"""What both settings of a proposal told over the factory's own history: asked for, kept, shown.

Run by the cloud. A question stands in the factory's bucket until its answer has come; answers come
with the factory's events, in the receiver's transaction. Samples never leave the factory.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from group_cloud.application.ports import ProposalRow, Sign, Transaction
from group_cloud.domain.evidence import Point
from group_cloud.domain.scope import ALL, Scope
from shared.alarm.point import Setting
from shared.alarm.shadow import setting_data
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import TransportError
from shared.messages.bodies import TrialAnswer
from shared.messages.codec import encode
from shared.messages.subjects import BRAIN, Node
from shared.messages.trials import KEY, MOST, SignedTrials, TrialItem, Trials, canonical
from shared.telemetry import logger
from shared.web.dto_proposals import PastAlarm, PastFault, ProposalHistory

log = logger("trials")
EVERY_S = 30.0
FRESH_MS = 86_400_000
"""An older answer is asked for again while its proposal is open: its factory has seen more."""
EMPTY_MS = 300_000
"""So much sooner one that had no samples: it may have been asked for too early."""
TRY_OPEN_MS, TRY_SITES_MS = 120_000, 86_400_000
"""How long a try stands open, and how long its factory's bundle is kept free of it."""
TRY = "try-"
Sites = Callable[[Scope], Awaitable[list[str] | None]]


@dataclass(frozen=True, slots=True)
class Question:
    """An open proposal whose history has not been told yet."""

    proposal: str
    point: Point
    current: Setting
    proposed: Setting

    @property
    def digest(self) -> str:
        """Of both settings."""
        return digest_of(self.current, self.proposed)


@dataclass(frozen=True, slots=True)
class Known:
    """What was answered: the digest of the question, when, whether it had any sample."""

    digest: str
    at: int
    empty: bool


class HistoryRows(Protocol):
    """See `adapters/postgres/history_store.py`."""

    async def open(self) -> Sequence[Question]:
        """Open proposals, newest first."""
        ...

    async def known(self) -> Mapping[str, Known]:
        """proposal -> what was answered, of open proposals."""
        ...

    async def proposal(self, proposal: str) -> ProposalRow | None:
        """One proposal."""
        ...

    async def answer(self, proposal: str) -> tuple[int, dict[str, Any]] | None:
        """When it came and what it says."""
        ...

    async def keep(self, tx: Transaction, /, told: TrialAnswer, at: int) -> bool:
        """Keep an answer of the factory whose proposal it is; whether it was one."""
        ...


class Tries(Protocol):
    """What people try before they propose; see `trying.py`."""

    async def open(self, since: int) -> Sequence[Question]:
        """What was asked since and is not answered."""
        ...

    async def sites(self, since: int) -> Sequence[str]:
        """Factories that were asked since."""
        ...

    async def keep(self, tx: Transaction, /, told: TrialAnswer, at: int) -> bool:
        """Keep an answer; whether it was asked for."""
        ...


class Histories:
    """Asks the factories and keeps what they answer."""

    def __init__(
        self, rows: HistoryRows, bus: Bus, clock: Clock, sign: Sign, sites: Sites
    ) -> None:  # fmt: skip
        self._rows, self._bus, self._clock = rows, bus, clock
        self._sign, self._sites = sign, sites
        self._wake = asyncio.Event()
        self._asked: dict[str, tuple[str, ...]] = {}
        self.tries: Tries | None = None

    def wake(self) -> None:
        """There may be something to ask."""
        self._wake.set()

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            self._wake.clear()
            await self.ask()
            await asyncio.sleep(1.0)
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def ask(self) -> None:
        """Put the open questions where their factories read."""
        known, now = await self._rows.known(), self._clock.now_ms()
        asked: dict[str, list[Question]] = {}
        again: list[Question] = []
        if self.tries is not None:  # somebody looks at the screen: these go first
            asked = {site: [] for site in await self.tries.sites(now - TRY_SITES_MS)}
            for each in await self.tries.open(now - TRY_OPEN_MS):
                asked.setdefault(each.point.site, []).append(each)
        for each in await self._rows.open():
            mine = asked.setdefault(each.point.site, [])
            told = known.get(each.proposal)
            if told is not None and told.digest == each.digest:
                again += [each] if _aged(told, now) else []
            elif len(mine) < MOST:
                mine.append(each)
        for each in again:  # behind what was never answered
            if len(mine := asked[each.point.site]) < MOST:
                mine.append(each)
        for site, questions in sorted(asked.items()):
            names = tuple(sorted(f"{each.proposal}/{each.digest}" for each in questions))
            if self._asked.get(site, ()) == names:
                continue
            try:
                await self._put(site, questions)
            except TransportError as error:  # of one factory: the others are asked
                log.warning("trials_not_sent", site=site, error=str(error))
                continue
            self._asked[site] = names

    async def _put(self, site: str, questions: list[Question]) -> None:
        items = [
            TrialItem(
                proposal=each.proposal, edge=each.point.edge, alarm=each.point.alarm,
                current=setting_data(each.current), proposed=setting_data(each.proposed),
                digest=each.digest,
            )
            for each in questions
        ]  # fmt: skip
        payload = canonical(Trials(site=site, asked_at=self._clock.now_ms(), items=items))
        signed = SignedTrials(payload=payload, signature=self._sign(payload))
        node = Node(site, BRAIN)
        await self._bus.ensure_bucket(node.directive_bucket)
        await self._bus.bucket_put(node.directive_bucket, KEY, encode(signed))
        await self._bus.publish(node.directive, b"")

    async def take(self, tx: Transaction, site: str, told: TrialAnswer, at: int) -> None:
        """Keep an answer, in the receiver's transaction."""
        keep = self._rows.keep
        if told.proposal.startswith(TRY) and self.tries is not None:
            keep = self.tries.keep
        if told.site != site or not await keep(tx, told, at):
            log.error("foreign_record", source=site, claims=told.site, proposal=told.proposal)
            return
        self.wake()

    async def shown(self, proposal: str, scope: Scope = ALL) -> ProposalHistory | None:
        """What is known; None where there is no such proposal within the scope."""
        row = await self._rows.proposal(proposal)
        sites = await self._sites(scope)
        if row is None or (sites is not None and row.point.site not in sites):
            return None
        found = await self._rows.answer(proposal)
        if found is None or found[1]["digest"] != digest_of(row.current, row.proposed):
            self.wake()
            return history_of(proposal, row.current, row.proposed, None, None)
        return history_of(proposal, row.current, row.proposed, *found)


def _aged(told: Known, now: int) -> bool:
    return now - told.at >= (EMPTY_MS if told.empty else FRESH_MS)


def digest_of(current: Setting, proposed: Setting) -> str:
    """A name for a question."""
    plain = msgspec.msgpack.encode([setting_data(current), setting_data(proposed)])
    return hashlib.blake2b(plain, digest_size=8).hexdigest()


def history_of(
    name: str, current: Setting, proposed: Setting, at: int | None, told: dict[str, Any] | None
) -> ProposalHistory:
    """An answer as people read it; None: it has not come yet."""
    if told is None:
        return ProposalHistory(
            proposal=name, status="asked", limit_now=current.limit, limit_proposed=proposed.limit
        )
    return ProposalHistory(
        proposal=name, status="known" if told.get("points") else "no_samples", answered_at=at,
        since=told["since"], until=told["until"], coverage=told["coverage"],
        limit_now=current.limit, limit_proposed=proposed.limit,
        points=told.get("points", []), before=told.get("before", 0), after=told.get("after", 0),
        vanish=[PastAlarm(raised_at=a, cleared_at=b or None) for a, b in told.get("vanish", [])],
        vanish_more=told.get("vanish_more", 0),
        later=[
            PastAlarm(raised_at=a, cleared_at=b or None, told_at=c)
            for a, b, c in told.get("later", [])
        ],
        later_more=told.get("later_more", 0), new=told.get("new", 0),
        faults=[
            PastFault(
                fault=fault, start=start, end=end, before_s=before if before >= 0 else None,
                after_s=after if after >= 0 else None,
            )
            for fault, start, end, before, after in told.get("faults", [])
        ],
    )  # fmt: skip
