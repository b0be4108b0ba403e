"""The dispatch desk: experts and mobile resources are asked to see to incidents, by the clock.

Called by the web and by its own watch. Each act is one transaction with its audit entry; who does
not accept in time, or declines, is followed by the next one that can. It commands no device.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from group_cloud.application.dispatching.ports import Assignment, DispatchRows
from group_cloud.application.ports import Audit, Records, Transaction
from group_cloud.domain.assignment import (
    ASKS_NEXT,
    Move,
    Resource,
    advance,
    next_of,
    overdue,
)
from group_cloud.domain.scope import ALL, Scope
from shared.clock import Clock
from shared.errors import Rejected
from shared.ids import uuid7

WATCH_S = 1.0
DUE = 100
GROUP = "group"
"""Who acts when a clock runs out."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted: somebody for an incident, within these times."""

    site: str
    incident: str
    skills: tuple[str, ...]
    resource: str | None
    """Whom to ask first; None: whoever suits best."""
    accept_s: int
    on_site_s: int
    note: str = ""


class DispatchDesk:
    """Where the group sends people and things."""

    def __init__(self, rows: DispatchRows, records: Records, audit: Audit, clock: Clock) -> None:
        self._rows, self._records, self._audit, self._clock = rows, records, audit, clock
        self.on_change: Callable[[], None] = lambda: None

    async def put_resource(self, made: Resource, actor: str, scope: Scope) -> Rejected | None:
        """Register a resource, or say where it is and whether it is free."""
        now = self._clock.now_ms()
        async with self._records.transaction() as tx:
            if not scope.holds(made.tenant) or made.tenant not in await self._rows.tenants(tx):
                return Rejected("unknown_tenant", {"tenant": made.tenant})
            if not await self._rows.put_resource(tx, made, now):
                return Rejected("unknown_resource", {"resource": made.id})
            await self._audit(
                tx, now, actor, "resource_put", made.id,
                {"site": made.site, "available": made.available, "skills": list(made.skills)},
            )  # fmt: skip
        self.on_change()
        return None

    async def assign(self, asked: Asked, actor: str, scope: Scope) -> Assignment | Rejected:
        """Ask somebody; of the tenant whose factory it is."""
        tenant = await self._rows.tenant_of(scope, asked.site)
        if tenant is None or not await self._rows.has_incident(scope, asked.site, asked.incident):
            return Rejected("unknown_incident", {"incident": asked.incident})
        async with self._records.transaction() as tx:
            await self._rows.lock_all(tx)
            own = await self._rows.resources(tx, Scope(frozenset({tenant})))
            busy = await self._rows.busy(tx)
            chosen = self._chosen(asked, own, busy)
            if isinstance(chosen, Rejected):
                return chosen
            now, name = self._clock.now_ms(), uuid7(self._clock)
            made = Assignment(
                id=name, site=asked.site, incident=asked.incident, chain=name, resource=chosen.id,
                skills=list(asked.skills), state="offered", offered_at=now,
                accept_by=now + asked.accept_s * 1000, on_site_by=now + asked.on_site_s * 1000,
                accept_s=asked.accept_s, at=now, by=actor, note=asked.note,
                history=[{"at": now, "state": "offered", "by": actor}],
            )  # fmt: skip
            await self._rows.save(tx, made)
            await self._told(tx, made, actor, "offered")
        self.on_change()
        return made

    @staticmethod
    def _chosen(asked: Asked, own: list[Resource], busy: set[str]) -> Resource | Rejected:
        if asked.resource is None:
            found = next_of(own, asked.skills, asked.site, (), busy)
            return found or Rejected("nobody_available", {"skills": ", ".join(asked.skills)})
        found = next((each for each in own if each.id == asked.resource), None)
        if found is None:
            return Rejected("unknown_resource", {"resource": asked.resource})
        if found.id in busy or not found.available:
            return Rejected("resource_busy", {"resource": found.id})
        return found

    async def move(
        self, name: str, move: Move, note: str, actor: str, scope: Scope
    ) -> Assignment | Rejected:
        """Somebody accepts, declines, sets out, arrives, has finished; or it is called off."""
        async with self._records.transaction() as tx:
            await self._rows.lock_all(tx)
            row = await self._rows.get(tx, name)
            if row is None or await self._rows.tenant_of(scope, row.site) is None:
                return Rejected("unknown_assignment", {"assignment": name})
            moved = await self._advance(tx, row, move, actor, note)
            if moved is None:
                return Rejected("assignment_state", {"state": row.state, "move": move})
            if moved.state in ASKS_NEXT:
                await self._ask_next(tx, moved)
        self.on_change()
        return moved

    async def watch_for_ever(self) -> None:
        """See to the clocks; any number of replicas may."""
        while True:
            await self.watch()
            await asyncio.sleep(WATCH_S)

    async def watch(self) -> int:
        """One round; returns how many were seen to."""
        async with self._records.transaction() as tx:
            await self._rows.lock_all(tx)
            now = self._clock.now_ms()
            found = await self._rows.due(tx, now, DUE)
            for row in found:
                await self._see_to(tx, row, now)
        if found:
            self.on_change()
        return len(found)

    async def _see_to(self, tx: Transaction, row: Assignment, now: int) -> None:
        late = overdue(row.state, row.accept_by, row.on_site_by, now)
        if "arrive" in late and not row.missed:
            row = replace(row, missed=True)
            await self._rows.save(tx, row)
            await self._told(tx, row, GROUP, "missed")
        if "accept" in late:
            row = await self._advance(tx, row, "lapse", GROUP, "") or row
        if row.state in ASKS_NEXT and not row.escalated:
            await self._ask_next(tx, row)

    async def _advance(
        self, tx: Transaction, row: Assignment, move: Move, actor: str, note: str
    ) -> Assignment | None:
        state = advance(row.state, move)
        if state is None:
            return None
        now = self._clock.now_ms()
        entry = {"at": now, "state": state, "by": actor} | ({"note": note} if note else {})
        moved = replace(row, state=state, at=now, history=[*row.history, entry])
        await self._rows.save(tx, moved)
        await self._told(tx, moved, actor, state)
        return moved

    async def _ask_next(self, tx: Transaction, row: Assignment) -> None:
        """The next of the tenant that has not been asked; the clock until arrival goes on."""
        await self._rows.save(tx, replace(row, escalated=True))
        tenant = await self._rows.tenant_of(ALL, row.site)
        own = await self._rows.resources(tx, Scope(frozenset({tenant} if tenant else set())))
        asked = {each.resource or "" for each in await self._rows.chain(tx, row.chain)}
        found = next_of(own, row.skills, row.site, asked, await self._rows.busy(tx))
        now = self._clock.now_ms()
        if found is None:
            await self._told(tx, row, GROUP, "nobody_left")
            return
        made = replace(
            row, id=uuid7(self._clock), resource=found.id, state="offered", offered_at=now,
            accept_by=now + row.accept_s * 1000, at=now, escalated=False, by=GROUP,
            history=[{"at": now, "state": "offered", "by": GROUP, "after": row.id}],
        )  # fmt: skip
        await self._rows.save(tx, made)
        await self._told(tx, made, GROUP, "offered")

    async def _told(self, tx: Transaction, row: Assignment, actor: str, what: str) -> None:
        await self._audit(
            tx, self._clock.now_ms(), actor, f"assignment_{what}", row.id,
            {"site": row.site, "incident": row.incident, "resource": row.resource,
             "chain": row.chain},
        )  # fmt: skip
