"""Nominations: which alarm points a factory counts in shadow, signed by the group like directives.

They come down in the brain's directive bucket under a key of their own. Data only; they change no
setting, and what is signed as one kind never passes as the other: the schema is in the bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.errors import ContractError

KEY = "nominations"
"""The key in a brain's directive bucket: edge -> encoded `SignedNominations`."""
SCHEMA = "nominations/v1"
MOST_POINTS = 300
"""Alarm points of one edge that may be nominated."""


class Nomination(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm point, why it is counted, and what else is to be counted for it."""

    alarm: str
    reason: str
    """worst, nuisance, missed, drifted or candidate."""
    candidate: dict[str, float | None] = {}
    """The setting of a roll-out in shadow, as `shared.alarm.shadow.setting_data` writes it."""
    grid: dict[str, Any] = {}
    """The candidates to be counted; empty: the factory makes them around its own setting."""


class Nominations(msgspec.Struct, frozen=True, kw_only=True):
    """All nominations of one edge; replaces what was nominated before."""

    schema: str = SCHEMA
    site: str
    edge: str
    counter: int
    issued_at: int
    expires_at: int
    """After this the factory chooses by itself."""
    items: list[Nomination] = []


class SignedNominations(msgspec.Struct, frozen=True, kw_only=True):
    """The signed bytes with the group's signature."""

    payload: bytes
    signature: bytes


def canonical(nominations: Nominations) -> bytes:
    """The bytes that are signed."""
    return msgspec.msgpack.encode(nominations, order="deterministic")


def read(payload: bytes) -> Nominations:
    """Decode signed bytes; raises ContractError."""
    try:
        return msgspec.msgpack.decode(payload, type=Nominations)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ContractError(f"no nominations: {error}") from error
