"""The engine's state as the local page shows it, and how it travels (JSON in `ipc.PageStatus`).

Filled by the engine, read by the page child; a wire shape only, no rule lives here.
"""

from __future__ import annotations

import msgspec


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


class AlarmStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm that is not at rest."""

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
    unit: str = ""
    raised_at: int
    tag: str
    asset: str
    local_action: str | None = None


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


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(EdgeStatus).decode


def encode_status(status: EdgeStatus) -> bytes:
    """The JSON that goes into `PageStatus`."""
    return _encode(status)


def decode_status(body: bytes) -> EdgeStatus:
    """Read what `encode_status` wrote; raises msgspec.ValidationError."""
    return _decode(body)
