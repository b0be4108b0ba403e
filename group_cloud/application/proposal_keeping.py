"""Keeps the proposals of alarm points in order: at most one open each, and only one that holds.

Called by whoever finds settings (labels, shadow counts, people), in the caller's transaction and
under the point's lock. What one source has proposed no other takes back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from group_cloud.application.ports import Audit, Models, ProposalRow, Proposals, Rollouts
from group_cloud.application.ports import Transaction as Tx
from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout import IN_FLIGHT
from shared.alarm.point import Setting
from shared.clock import Clock
from shared.ids import uuid7
from shared.telemetry import logger

log = logger("trainer")
NEW_EVIDENCE = 3
"""Further pieces of evidence that a rejected setting needs before it is proposed again."""
Source = Literal["labels", "shadow", "person"]


@dataclass(frozen=True, slots=True)
class Found:
    """A setting to be proposed, with all that people read of it."""

    current: Setting
    proposed: Setting
    fingerprint: str
    """Of the evidence: the same one changes nothing."""
    weight: int
    """How many pieces of evidence speak for it."""
    newest_at: int
    """When the newest of them happened."""
    body: dict[str, Any]
    model: str = ""
    """Name of the learnt state that led here; empty: none did."""
    snapshot: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptIn:
    """The tables that proposals touch."""

    proposals: Proposals
    rollouts: Rollouts
    models: Models
    audit: Audit


class ProposalKeeper:
    """Opens, refreshes and closes proposals."""

    def __init__(self, stores: KeptIn, clock: Clock) -> None:
        self._stores, self._clock = stores, clock

    async def settle(self, tx: Tx, point: Point, source: Source, found: Found | None) -> bool:
        """Make the table say what was found; whether anything changed."""
        await self._stores.proposals.lock_point(tx, point)
        last = await self._stores.proposals.newest(tx, point)
        still_open = last if last is not None and last.status == "open" else None
        if still_open is not None and not _may_touch(source, still_open, found):
            return False
        if found is not None and not await self._is_news(tx, point, found, last):
            found = None
        if found is None:
            if still_open is None:
                return False
            await self.close(tx, still_open, "evidence_gone")
            return True
        if still_open is not None:
            if still_open.fingerprint == found.fingerprint:
                return False
            same = (still_open.current, still_open.proposed) == (found.current, found.proposed)
            if same and source_of(still_open) == source:
                # What an engineer is reading keeps its numbers; only the evidence grows.
                await self.save(tx, point, source, found, still_open)
                return True
            await self.close(tx, still_open, "better_found")
        await self.save(tx, point, source, found, None)
        return True

    async def _is_news(self, tx: Tx, point: Point, found: Found, last: ProposalRow | None) -> bool:
        if await self._stores.rollouts.planned(tx, point):
            return False
        rollout = await self._stores.rollouts.newest_of(tx, point)
        if rollout is not None:
            if rollout.status in IN_FLIGHT:
                return False
            # Evidence from before the last change speaks of a setting that no longer runs.
            if rollout.status == "applied" and found.newest_at < rollout.at:
                return False
        taken_back = rollout is not None and rollout.status in ("rolled_back", "refused")
        if last is not None and (last.status == "rejected" or taken_back):
            same = (last.current, last.proposed) == (found.current, found.proposed)
            return not same or found.weight >= last.nuisance + NEW_EVIDENCE
        return True

    async def close(self, tx: Tx, row: ProposalRow, reason: str, actor: str = "group") -> None:
        """It no longer holds."""
        now = self._clock.now_ms()
        closed = replace(row, status="superseded", decided_at=now, decided_by=actor, reason=reason)
        await self._stores.proposals.save(tx, closed)
        await self._audit(tx, "proposal_superseded", closed, {"reason": reason}, actor)

    async def save(
        self, tx: Tx, point: Point, source: Source, found: Found, earlier: ProposalRow | None,
        actor: str = "group",
    ) -> ProposalRow:  # fmt: skip
        """Open a proposal, or write what is new about one."""
        now, version = self._clock.now_ms(), 0
        if found.model:
            version = await self._stores.models.keep(
                tx, found.model, found.fingerprint, found.snapshot, now
            )
        row = ProposalRow(
            id=earlier.id if earlier else uuid7(self._clock), point=point, status="open",
            created_at=earlier.created_at if earlier else now, current=found.current,
            proposed=found.proposed, fingerprint=found.fingerprint, nuisance=found.weight,
            body={**found.body, "source": source, "model_version": version},
        )  # fmt: skip
        await self._stores.proposals.save(tx, row)
        data = {"fingerprint": row.fingerprint, "model_version": version, "source": source}
        action = "proposal_updated" if earlier else "proposal_made"
        await self._audit(tx, action, row, data, actor)
        log.info(action, proposal=row.id, point=str(point), source=source, version=version)
        return row

    async def _audit(
        self, tx: Tx, action: str, row: ProposalRow, data: dict[str, Any], actor: str
    ) -> None:
        data = {"point": str(row.point), **data}
        await self._stores.audit(tx, self._clock.now_ms(), actor, action, row.id, data)


def source_of(row: ProposalRow) -> Source:
    """What found it."""
    return row.body.get("source", "labels")


def _may_touch(source: Source, row: ProposalRow, found: Found | None) -> bool:
    """Only the counts may better what labels said; a person's stands until people decide."""
    theirs = source_of(row)
    return theirs == source or (source == "shadow" and theirs == "labels" and found is not None)
