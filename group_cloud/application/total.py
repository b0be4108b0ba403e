"""The total set: what all factories told of alarms, incidents and runs, folded as it comes in.

Called by the ingest in the receiver's transaction, so that rows, figures and watermark stand or
fall together; it shows and counts, and decides nothing at a factory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

from group_cloud.application.ports import Transaction
from group_cloud.domain.figures import Occurred, Sums, in_time, told
from shared.messages.bodies import (
    AlarmPoints,
    AlarmTransition,
    FleetReport,
    IncidentRecord,
    MailReceipt,
    PlaybookOutcome,
)
from shared.outbox.receiving import Batch
from shared.telemetry import logger

log = logger("total")
Taker = Callable[[Transaction, str, Any, int], Awaitable[None]]


class TotalRows(Protocol):
    """See `adapters/postgres/total_store.py`."""

    async def lock_site(self, tx: Transaction, /, site: str) -> None:
        """One writer at a time for a site."""
        ...

    async def occurrences(
        self, tx: Transaction, /, site: str, names: Iterable[str]
    ) -> dict[str, Occurred]:
        """These, as far as they are known."""
        ...

    async def save_occurrences(
        self, tx: Transaction, /, site: str, found: list[Occurred], sums: Sums
    ) -> None:
        """Write them and what they change in the figures."""
        ...

    async def count_left_out(self, tx: Transaction, /, site: str, count: int) -> None:
        """So many occurrences are in no figure."""
        ...

    async def save_incident(
        self, tx: Transaction, /, site: str, record: IncidentRecord, at: int
    ) -> None:
        """Keep an incident's newest revision."""
        ...

    async def save_run(self, tx: Transaction, /, site: str, run: PlaybookOutcome, at: int) -> None:
        """Keep a run's end."""
        ...

    async def save_points(self, tx: Transaction, /, site: str, told: AlarmPoints) -> None:
        """Keep where alarms stand."""
        ...


class TotalSet:
    """Folds what comes in."""

    def __init__(self, rows: TotalRows, days: int) -> None:
        self._rows, self._days = rows, days
        self.takers: dict[type, Taker] = {}
        """Whoever else keeps what is of these kinds, in the same transaction."""

    async def take(self, tx: Transaction, site: str, batch: Batch) -> None:
        """All of a batch that belongs to the total set."""
        bodies: list[Any] = [item.event.body for item in batch.events]
        said = [
            (item.event.body, item.event.time) for item in batch.events
            if isinstance(item.event.body, AlarmTransition) and item.event.body.occurrence
        ]  # fmt: skip
        if said:
            await self._rows.lock_site(tx, site)
            await self._fold(tx, site, said, batch.received_at)
        for body in bodies:
            match body:
                case IncidentRecord() | AlarmPoints() | FleetReport() | MailReceipt() if (
                    body.site != site
                ):
                    log.error("foreign_record", source=batch.source, claims=body.site)
                case IncidentRecord():
                    await self._rows.save_incident(tx, site, body, batch.received_at)
                case AlarmPoints():
                    await self._rows.save_points(tx, site, body)
                case PlaybookOutcome():
                    await self._rows.save_run(tx, site, body, batch.received_at)
                case _ if (taker := self.takers.get(type(body))) is not None:
                    await taker(tx, site, body, batch.received_at)
                case _:
                    continue

    async def _fold(
        self, tx: Transaction, site: str, said: list[tuple[AlarmTransition, int]], now: int
    ) -> None:
        before = await self._rows.occurrences(tx, site, {body.occurrence for body, _ in said})
        after: dict[str, Occurred] = dict(before)
        for body, at in said:
            after[body.occurrence] = told(after.get(body.occurrence), body, at)
        sums, changed, left_out = Sums(), list[Occurred](), 0
        for name, found in sorted(after.items()):
            old = before.get(name)
            # Once counted it stays so: the figures may not lose what is only growing old.
            counted = (old is not None and old.counted) or in_time(found, now, self._days)
            new = replace(found, counted=counted)
            if new == old:
                continue
            left_out += int(old is None and not counted and new.raised_at > 0)
            sums.change(old, new)
            changed.append(new)
        if changed:
            await self._rows.save_occurrences(tx, site, changed, sums)
        if left_out:
            await self._rows.count_left_out(tx, site, left_out)
