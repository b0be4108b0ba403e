"""The record of faults: made of what people labelled, or told by a person where no alarm was.

Called in the transaction of a label and by the routes; each change goes up to the group with the
transaction that makes it. It touches no alarm and no incident.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from factory_brain.application.ports import Audit, Transaction
from factory_brain.application.shadow.ports import Faults, Group
from factory_brain.domain.faults import Fault, fault_id, of_case, revised
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.shadow import DAY_MS, line_of
from shared.clock import Clock
from shared.errors import Rejected
from shared.ids import uuid7
from shared.messages.bodies import FaultRecord
from shared.site.site import Site

AHEAD_MS = 60_000
"""A person's clock may be a little ahead."""
OLDEST_MS = 400 * DAY_MS
LONGEST_MS = 30 * DAY_MS


@dataclass(frozen=True, slots=True)
class By:
    """Who tells, and where that person may."""

    name: str
    may: Callable[[str], bool] = field(default=lambda _: True)


@dataclass(frozen=True, slots=True)
class Telling:
    """What a person says of a fault."""

    asset: str
    start: int
    end: int
    cause: str
    comment: str = ""
    alarms: tuple[str, ...] = ()


class FaultDesk:
    """Keeps the record of faults of one factory."""

    def __init__(self, site: Site, clock: Clock, store: Faults, group: Group, audit: Audit) -> None:
        self._site, self._clock = site, clock
        self._store, self._group, self._audit = store, group, audit
        self.on_change: list[Callable[[], None]] = []

    # what labels say

    async def on_label(self, tx: Transaction, found: Occurrence, actor: str, now: int) -> None:
        """Somebody has labelled an occurrence, in this transaction: follow it."""
        case = await self._store.case(tx, found.occurrence)
        if case is None:
            return
        name = fault_id(case)
        await self._store.lock(tx, name)
        case = await self._store.case(tx, found.occurrence)  # as it stands under the lock
        if case is None:
            return
        for stale in await self._store.overtaken(tx, case):
            await self._put(tx, replace(stale, revision=stale.revision + 1, withdrawn=True))
        before = await self._store.get(name, tx)
        said = of_case(case, now)
        if said is None:
            if before is not None and not before.withdrawn:
                gone = replace(before, revision=before.revision + 1, withdrawn=True)
                await self._put(tx, gone)
            return
        start, end, alarms = said
        after = Fault(
            id=name, revision=0, asset=case.asset, line=line_of(self._site.assets, case.asset),
            start=start, end=end, cause=case.cause, actor=actor, recorded_at=now, alarms=alarms,
            incident=case.incident,
        )  # fmt: skip
        made = revised(before, after)
        if made is not None:
            await self._put(tx, made)

    # what people tell

    async def record(self, told: Telling, by: By) -> Fault | Rejected:
        """A fault that no alarm told of, or not one that stands in the record."""
        now = self._clock.now_ms()
        refusal = self._refuse(told, by, now)
        if refusal is not None:
            return refusal
        fault = Fault(
            id=uuid7(self._clock), revision=1, asset=told.asset,
            line=line_of(self._site.assets, told.asset), start=told.start, end=told.end,
            cause=told.cause, actor=by.name, recorded_at=now, alarms=tuple(sorted(told.alarms)),
            comment=told.comment,
        )  # fmt: skip
        async with self._store.transaction() as tx:
            # First the audit chain, last the way up: as everybody who takes both.
            await self._audit(
                tx, now, by.name, "fault_record", fault.id,
                {"asset": fault.asset, "start": fault.start, "end": fault.end,
                 "cause": fault.cause, "comment": fault.comment},
            )  # fmt: skip
            await self._put(tx, fault)
        self._changed()
        return fault

    async def withdraw(
        self, fault: str, reason: str, by: By, check: Callable[[Fault], None]
    ) -> Fault | Rejected:
        """It was none. `check` raises if it is no longer as its reader saw it."""
        async with self._store.transaction() as tx:
            await self._store.lock(tx, fault)
            found = await self._store.get(fault, tx)
            if found is None:
                return Rejected("unknown_fault", {"fault": fault})
            if not by.may(found.asset):
                return Rejected("not_allowed_here", {"asset": found.asset})
            check(found)
            if found.withdrawn:
                return Rejected("fault_withdrawn", {"fault": fault})
            if fault.startswith(("inc-", "occ-")):
                # What labels made, labels unmake: else the next label would bring it back.
                return Rejected("fault_of_labels", {"fault": fault})
            gone = replace(found, revision=found.revision + 1, withdrawn=True)
            await self._audit(
                tx, self._clock.now_ms(), by.name, "fault_withdraw", fault, {"reason": reason}
            )
            await self._put(tx, gone)
        self._changed()
        return gone

    async def get(self, fault: str) -> Fault | None:
        """One fault."""
        return await self._store.get(fault)

    async def listed(
        self, limit: int, before: tuple[int, str] | None, withdrawn: bool
    ) -> list[Fault]:
        """Newest first."""
        return await self._store.listed(limit, before, withdrawn)

    def _refuse(self, told: Telling, by: By, now: int) -> Rejected | None:
        assets = {*self._site.asset_specs, *(each.asset for each in self._site.alarms.values())}
        if told.asset not in assets:
            return Rejected("unknown_asset", {"asset": told.asset})
        if not by.may(told.asset):
            return Rejected("not_allowed_here", {"asset": told.asset})
        causes = [each.id for each in self._site.incidents.causes]
        if told.cause not in causes:
            return Rejected("unknown_cause", {"cause": told.cause, "known": causes})
        unknown = [alarm for alarm in told.alarms if alarm not in self._site.alarms]
        if unknown:
            return Rejected("unknown_alarm", {"alarm": unknown[0]})
        if not told.start < told.end <= now + AHEAD_MS:
            return Rejected("fault_times", {"start": told.start, "end": told.end})
        if told.start < now - OLDEST_MS or told.end - told.start > LONGEST_MS:
            return Rejected("fault_times", {"start": told.start, "end": told.end})
        return None

    async def _put(self, tx: Transaction, fault: Fault) -> None:
        await self._store.put(tx, fault)
        await self._group.say(tx, "fault", self._record(fault))

    def _record(self, fault: Fault) -> FaultRecord:
        return FaultRecord(
            site=self._site.info.site, id=fault.id, revision=fault.revision, asset=fault.asset,
            line=fault.line, start=fault.start, end=fault.end, cause=fault.cause,
            actor=fault.actor, recorded_at=fault.recorded_at, alarms=list(fault.alarms),
            incident=fault.incident, withdrawn=fault.withdrawn,
        )  # fmt: skip

    def _changed(self) -> None:
        for listener in self.on_change:
            listener()
