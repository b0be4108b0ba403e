"""Passages that are reported: by REST item by item, and by inbound webhooks through the journal.

Checks what can be checked before anything is written; asks the caller who may where.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from factory_brain.application.ports import Transaction
from factory_brain.application.units.ports import Passage, Relation, UnitWrites
from shared.clock import Clock
from shared.errors import Rejected
from shared.messages.bodies import LinkedEvent
from shared.site.process import StationSpec
from shared.site.site import Site

AHEAD_MS = 600_000
"""How far a reporter's clock may run ahead."""
MOST_NAME = 100
Audit = Callable[[Transaction, int, str, str, str, Any], Awaitable[None]]
May = Callable[[str], bool]
"""Whether the reporter may report at an asset."""


class UnitReports:
    """Takes passages."""

    def __init__(self, site: Site, clock: Clock, writes: UnitWrites, audit: Audit) -> None:
        self._site, self._clock, self._writes, self._audit = site, clock, writes, audit

    async def take(
        self, passages: Sequence[Passage], relations: Sequence[Relation], actor: str, may: May
    ) -> tuple[list[Rejected | None], list[Rejected | None], int]:
        """(what is wrong with each, the same of genealogy, how much was news)."""
        judged = [self._passage(each, may) for each in passages]
        related = [self._relation(each, may) for each in relations]
        stays = [self._completed(p) for p, no in zip(passages, judged, strict=True) if no is None]
        kin = [r for r, no in zip(relations, related, strict=True) if no is None]
        if not stays and not kin:
            return judged, related, 0
        async with self._writes.transaction() as tx:
            now = self._clock.now_ms()
            changed = await self._writes.put(tx, stays, now) + await self._writes.relate(tx, kin)
            data = {"passages": len(stays), "relations": len(kin), "changed": changed}
            where = ", ".join(sorted({p.station for p in stays} | {r.station for r in kin} - {""}))
            await self._audit(tx, now, actor, "units.reported", where[:200], data)
        return judged, related, changed

    def _passage(self, said: Passage, may: May) -> Rejected | None:
        station = self._site.stations.get(said.station)
        if station is None:
            return Rejected("unknown_station", {"station": said.station[:64]})
        if not may(station.asset):
            return Rejected("not_allowed_here", {"alarm": said.station, "action": "report_event"})
        if station.unit is not None:
            return Rejected("station_by_tag", {"station": said.station, "tag": station.unit.tag})
        newest = self._clock.now_ms() + AHEAD_MS
        if max(said.entered_at, said.left_at or 0) > newest:
            return Rejected("passage_ahead", {"unit": said.unit, "station": said.station})
        if said.left_at is not None and said.left_at < said.entered_at:
            return Rejected("passage_backward", {"unit": said.unit, "station": said.station})
        return None

    def _relation(self, said: Relation, may: May) -> Rejected | None:
        station = self._site.stations.get(said.station)
        if said.station and station is None:
            return Rejected("unknown_station", {"station": said.station})
        if not may(station.asset if station else self._site.assets.root):
            return Rejected("not_allowed_here", {"alarm": said.station, "action": "report_event"})
        if said.parent == said.child:
            return Rejected("unit_of_itself", {"unit": said.parent})
        return None

    def _completed(self, said: Passage) -> Passage:
        station = self._site.stations[said.station]
        left = said.left_at
        if left is None and station.stay is not None:
            left = said.entered_at + station.stay
        return Passage(
            said.unit, said.station, station.asset, said.entered_at, left, said.batch,
            said.source, said.attributes,
        )  # fmt: skip

    def wants_events(self) -> bool:
        """Whether any station's passages come by webhook."""
        return any(station.event for station in self._site.stations.values())

    async def take_events(self, tx: Transaction, told: Iterable[tuple[int, LinkedEvent]]) -> None:
        """Events of linked systems, in the transaction of the journal's reader."""
        found: list[Passage] = []
        for at, event in told:
            for station in self._site.stations.values():
                if (passage := _of_event(station, at, event)) is not None:
                    found.append(self._completed(passage))
        await self._writes.put(tx, found, self._clock.now_ms())


def _of_event(station: StationSpec, at: int, event: LinkedEvent) -> Passage | None:
    if not station.event or event.kind != station.event or event.asset != station.asset:
        return None
    unit = (event.names.get("en") or event.names.get("zh") or "").strip()[:MOST_NAME]
    unit = "".join("_" if c < " " or c in "/\x7f" else c for c in unit)
    if not unit:
        return None
    left = at if station.stay is None else at + station.stay
    said = {} if event.value is None else {"value": event.value}
    return Passage(
        unit, station.id, station.asset, at, left, "", f"link:{event.link}", said
    )  # fmt: skip
