"""What people do with incidents: acknowledge, own, note, contain, close, reopen, make one.

Each act is one transaction with its entry in the time line and in the audit chain. It touches no
alarm: acknowledging an incident acknowledges none of its alarms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from factory_brain.application.incidents.ports import (
    MERGED,
    Entry,
    Incident,
    IncidentReads,
    Incidents,
    ToLabel,
)
from factory_brain.application.incidents.rules import SiteRules
from factory_brain.application.incidents.understanding import Understanding
from factory_brain.application.outcomes import Outcomes
from factory_brain.application.ports import Audit, Transaction
from factory_brain.domain.incidents.life_cycle import STATUSES, Status, Trigger, advance
from shared.clock import Clock
from shared.errors import Rejected
from shared.site.site import Site
from shared.telemetry import logger

MOST_HEIRS = 32
LABELS = 20
MAX_TRIES, MOST_TRIED = 3, 1000
"""How often a label is tried before its occurrence is set aside."""
log = logger("incidents")


@dataclass(frozen=True, slots=True)
class By:
    """Who acts, and where that person may."""

    name: str
    may: Callable[[str], bool] = field(default=lambda _: True)
    """Asked with the incident's asset."""


Answer = Rejected | str
"""A refusal, or the id of the incident."""


class IncidentDesk:
    """The incidents' desk of one factory."""

    def __init__(
        self, site: Site, rules: SiteRules, clock: Clock, store: Incidents, audit: Audit
    ) -> None:
        self._site, self._rules, self._clock = site, rules, clock
        self._store, self._audit = store, audit
        self.on_change: list[Callable[[], None]] = []

    async def acknowledge(self, name: str, by: By) -> Answer:
        """Somebody has seen it."""

        def change(row: Incident, now: int) -> Incident:
            return replace(row, acknowledged_at=now, acknowledged_by=by.name)

        return await self._move(name, by, "acknowledge", change, {})

    async def contain(self, name: str, comment: str, by: By) -> Answer:
        """Nothing more can happen by it."""

        def change(row: Incident, now: int) -> Incident:
            seen = row.acknowledged_at is not None
            return replace(
                row, contained_at=now, contained_by=by.name,
                acknowledged_at=row.acknowledged_at if seen else now,
                acknowledged_by=row.acknowledged_by if seen else by.name,
            )  # fmt: skip

        return await self._move(name, by, "contain", change, {"text": comment})

    async def close(self, name: str, cause: str, outcome: str, comment: str, by: By) -> Answer:
        """It is over: what caused it and what it was. Its alarms get the outcome as their label."""
        known = [each.id for each in self._site.incidents.causes]
        if cause not in known:
            return Rejected("unknown_cause", {"cause": cause, "known": known})

        def change(row: Incident, now: int) -> Incident | Rejected:
            if row.standing:
                return Rejected("incident_standing", {"standing": row.standing})
            return replace(
                row, closed_at=now, closed_by=by.name, cause=cause, outcome=outcome
            )  # fmt: skip

        told = {"cause": cause, "outcome": outcome, "text": comment}
        return await self._move(name, by, "close", change, told)

    async def reopen(self, name: str, reason: str, by: By) -> Answer:
        """It was not over."""

        def change(row: Incident, _: int) -> Incident:
            return replace(
                row, closed_at=None, closed_by="", acknowledged_at=None, acknowledged_by="",
                contained_at=None, contained_by="", reopened=row.reopened + 1,
            )  # fmt: skip

        return await self._move(name, by, "reopen", change, {"text": reason})

    async def own(self, name: str, owner: str, by: By) -> Answer:
        """Somebody takes care of it."""

        def change(row: Incident, _: int) -> Incident | Rejected:
            if row.status == "closed":
                return Rejected("incident_wrong_status", {"status": row.status, "act": "own"})
            return replace(row, owner=owner)

        return await self._act(name, by, "own", change, {"owner": owner})

    async def note(self, name: str, text: str, by: By) -> Answer:
        """Say something about it; also when it is closed."""
        return await self._act(name, by, "note", lambda row, _: row, {"text": text})

    async def merge(self, name: str, other: str, by: By) -> Answer:
        """Make one incident of two; the earlier gives the name, nobody's words are lost."""
        async with self._store.transaction() as tx:
            await self._store.lock(tx)
            now = self._clock.now_ms()
            one, two = await self._find(tx, name), await self._find(tx, other)
            for row, asked in ((one, name), (two, other)):
                refusal = self._refuse(row, asked, by)
                if refusal is not None:
                    return refusal
            assert one is not None
            assert two is not None
            if one.id == two.id:
                return Rejected("incident_same", {"incident": one.id})
            for row in (one, two):
                if row.status == "closed":
                    return Rejected("incident_wrong_status", {"status": "closed", "act": "merge"})
            await self._store.join(tx, one.first_out[0], two.first_out[0], by.name, now)
            work = Understanding(self._store, tx, self._rules.now(now), self._rules.common, now)
            await work.rejoin()
            await work.finish()
            early = min(one, two, key=lambda row: (row.first_at, row.id))
            after = await self._find(tx, early.id)
            assert after is not None
            told = {"incidents": sorted((one.id, two.id))}
            entry = Entry(after.id, now, "people", "incident_merge", told, by.name)
            await self._store.note(tx, [entry])
            await self._audit(tx, now, by.name, "incident_merge", after.id, told)
        self._changed()
        return after.id

    async def _move(
        self, name: str, by: By, trigger: Trigger,
        change: Callable[[Incident, int], Incident | Rejected], told: dict[str, Any],
    ) -> Answer:  # fmt: skip
        def moved(row: Incident, now: int) -> Incident | Rejected:
            after = advance(_status(row), trigger)
            if after is None:
                return Rejected("incident_wrong_status", {"status": row.status, "act": trigger})
            new = change(row, now)
            return new if isinstance(new, Rejected) else replace(new, status=after)

        return await self._act(name, by, trigger, moved, told)

    async def _act(
        self, name: str, by: By, act: str, change: Callable[[Incident, int], Incident | Rejected],
        told: dict[str, Any],
    ) -> Answer:  # fmt: skip
        async with self._store.transaction() as tx:
            await self._store.lock(tx)
            row = await self._find(tx, name)
            refusal = self._refuse(row, name, by)
            if refusal is not None or row is None:
                return refusal or Rejected("unknown_incident", {"incident": name})
            now = self._clock.now_ms()
            new = change(row, now)
            if isinstance(new, Rejected):
                return new
            await self._store.put(tx, new)
            if act in ("close", "reopen"):
                await self._store.set_closed(tx, row.id, new.closed_at, act == "close")
            said = {key: value for key, value in told.items() if value}
            kind = f"incident_{act}"
            await self._store.note(tx, [Entry(row.id, now, "people", kind, said, by.name)])
            before = {"status": row.status, "owner": row.owner}
            after = {"status": new.status, "owner": new.owner}
            await self._audit(
                tx, now, by.name, kind, row.id, {"before": before, "after": after, **said}
            )
        self._changed()
        return row.id

    def _refuse(self, row: Incident | None, name: str, by: By) -> Rejected | None:
        if row is None:
            return Rejected("unknown_incident", {"incident": name})
        if not by.may(row.asset):
            return Rejected("not_allowed_here", {"asset": row.asset})
        return None

    async def _find(self, tx: Transaction, name: str) -> Incident | None:
        """The incident, or the one that it is part of."""
        for _ in range(MOST_HEIRS):
            row = (await self._store.get(tx, [name])).get(name)
            if row is None or row.status != MERGED or row.merged_into is None:
                return row
            name = row.merged_into
        return None

    def _changed(self) -> None:
        for listener in self.on_change:
            listener()


class Labelling:
    """Gives the outcome of closed incidents to their occurrences, some at a time."""

    def __init__(self, reads: IncidentReads, outcomes: Outcomes) -> None:
        self._reads, self._outcomes = reads, outcomes
        self._tries: dict[str, int] = {}
        """Occurrences whose label could not be given, and how often it was tried."""

    @property
    def aside(self) -> list[str]:
        """Occurrences that are left alone until the next start."""
        return [name for name, tries in self._tries.items() if tries >= MAX_TRIES]

    async def some(self) -> int:
        """Label a few; returns how many."""
        for done in range(LABELS):
            # One at a time: a fault at one must not have those before it labelled again.
            async with self._reads.to_label(1, self.aside) as found:
                for each in found:
                    await self._label(each)
            if not found:
                return done
        return LABELS

    async def _label(self, each: ToLabel) -> None:
        """One; a lasting fault of one must not keep all others from their labels."""
        name = each.occurrence
        try:
            await self._outcomes.label(name, each.outcome, each.cause, "", each.actor)
        except Exception as error:
            tries = self._tries[name] = self._tries.get(name, 0) + 1
            if tries >= MAX_TRIES:
                log.error("label_set_aside", occurrence=name, error=repr(error), tries=tries)
            if len(self._tries) > MOST_TRIED:
                del self._tries[next(iter(self._tries))]
            raise
        self._tries.pop(name, None)


def _status(row: Incident) -> Status:
    return STATUSES[STATUSES.index(row.status)] if row.status in STATUSES else STATUSES[0]
