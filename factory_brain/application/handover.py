"""The hand-over of a shift: what it leaves to the next, frozen when it is given, signed when taken.

Gathers what the desk, the live list and the playbooks show; the report never changes afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from factory_brain.application.desk_lists import DeskLists
from factory_brain.application.live_view import LiveView
from factory_brain.application.ports import Audit, Transaction
from factory_brain.domain.shifts import Turn, turns_at
from shared.clock import Clock, HybridTime
from shared.errors import Rejected
from shared.ids import uuid7
from shared.site.model import SiteFile
from shared.web.dto import AlarmRow, Run, Text
from shared.web.dto_desk import (
    HandoverContent,
    HandoverDraft,
    HandoverEntry,
    OpenIncident,
    OpenRun,
    Remark,
    Shift,
    StandingAlarm,
)

STALE_MS = 86_400_000
RUNS = 200
HELD_STATES = frozenset({"shelved", "suppressed", "out_of_service", "disabled"})


@dataclass(frozen=True, slots=True)
class Handover:
    """One stored hand-over."""

    id: str
    shift: dict[str, Any]
    next_shift: dict[str, Any]
    created_at: int
    created_by: str
    note: str
    content: str
    digest: str
    counts: dict[str, int]
    signed_at: int | None = None
    signed_by: str | None = None
    sign_note: str = ""


class Handovers(Protocol):
    """Where hand-overs are kept."""

    def transaction(self) -> Any:
        """A transaction that commits at the end of the block."""
        ...

    async def insert(self, tx: Transaction, /, report: Handover) -> None:
        """Keep a new one."""
        ...

    async def get(self, report: str, tx: Transaction = None) -> Handover | None:
        """One; locked if a transaction is given."""
        ...

    async def sign(self, tx: Transaction, /, report: str, by: str, note: str, at: int) -> None:
        """Note who took it over."""
        ...

    async def listed(self, limit: int, before: tuple[int, str] | None) -> list[Handover]:
        """Newest first, those before a position."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """What a report is gathered from."""

    lists: DeskLists
    live: LiveView
    runs: Callable[[int], Awaitable[list[Run]]]
    incidents: Callable[[], Awaitable[list[OpenIncident]]]


class HandoverDesk:
    """Drafts, gives and takes over."""

    def __init__(
        self, info: SiteFile, clock: Clock, sources: Sources, store: Handovers, audit: Audit
    ) -> None:
        self._info, self._clock, self._sources = info, clock, sources
        self._store, self._audit = store, audit

    async def draft(self) -> HandoverDraft:
        """What would be handed over now."""
        now = self._clock.now_ms()
        on, following = turns_at(self._info.shifts, self._info.timezone, now)
        return HandoverDraft(
            shift=_shift(on), next_shift=_shift(following), content=await self._content(now)
        )

    async def create(self, note: str, actor: str) -> HandoverEntry:
        """Freeze the draft and give it to the next shift."""
        draft = await self.draft()
        text = draft.content.model_dump_json()
        report = Handover(
            id=uuid7(self._clock),
            shift=draft.shift.model_dump(),
            next_shift=draft.next_shift.model_dump(),
            created_at=draft.content.at,
            created_by=actor,
            note=note,
            content=text,
            digest=hashlib.sha256(text.encode()).hexdigest(),
            counts=_counts(draft.content),
        )
        async with self._store.transaction() as tx:
            await self._store.insert(tx, report)
            await self._audit(
                tx, report.created_at, actor, "hand_over", report.id,
                {"shift": draft.shift.id, "digest": report.digest, "counts": report.counts,
                 "note": note},
            )  # fmt: skip
        return entry_of(report)

    async def sign(self, report_id: str, note: str, actor: str) -> HandoverEntry | Rejected:
        """The next shift takes it over; never by who gave it."""
        now = self._clock.now_ms()
        async with self._store.transaction() as tx:
            report = await self._store.get(report_id, tx)
            if report is None:
                return Rejected("unknown_handover", {"handover": report_id})
            if report.signed_by is not None:
                return Rejected("already_signed", {"by": report.signed_by})
            if report.created_by == actor:
                return Rejected("same_person", {"by": actor})
            await self._store.sign(tx, report_id, actor, note, now)
            await self._audit(
                tx, now, actor, "take_over", report_id,
                {"from": report.created_by, "digest": report.digest, "note": note},
            )  # fmt: skip
        signed = await self._store.get(report_id)
        assert signed is not None
        return entry_of(signed)

    async def get(self, report_id: str) -> tuple[HandoverEntry, dict[str, Any]] | None:
        """One report with its frozen content."""
        report = await self._store.get(report_id)
        return (entry_of(report), msgspec.json.decode(report.content)) if report else None

    async def listed(self, limit: int, before: tuple[int, str] | None) -> list[HandoverEntry]:
        """Newest first."""
        return [entry_of(each) for each in await self._store.listed(limit, before)]

    async def _content(self, now: int) -> HandoverContent:
        lists, live = self._sources.lists, self._sources.live
        rows = sorted(live.snapshot().rows, key=lambda r: (r.priority, -r.raised_at, r.alarm))
        shown = [row for row in rows if row.state not in HELD_STATES]
        return HandoverContent(
            at=now,
            shelved=(await lists.held("shelf")).items,
            suppressed=(await lists.held("suppressed")).items,
            out_of_service=(await lists.held("out_of_service")).items,
            stale=[_standing(r) for r in shown if r.active and now - r.raised_at > STALE_MS],
            standing=[_standing(r) for r in shown if r.active],
            unacknowledged=[_standing(r) for r in shown if not r.acked],
            comments=self._comments(rows),
            assignments=[_assignment(row) for row in rows if row.assigned_to],
            incidents=await self._sources.incidents(),
            runs=_runs(await self._sources.runs(RUNS)),
        )

    def _comments(self, rows: Sequence[AlarmRow]) -> list[Remark]:
        """Comments on what still stands open."""
        live = self._sources.live
        return [
            Remark(
                alarm=row.alarm, occurrence=row.occurrence, name=row.name, by=said.actor,
                at=HybridTime.parse(said.hlc).ms, text=said.text,
            )
            for row in rows
            if row.comments and (found := live.occurrence(row.alarm)) is not None
            for said in found.view.comments
        ]  # fmt: skip


def entry_of(report: Handover) -> HandoverEntry:
    """For the list."""
    return HandoverEntry(
        id=report.id, shift=Shift.model_validate(report.shift),
        next_shift=Shift.model_validate(report.next_shift), created_at=report.created_at,
        created_by=report.created_by, note=report.note, digest=report.digest,
        signed_at=report.signed_at, signed_by=report.signed_by, sign_note=report.sign_note,
        counts=report.counts,
    )  # fmt: skip


def _shift(turn: Turn) -> Shift:
    name = turn.spec.name
    return Shift(id=turn.spec.id, name=Text(zh=name.zh, en=name.en), start=turn.start, end=turn.end)


def _standing(row: AlarmRow) -> StandingAlarm:
    return StandingAlarm(
        alarm=row.alarm, occurrence=row.occurrence, name=row.name, priority=row.priority,
        state=row.state, asset=row.asset, raised_at=row.raised_at, acked_by=row.acked_by,
        assigned_to=row.assigned_to,
    )  # fmt: skip


def _assignment(row: AlarmRow) -> Remark:
    return Remark(
        alarm=row.alarm, occurrence=row.occurrence, name=row.name, at=row.raised_at, by="",
        assigned_to=row.assigned_to,
    )  # fmt: skip


def _runs(runs: Sequence[Run]) -> list[OpenRun]:
    return [
        OpenRun(
            id=run.id, playbook=run.playbook, name=run.name, status=run.status, alarm=run.alarm,
            started_at=run.started_at,
        )
        for run in runs
        if run.ended_at is None
    ]  # fmt: skip


def _counts(content: HandoverContent) -> dict[str, int]:
    return {
        name: len(value)
        for name in type(content).model_fields
        if isinstance(value := getattr(content, name), list)
    }
