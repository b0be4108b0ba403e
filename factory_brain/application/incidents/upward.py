"""Tells the group of incidents: when one opens, closes or is merged in that very commit, else once
a minute at most. Tells it too where the site's alarms stand and what they watch.

Called last in each transaction that writes incidents, and by a slow sweep for what others wrote or
was held back. It decides nothing about an incident.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from factory_brain.application.incidents.ports import Incident
from factory_brain.application.ports import Transaction
from shared.alarm.shadow import bounds_data, setting_data, unit_step
from shared.clock import Clock
from shared.ids import uuid7
from shared.messages.bodies import AlarmPoints, Body, IncidentRecord
from shared.messages.envelope import Event
from shared.site.site import Site

QUIET_MS = 60_000
"""An incident whose status stays is told of at most so often."""
SWEEP_S = 10.0
POINTS_EVERY = 6
"""Sweeps between two looks at whether the site's alarms are still those that were told."""
MEMBERS = 200
AT_ONCE = 500
PART = 500
"""Alarms in one message."""
Forward = Callable[[Transaction, list[Event]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Part:
    """One occurrence of an incident."""

    incident: str
    occurrence: str
    alarm: str
    asset: str
    run: str | None


@dataclass(frozen=True, slots=True)
class Untold:
    """An incident of which the group is to hear, at its revision."""

    incident: Incident
    revision: int


class ToldRows(Protocol):
    """See `adapters/postgres/incident_told.py`."""

    async def untold(
        self, tx: Transaction, /, names: Collection[str] | None, quiet: int, limit: int
    ) -> list[Untold]:
        """Of these (None: of all) what is new, closed, moved on, or changed and quiet so long."""
        ...

    async def parts(
        self, tx: Transaction, /, names: Collection[str], limit: int
    ) -> dict[str, list[Part]]:
        """The earliest occurrences of each."""
        ...

    async def closing_words(self, tx: Transaction, /, names: Collection[str]) -> dict[str, str]:
        """What was said when these were contained and closed."""
        ...

    async def told(self, tx: Transaction, /, found: Sequence[Untold], at: int) -> None:
        """The group hears of these when the transaction commits."""
        ...

    async def points_told(self, tx: Transaction, /) -> str:
        """The version of the alarm points that was told last."""
        ...

    async def tell_points(self, tx: Transaction, /, version: str, at: int) -> None:
        """That one is told now."""
        ...


class Upward:
    """Puts records of incidents into the brain's outbox."""

    def __init__(self, site: Site, clock: Clock, rows: ToldRows, forward: Forward) -> None:
        self._site, self._clock, self._rows, self._forward = site, clock, rows, forward
        self.pushed: Callable[[], Awaitable[Mapping[str, Any]]] = _nothing
        """alarm -> (setting as plain data, ...), of those that a directive has set."""

    async def written(self, tx: Transaction, names: Collection[str]) -> None:
        """These were written in this transaction."""
        await self._tell(tx, names)

    async def sweep(self, tx: Transaction) -> int:
        """What was held back or written elsewhere; the caller has the lock. Returns how many."""
        return await self._tell(tx, None)

    async def _tell(self, tx: Transaction, names: Collection[str] | None) -> int:
        now = self._clock.now_ms()
        found = await self._rows.untold(tx, names, now - QUIET_MS, AT_ONCE)
        if not found:
            return 0
        parts = await self._rows.parts(tx, [each.incident.id for each in found], MEMBERS)
        closed = [each.incident.id for each in found if each.incident.status == "closed"]
        words = await self._rows.closing_words(tx, closed) if closed else {}
        records = [
            self._record(each, parts.get(each.incident.id, []), words.get(each.incident.id, ""))
            for each in found
        ]
        await self._rows.told(tx, found, now)
        # Last: the outbox's lane is one row, held until the commit that follows.
        await self._forward(tx, [self._event("incident", record, now) for record in records])
        return len(found)

    def _record(self, told: Untold, parts: Sequence[Part], comment: str) -> IncidentRecord:
        row = told.incident
        first = next((each for each in parts if each.occurrence in row.first_out), None)
        definition = self._site.alarms.get(first.alarm if first else "")
        return IncidentRecord(
            site=self._site.info.site, id=row.id, revision=told.revision, status=row.status,
            opened_at=row.opened_at, priority=row.priority, asset=row.asset,
            merged_into=row.merged_into or "", first_at=row.first_at, last_at=row.last_at,
            acknowledged_at=row.acknowledged_at, contained_at=row.contained_at,
            closed_at=row.closed_at, returned_at=row.returned_at, alarms_total=row.alarms,
            standing=row.standing, unacked=row.unacked, flood=row.flood, owner=row.owner,
            cause=row.cause, outcome=row.outcome, reopened=row.reopened,
            assets=_once(each.asset for each in parts), alarms=_once(each.alarm for each in parts),
            occurrences=[each.occurrence for each in parts],
            first_out=list(row.first_out[:MEMBERS]),
            runs=_once(each.run for each in parts if each.run),
            names=definition.name.to_dict() if definition else {},
            cause_names=self._cause(row.cause), comment=comment,
        )  # fmt: skip

    def _cause(self, cause: str) -> dict[str, str]:
        found = (each.name for each in self._site.incidents.causes if each.id == cause)
        return next(({"zh": name.zh, "en": name.en} for name in found), {})

    async def points(self, tx: Transaction) -> bool:
        """Where the site's alarms stand, if the group has another picture; whether it was told."""
        points, names = self._points()
        tuning = self._tuning(await self.pushed())
        four_eyes = self._site.info.proposals.four_eyes
        kinds = {name: [each.kind, each.side or ""] for name, each in self._site.alarms.items()}
        told = msgspec.msgpack.encode([points, names, tuning, four_eyes, kinds])
        version = hashlib.blake2b(told, digest_size=12).hexdigest()
        if await self._rows.points_told(tx) == version:
            return False
        now, every = self._clock.now_ms(), sorted(points)
        parts = [every[at : at + PART] for at in range(0, len(every), PART)] or [[]]
        events = [
            self._event(
                "alarm_points",
                AlarmPoints(
                    site=self._site.info.site, version=version, part=number, parts=len(parts),
                    points={name: points[name] for name in part},
                    names={name: names[name] for name in part},
                    tuning={name: tuning[name] for name in part if name in tuning},
                    four_eyes=four_eyes, kinds={name: kinds[name] for name in part},
                ),
                now,
            )
            for number, part in enumerate(parts, 1)
        ]  # fmt: skip
        await self._rows.tell_points(tx, version, now)
        await self._forward(tx, events)
        return True

    def _points(self) -> tuple[Mapping[str, list[Any]], Mapping[str, dict[str, str]]]:
        tree, alarms = self._site.assets, self._site.alarms
        points = {
            name: [
                each.edge, each.asset, tree.process_of(each.asset), tree.class_of(each.asset),
                each.tag_class, each.priority,
            ]
            for name, each in alarms.items()
        }  # fmt: skip
        return points, {name: each.name.to_dict() for name, each in alarms.items()}

    def _tuning(self, pushed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name, each in self._site.alarms.items():
            if each.kind != "limit" or each.side is None or each.safety or each.bounds.locked:
                continue
            data = pushed[name][0] if name in pushed else setting_data(each.setting)
            found[name] = {
                "setting": data, "bounds": bounds_data(each.bounds, unit_step(each)),
                "side": each.side, "unit": each.unit,
            }  # fmt: skip
        return found

    def _event(self, kind: str, body: Body, now: int) -> Event:
        return Event(id=uuid7(self._clock), type=kind, time=now, body=body)


async def _nothing() -> Mapping[str, Any]:
    return {}


class Sweeper:
    """Tells slowly what was not told at once."""

    def __init__(self, upward: Upward, store: Locked) -> None:
        self._upward, self._store = upward, store

    async def run(self) -> None:
        """For ever; the leading brain alone."""
        rounds = 0
        while True:
            async with self._store.transaction() as tx:
                await self._store.lock(tx)
                await self._upward.sweep(tx)
            if rounds % POINTS_EVERY == 0:
                async with self._store.transaction() as tx:
                    await self._upward.points(tx)
            rounds += 1
            await asyncio.sleep(SWEEP_S)


class Locked(Protocol):
    """The incidents' transactions."""

    def transaction(self) -> Any:
        """One that commits at the end of the block."""
        ...

    async def lock(self, tx: Transaction, /) -> None:
        """Be the only one that changes incidents."""
        ...


def _once(words: Any) -> list[str]:
    return list(dict.fromkeys(words))
