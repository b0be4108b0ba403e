"""Feeds labelled outcomes to the alarm points' banks and turns what they find into proposals.

Woken by ingest; its queue is the table of outcomes, so nothing is lost by a crash. It never shows a
bank an occurrence that nobody has judged.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from group_cloud.application.ports import (
    Audit,
    Bank,
    Models,
    ProposalRow,
    Proposals,
    Records,
    Rollouts,
    Transaction,
)
from group_cloud.application.wording import proposal_body
from group_cloud.domain.evidence import LABELS, Point, Shadow, Suggestion
from group_cloud.domain.guardrails import Guardrails
from group_cloud.domain.rollout import IN_FLIGHT
from shared.alarm.shadow import bounds_of, setting_of, step_of
from shared.clock import Clock
from shared.ids import uuid7
from shared.messages.bodies import OutcomeRecord
from shared.telemetry import logger

log = logger("trainer")
POLL_S = 30.0
RECORDS = 500
"""Newest outcomes of a point that are replayed into a bank."""
BANKS = 64
"""Banks held in memory; the others are rebuilt from the table when their next label comes."""
NEW_NUISANCE = 3
"""Further nuisance labels that a rejected setting needs before it is proposed again."""


@dataclass(frozen=True, slots=True)
class TrainerStores:
    """The tables that training touches."""

    records: Records
    proposals: Proposals
    rollouts: Rollouts
    models: Models
    audit: Audit


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
        self._stores, self._clock, self._new_bank = stores, clock, new_bank
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
        held = held or _Held(self._new_bank())
        for _, record in arrived:
            held.take(record)
        found = self._search(held.bank, held.newest) if held.newest else None
        async with self._stores.records.transaction() as tx:
            await self._stores.proposals.lock_point(tx, point)
            changed = await self._settle(tx, point, held.bank, held.newest, found)
            await self._stores.records.mark_trained(tx, [revision for revision, _ in arrived])
        # Kept only now: a bank whose transaction failed is rebuilt from the table.
        self._banks[point] = held
        while len(self._banks) > BANKS:
            self._banks.popitem(last=False)
        if changed:
            self.on_proposals()

    @staticmethod
    def _search(bank: Bank, newest: OutcomeRecord) -> Suggestion | None:
        rails = guardrails(newest)
        return bank.propose(lambda now, new: rails.refuse(now, new) is None)

    async def _settle(
        self, tx: Transaction, point: Point, bank: Bank, newest: OutcomeRecord | None,
        found: Suggestion | None,
    ) -> bool:  # fmt: skip
        """At most one open proposal per point, and only one that still holds."""
        last = await self._stores.proposals.newest(tx, point)
        if (
            found is not None
            and newest is not None
            and not await self._is_news(tx, point, newest, found, last)
        ):
            found = None
        still_open = last if last is not None and last.status == "open" else None
        if found is None or newest is None:
            if still_open is None:
                return False
            await self._close(tx, still_open, "evidence_gone")
            return True
        if still_open is not None:
            if still_open.fingerprint == found.fingerprint:
                return False
            same = (still_open.current, still_open.proposed) == (
                found.current.setting, found.proposed.setting
            )  # fmt: skip
            if same:
                # What an engineer is reading keeps its numbers; only the evidence grows.
                await self._save(tx, point, bank, newest, found, still_open)
                return True
            await self._close(tx, still_open, "better_found")
        await self._save(tx, point, bank, newest, found, None)
        return True

    async def _is_news(
        self, tx: Transaction, point: Point, newest: OutcomeRecord, found: Suggestion,
        last: ProposalRow | None,
    ) -> bool:  # fmt: skip
        rollout = await self._stores.rollouts.newest_of(tx, point)
        if rollout is not None:
            if rollout.status in IN_FLIGHT:
                return False
            # Evidence from before the last change speaks of a setting that no longer runs.
            if rollout.status == "applied" and newest.raised_at < rollout.at:
                return False
        if last is not None and last.status == "rejected":
            same = (last.current, last.proposed) == (found.current.setting, found.proposed.setting)
            return not same or found.nuisance >= last.nuisance + NEW_NUISANCE
        return True

    async def _close(self, tx: Transaction, row: ProposalRow, reason: str) -> None:
        now = self._clock.now_ms()
        closed = replace(
            row, status="superseded", decided_at=now, decided_by="group", reason=reason
        )
        await self._stores.proposals.save(tx, closed)
        await self._audit(tx, "proposal_superseded", closed, {"reason": reason})

    async def _save(
        self, tx: Transaction, point: Point, bank: Bank, newest: OutcomeRecord,
        found: Suggestion, earlier: ProposalRow | None,
    ) -> None:  # fmt: skip
        now = self._clock.now_ms()
        version = await self._stores.models.keep(
            tx, f"threshold/{point}", found.fingerprint, bank.snapshot(), now
        )
        row = ProposalRow(
            id=earlier.id if earlier else uuid7(self._clock),
            point=point,
            status="open",
            created_at=earlier.created_at if earlier else now,
            current=found.current.setting,
            proposed=found.proposed.setting,
            fingerprint=found.fingerprint,
            nuisance=found.nuisance,
            body=proposal_body(newest, guardrails(newest), found, version),
        )
        await self._stores.proposals.save(tx, row)
        await self._audit(
            tx, "proposal_updated" if earlier else "proposal_made", row,
            {"fingerprint": row.fingerprint, "model_version": version},
        )  # fmt: skip
        log.info("proposal_made", proposal=row.id, point=str(point), version=version)

    async def _audit(
        self, tx: Transaction, action: str, row: ProposalRow, data: dict[str, Any]
    ) -> None:
        data = {"point": str(row.point), **data}
        await self._stores.audit(tx, self._clock.now_ms(), "group", action, row.id, data)


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
