"""The engine's state as the local page shows it, and how it travels (JSON in `ipc.PageStatus`).

Filled by the engine, read by the page child; a wire shape only, no rule lives here.
"""

from __future__ import annotations

import msgspec

from edge_node.domain.alarm_unit import Note


class Names(msgspec.Struct, frozen=True):
    """A text in both languages."""

    zh: str = ""
    en: str = ""


class LaneStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Conservation of one lane: produced = delivered + buffered + dropped + quarantined."""

    produced: int = 0
    delivered: int = 0
    buffered: int = 0
    dropped: int = 0
    quarantined: int = 0


class DriverStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One source: connecting, connected or failed, with why."""

    state: str
    detail: str = ""
    dropped: int = 0


class JournalStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The journal's disk."""

    degraded: bool = False
    reason: str = ""
    waiting: int = 0
    """Changes in memory that are not yet durable."""
    lost_samples: int = 0
    lost_events: int = 0
    refused: int = 0
    """Changes that could never be written; they are kept in a table of their own."""


class ClockStatus(msgspec.Struct, frozen=True, kw_only=True):
    """This edge's clock against the factory's; None before the first comparison."""

    offset_ms: float | None = None
    uncertainty_ms: float | None = None


class TelemetryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Samples beside the alarms."""

    reported: int = 0
    dropped: int = 0
    asked: dict[str, int] = {}
    """Tag -> seconds for which the factory still gets its every sample."""
    history_mb: float = 0.0
    history_span_s: int = 0
    """How far back the memory reaches."""
    history_disk: str = "off"
    """off, on, or why the disk does not take the history."""
    unspilled: int = 0
    """Blocks of history that the disk did not take."""
    snippets_pending: int = 0
    snippets_sent: int = 0
    snippets_skipped: int = 0


class VersionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What runs here."""

    kernel: str = ""
    site: str = ""
    """Version of the site's files that runs."""
    site_desired: str = ""
    """Version of the site's files as they stand; another one: they were refused."""
    site_fault: str = ""


class AlarmStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm."""

    alarm: str
    occurrence: str
    version: int
    annunciated_version: int
    name: Names
    priority: int
    state: str
    """As `shared.alarm.states.LETTERS` names them and the REST shapes use them."""
    isa: str
    active: bool
    acked: bool
    value: float | None = None
    limit: float | None = None
    filter: str = "raw"
    """What the limit is held against."""
    filling: bool = False
    """Its window is not known yet: samples are held against the engineer's limit meanwhile."""
    unit: str = ""
    raised_at: int
    tag: str
    asset: str
    local_action: str | None = None
    side: str = ""
    kind: str = ""
    confirmed: bool = True
    latched: bool = False
    shelf: str = "U"
    """U: not shelved, T: for a time, O: until it returns to normal."""
    shelved_until: int | None = None
    suppressed: bool = False
    out_of_service: bool = False
    enabled: bool = True
    max_shelve_min: float = 0.0
    safety: bool = False
    by_operator: bool = False
    """Suppressed by a person, whatever else suppresses it."""
    source_time_offset: int = 0
    """What to add to `raised_at` to get this edge's time."""
    first_out: bool = False
    suppressed_by: list[str] = []
    """Alarms, `state`, `when`, `operator`."""
    notes: dict[str, Note] = {}
    """Who keeps it from people and why, by region: shelf, suppressed, out_of_service, disabled."""


class EdgeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """All that the local page shows."""

    site: str
    edge: str
    name: Names
    at: int
    brain_reachable: bool
    brain_lost_since: int | None = None
    backlog: int = 0
    """Messages that wait for the brain, all lanes."""
    lanes: dict[str, LaneStatus] = {}
    drivers: dict[str, DriverStatus] = {}
    annunciating: bool
    """This edge holds the right to sound."""
    lease_until: int | None = None
    horn: bool
    """This page sounds now."""
    reason: str = ""
    """A code: why this edge sounds or does not (for example lease_held, lease_lapsed)."""
    journal_degraded: bool = False
    settings_version: int = 0
    alarms: list[AlarmStatus] = []
    """Those that are not at rest or that are hidden."""
    journal: JournalStatus = JournalStatus()
    clock: ClockStatus = ClockStatus()
    telemetry: TelemetryStatus = TelemetryStatus()
    versions: VersionStatus = VersionStatus()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(EdgeStatus).decode


def encode_status(status: EdgeStatus) -> bytes:
    """The JSON that goes into `PageStatus`."""
    return _encode(status)


def decode_status(body: bytes) -> EdgeStatus:
    """Read what `encode_status` wrote; raises msgspec.ValidationError."""
    return _decode(body)
