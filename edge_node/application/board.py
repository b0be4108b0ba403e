"""What this place shows and sounds: the alarms as they are stored, the horn, the local page.

Told by the engine of every stored change; makes the page's status and the beacon's wish. Shows
nothing that a kill could take back, unless the disk fails: then showing comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from edge_node.application.records import AlarmRecord
from edge_node.application.status import (
    AlarmStatus,
    ClockStatus,
    DriverStatus,
    EdgeStatus,
    JournalStatus,
    LaneStatus,
    Names,
    TelemetryStatus,
    VersionStatus,
    encode_status,
)
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import AlarmUnit
from edge_node.domain.annunciation import Annunciation
from shared.alarm.states import AlarmState
from shared.clock import Clock
from shared.messages.control import Counts


@dataclass(slots=True)
class Surroundings:
    """What the page shows beside the alarms; kept up to date by the engine."""

    brain_reachable: bool = False
    brain_lost_since: int | None = None
    lanes: dict[str, Counts] | None = None
    journal_degraded: bool = False
    settings_version: int = 0
    clock: ClockStatus = ClockStatus()
    versions: VersionStatus = VersionStatus()


STEADY_MS = 5_000
"""Counters alone are told no more often than this."""
VOLATILE = frozenset({"at", "lease_until", "lanes", "telemetry", "clock", "journal", "backlog"})


class Board:
    """The alarms that are not at rest, as people here see them."""

    def __init__(
        self, site: str, edge: str, name: Names, book: AlarmBook, annunciation: Annunciation,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._site, self._edge, self._name = site, edge, name
        self._book, self._annunciation, self._clock = book, annunciation, clock
        self._shown: dict[str, AlarmRecord] = {}
        self.around = Surroundings()
        self.drivers: Callable[[], dict[str, DriverStatus]] = dict
        self.journal: Callable[[], JournalStatus] = JournalStatus
        self.telemetry: Callable[[], TelemetryStatus] = TelemetryStatus
        self._last = b""
        self._told = 0

    def use(self, book: AlarmBook) -> None:
        """Go on with the alarms of another version of the site."""
        self._book = book
        self._shown = {name: row for name, row in self._shown.items() if name in book.units}

    def site(self, runs: str, desired: str, fault: str) -> None:
        """Which version of the site's files runs, which is wanted, and what is wrong with it."""
        self.around.versions = msgspec.structs.replace(
            self.around.versions, site=runs, site_desired=desired, site_fault=fault
        )

    def show(self, record: AlarmRecord) -> None:
        """A stored state; an older version never replaces a newer one."""
        self._shown[record.alarm] = record

    def show_all(self) -> None:
        """What is in memory, stored or not: at start, and while the disk fails."""
        for unit in self._book.units.values():
            if unit.occurrence or unit.state != AlarmState():
                self.show(AlarmRecord.of(unit))

    @property
    def annunciating(self) -> bool:
        """Whether this edge holds the right to sound."""
        return self._annunciation.annunciating(self._clock.mono_ms())

    @property
    def horn(self) -> bool:
        """Whether this place sounds now."""
        return self.annunciating and any(
            AlarmState.from_dict(record.state).audible for record in self._shown.values()
        )

    def status(self) -> EdgeStatus:
        """The page's whole status."""
        now, mono, around = self._clock.now_ms(), self._clock.mono_ms(), self.around
        lanes = around.lanes or {}
        left = self._annunciation.until - mono
        rows = [row for record in self._shown.values() if (row := self._row(record)) is not None]
        return EdgeStatus(
            site=self._site, edge=self._edge, name=self._name, at=now,
            brain_reachable=around.brain_reachable, brain_lost_since=around.brain_lost_since,
            backlog=sum(counts.buffered for counts in lanes.values()),
            lanes={lane: _lane(counts) for lane, counts in lanes.items()},
            drivers=self.drivers(), annunciating=self.annunciating,
            lease_until=now + left if left > 0 else None, horn=self.horn,
            reason=self._annunciation.reason(mono), journal_degraded=around.journal_degraded,
            settings_version=around.settings_version,
            alarms=sorted(rows, key=lambda row: (row.acked, row.priority, -row.raised_at)),
            journal=self.journal(), clock=around.clock, telemetry=self.telemetry(),
            versions=around.versions,
        )  # fmt: skip

    def any_row(self, alarm: str) -> AlarmStatus | None:
        """An alarm of this edge, at rest or not."""
        unit = self._book.units.get(alarm)
        if unit is None or unit.internal:
            return None
        return self._describe(unit, self._shown.get(alarm) or AlarmRecord.of(unit))

    def _row(self, record: AlarmRecord) -> AlarmStatus | None:
        unit = self._book.units.get(record.alarm)
        state = AlarmState.from_dict(record.state)
        if unit is None or not (state.retained or state.hidden or not state.enabled):
            return None
        return self._describe(unit, record)

    def _describe(self, unit: AlarmUnit, record: AlarmRecord) -> AlarmStatus:
        definition, state = unit.definition, AlarmState.from_dict(record.state)
        return AlarmStatus(
            alarm=unit.id, occurrence=record.occurrence, version=record.version,
            annunciated_version=record.annunciated_version,
            name=Names(definition.name.zh, definition.name.en), priority=definition.priority,
            state=state.name, isa=state.letter, active=state.active, acked=state.acked,
            value=record.value,
            limit=_limit(unit, record),
            filter=definition.setting.filter, filling=unit.filling,
            unit=definition.unit, raised_at=record.raised_at, tag=definition.tag,
            asset=definition.asset, local_action=unit.local_action, side=definition.side or "",
            kind=definition.kind, confirmed=state.confirmed, latched=state.latched,
            shelf=state.shelf, shelved_until=state.shelved_until, suppressed=state.suppressed,
            out_of_service=state.out_of_service, enabled=state.enabled,
            by_operator=record.by_operator,
            max_shelve_min=definition.policy.max_shelve_ms / 60_000, safety=definition.safety,
            source_time_offset=self._book.offset_of(unit), first_out=record.first_out,
            suppressed_by=record.causes, notes=record.notes,
        )  # fmt: skip

    def encoded(self) -> bytes:
        """The status as JSON."""
        return encode_status(self.status())

    def changed(self) -> bytes | None:
        """The status as JSON, if anything but counters differs from the last one given.

        Counters alone are told every few seconds.
        """
        status, mono = self.status(), self._clock.mono_ms()
        steady = EdgeStatus(
            **{
                name: getattr(status, name)
                for name in status.__struct_fields__
                if name not in VOLATILE
            },
            at=0,
        )
        body = encode_status(steady)
        if body == self._last and mono - self._told < STEADY_MS:
            return None
        self._last, self._told = body, mono
        return encode_status(status)


def _limit(unit: AlarmUnit, record: AlarmRecord) -> float | None:
    """The limit by which it was told; while its filter is filling, the one that stands in."""
    if unit.definition.kind != "limit" or not record.setting:
        return None
    return unit.running.limit if unit.filling else record.setting[0]


def _lane(counts: Counts) -> LaneStatus:
    return LaneStatus(
        produced=counts.produced, delivered=counts.delivered, buffered=counts.buffered,
        dropped=counts.dropped, quarantined=counts.quarantined,
    )  # fmt: skip
