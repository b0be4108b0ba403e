"""Questions of the group to a factory: what another setting would have told over its samples.

They come down in the brain's directive bucket under a key of their own, signed by the group. Data
only: they change no setting, and the schema in the bytes keeps them apart from what does.
"""

from __future__ import annotations

import msgspec

from shared.errors import ContractError

KEY = "trials"
"""The key in a brain's directive bucket: an encoded `SignedTrials`."""
SCHEMA = "trials/v1"
MOST = 50
"""Questions that may stand open for one factory."""


class TrialItem(msgspec.Struct, frozen=True, kw_only=True):
    """One question: a proposal's two settings over the last days."""

    proposal: str
    edge: str
    alarm: str
    current: dict[str, float | None]
    proposed: dict[str, float | None]
    digest: str
    """Of both settings: an answer to an older question is told apart."""
    days: float = 7.0


class Trials(msgspec.Struct, frozen=True, kw_only=True):
    """All open questions to one factory; replaces what was asked before."""

    schema: str = SCHEMA
    site: str
    asked_at: int
    items: list[TrialItem] = []


class SignedTrials(msgspec.Struct, frozen=True, kw_only=True):
    """The signed bytes with the group's signature."""

    payload: bytes
    signature: bytes


def canonical(trials: Trials) -> bytes:
    """The bytes that are signed."""
    return msgspec.msgpack.encode(trials, order="deterministic")


def read(payload: bytes) -> Trials:
    """Decode signed bytes; raises ContractError."""
    try:
        return msgspec.msgpack.decode(payload, type=Trials)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ContractError(f"no trials: {error}") from error
