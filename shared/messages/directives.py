"""Directives: signed bundles of settings that come down, and how they are signed and checked.

Canonical bytes are MessagePack of the payload with sorted keys; signatures are Ed25519 by the
group's release key and by the factory's approval key. Data only, never code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from shared.errors import ContractError

SETTINGS, DRY_RUN = "current", "dry_run"
"""Keys of a directive bucket: what is to run, and what is only to be rehearsed. Apart, because a
rehearsal must never take the place of the settings that an edge which was off has still to read."""
LANES: dict[str, tuple[str, ...]] = {SETTINGS: ("settings", "rollback"), DRY_RUN: ("dry_run",)}
"""Key -> the kinds of directives that may lie there."""
MAX_BYTES = 262_144
"""A larger directive is refused unread."""
MAX_SETTINGS = 2_000
ALARMS = "alarms"
"""Where a report that tunings are superseded names them."""
PLAIN, FILTERED = "directive/v1", "directive/v2"
"""What a directive's `schema` says. One that brings a filter is of the second kind: an edge that
does not know filters refuses the whole of it, and never takes the limit without its filter."""
SCHEMAS = (PLAIN, FILTERED)


def numbered(edge: str, kind: str) -> str:
    """Whose number a directive takes up: rehearsals are counted apart."""
    return f"{edge}/{DRY_RUN}" if kind == DRY_RUN else edge


class AlarmSetting(msgspec.Struct, frozen=True, kw_only=True):
    """New settings of one alarm point. Units: limit and deadband in the tag's unit, delays in s."""

    alarm: str
    limit: float | None
    deadband: float
    on_delay_s: float
    off_delay_s: float
    filter: str = ""
    """What the limit is held against; empty: raw samples, as before there were filters."""
    centre: float | None = None
    """Under `day`: the normal value that the limit was written around; None: it does not say."""


class AlarmModel(msgspec.Struct, frozen=True, kw_only=True):
    """New parameters of one alarm's model, as plain numbers, never code; inputs stay as they are.

    Fields as `shared.alarm.condition.ModelParameters` names them.
    """

    alarm: str
    type: str
    mean: list[float] = []
    scale: list[float] = []
    weights: list[float] = []
    bias: float = 0.0
    probabilities: list[float] = []
    values: list[float] = []


class Directive(msgspec.Struct, frozen=True, kw_only=True):
    """One bundle for one target; `counter` rises with every directive to that target."""

    schema: str = PLAIN
    id: str
    site: str
    edge: str
    counter: int
    kind: str = "settings"
    """settings, rollback (itself a signed directive) or dry_run (changes nothing)."""
    parent: str = ""
    issued_at: int
    expires_at: int
    settings: list[AlarmSetting]
    models: list[AlarmModel] = []
    proposal: str = ""
    approved_by: str = ""
    extra: dict[str, Any] = {}


class SignedDirective(msgspec.Struct, frozen=True, kw_only=True):
    """The signed bytes with their signatures; what is verified is exactly what is decoded."""

    payload: bytes
    release_signature: bytes
    approval_signature: bytes = b""


def schema_of(settings: Iterable[AlarmSetting]) -> str:
    """The schema that a bundle with these settings must name."""
    return FILTERED if any(each.filter for each in settings) else PLAIN


def known_schema(directive: Directive) -> bool:
    """Whether it is of a kind that is known here, and of no lesser one than its settings want."""
    return directive.schema in SCHEMAS and schema_of(directive.settings) in (
        PLAIN, directive.schema
    )  # fmt: skip


def canonical(directive: Directive) -> bytes:
    """The bytes that are signed."""
    return msgspec.msgpack.encode(directive, order="deterministic")


def read(payload: bytes) -> Directive:
    """Decode signed bytes; raises ContractError."""
    try:
        return msgspec.msgpack.decode(payload, type=Directive)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ContractError(f"not a directive: {error}") from error


def superseded_alarms(params: Mapping[str, Any]) -> list[str]:
    """The alarms that a report names whose tuning people have replaced by their own setting."""
    named = params.get(ALARMS)
    named = named[:MAX_SETTINGS] if isinstance(named, list) else []
    return [each for each in named if isinstance(each, str) and len(each) <= 200]
