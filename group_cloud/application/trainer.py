"""Feeds labelled outcomes to the alarm points' banks and turns what they find into proposals.

Woken by ingest; its queue is the table of outcomes, so nothing is lost by a crash. It never shows a
bank an occurrence that nobody has judged.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from group_cloud.application.ports import (
    Audit,
    Bank,
    Models,
    Proposals,
    Records,
    Rollouts,
)
from group_cloud.application.proposal_keeping import Found, KeptIn, ProposalKeeper
from group_cloud.application.wording import proposal_body
from group_cloud.domain.evidence import LABELS, Point, Shadow
from group_cloud.domain.guardrails import Guardrails
from shared.alarm.shadow import bounds_of, setting_of, step_of
from shared.clock import Clock
from shared.messages.bodies import OutcomeRecord

POLL_S = 30.0
RECORDS = 500
"""Newest outcomes of a point that are replayed into a bank."""
BANKS = 64
"""Banks held in memory; the others are rebuilt from the table when their next label comes."""


async def _never(_: Point) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class TrainerStores:
    """The tables that training touches."""

    records: Records
    proposals: Proposals
    rollouts: Rollouts
    models: Models
    audit: Audit
    counted: Callable[[Point], Awaitable[bool]] = _never
    """Whether a point's shadow counts suffice: then they speak, and labels alone do not."""


@dataclass(slots=True)
class _Held:
    """A bank in memory, with the newest judged record: it says the bounds and the names."""

    bank: Bank
    newest: OutcomeRecord | None = None

    def take(self, record: OutcomeRecord) -> None:
        """Show the bank one record, if somebody has judged it."""
        shadow = _shadow(record)
        if record.label not in LABELS or shadow is None:
            self.bank.forget(record.occurrence)
            return
        self.bank.learn_one(shadow, record.label)
        if self.newest is None or record.raised_at >= self.newest.raised_at:
            self.newest = record


class Trainer:
    """Learns from outcomes, point by point."""

    def __init__(self, stores: TrainerStores, clock: Clock, new_bank: Callable[[], Bank]) -> None:
        self._stores, self._new_bank = stores, new_bank
        kept = KeptIn(stores.proposals, stores.rollouts, stores.models, stores.audit)
        self._keeper = ProposalKeeper(kept, clock)
        self._banks: OrderedDict[Point, _Held] = OrderedDict()
        self._wake = asyncio.Event()
        self.on_proposals: Callable[[], None] = lambda: None

    def wake(self) -> None:
        """New outcomes stand in the table."""
        self._wake.set()

    async def run(self) -> None:
        """Train for ever."""
        while True:
            self._wake.clear()
            while points := await self._stores.records.untrained():
                for point in points:
                    await self.train(point)
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def train(self, point: Point) -> None:
        """Bring one point's bank up to date and look for a better setting."""
        held = self._banks.pop(point, None)
        arrived = await self._stores.records.outcomes(point, RECORDS, untrained=held is not None)
        # The first bank imports what it needs, which takes a second.
        held = held or _Held(await asyncio.to_thread(self._new_bank))
        for _, record in arrived:
            held.take(record)
        found = None
        if held.newest is not None and not await self._stores.counted(point):
            found = self._search(point, held.bank, held.newest)
        async with self._stores.records.transaction() as tx:
            changed = await self._keeper.settle(tx, point, "labels", found)
            await self._stores.records.mark_trained(tx, [revision for revision, _ in arrived])
        # Kept only now: a bank whose transaction failed is rebuilt from the table.
        self._banks[point] = held
        while len(self._banks) > BANKS:
            self._banks.popitem(last=False)
        if changed:
            self.on_proposals()

    @staticmethod
    def _search(point: Point, bank: Bank, newest: OutcomeRecord) -> Found | None:
        rails = guardrails(newest)
        found = bank.propose(lambda now, new: rails.refuse(now, new) is None)
        if found is None:
            return None
        return Found(
            found.current.setting, found.proposed.setting, found.fingerprint, found.nuisance,
            newest.raised_at, proposal_body(newest, rails, found), f"threshold/{point}",
            bank.snapshot(),
        )  # fmt: skip


def guardrails(record: OutcomeRecord) -> Guardrails:
    """The guardrails of an alarm point as its factory sent them."""
    bounds = bounds_of(record.bounds)
    return Guardrails(
        bounds, record.bounds.get("step") or step_of(bounds, setting_of(record.current))
    )


def _shadow(record: OutcomeRecord) -> Shadow | None:
    """The record as the bank takes it; None if it has no verdicts to learn from."""
    verdicts = {
        setting_of(setting): (record.verdicts[name][0] > 0, float(record.verdicts[name][1]))
        for name, setting in record.candidates.items()
        if len(record.verdicts.get(name, ())) == 2
        and all(math.isfinite(number) for number in record.verdicts[name])
        and setting.get("limit") is not None
    }
    current = setting_of(record.current)
    if record.current.get("limit") is None or current not in verdicts:
        return None
    return Shadow(record.occurrence, record.raised_at, current, verdicts)
