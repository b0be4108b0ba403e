"""Playbooks of the group on their way to a factory: a bounded bag of pushes, each signed by itself.

The bag lies in the factory's own bucket beside its directives, under a key of its own; a push stays
in it until the factory has answered. A push brings a text or values of inputs, never what belongs
to the plant: a binding, an interlock, a limit. Data only.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from shared.errors import ContractError

KEY = "playbooks"
"""The key of the factory's bucket that holds its bag."""
SCHEMA = "playbook-push/v1"
MOST = 20
"""Pushes in a bag, the lowest numbers first; others wait until those were answered."""
MAX_BYTES = 400_000
"""A larger push is refused unread."""
MAX_BAG_BYTES = 800_000
PushKind = Literal["release", "inputs", "rollback"]
PLANT_KEYS = frozenset({
    "interlocks", "interlock", "bindings", "binding", "operations", "max_step", "max_per_min",
    "capture_before", "secrets", "limits",
})  # fmt: skip
"""Words of a site's own binding: nothing that comes from the group may say them."""


class PlaybookPush(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One push for one factory; `counter` rises with every push to that factory."""

    schema: str = SCHEMA
    id: str
    site: str
    counter: int
    kind: PushKind
    playbook: str
    version: int = 0
    text: str = ""
    """Of a release: the whole document."""
    inputs: dict[str, Any] = {}
    """Of `inputs`: the values that are to hold where the factory has none of its own."""
    restores: str = ""
    """Of a rollback: the push that is taken back."""
    issued_at: int
    expires_at: int
    rollout: str = ""
    approved_by: str = ""
    reason: str = ""


class SignedPush(msgspec.Struct, frozen=True, kw_only=True):
    """The signed bytes; what is verified is exactly what is decoded."""

    payload: bytes
    signature: bytes


class PushBag(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one factory."""

    pushes: list[SignedPush]


def canonical(push: PlaybookPush) -> bytes:
    """The bytes that are signed."""
    return msgspec.msgpack.encode(push, order="deterministic")


def read(payload: bytes) -> PlaybookPush:
    """Decode signed bytes; raises ContractError."""
    try:
        return msgspec.msgpack.decode(payload, type=PlaybookPush)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ContractError(f"no playbook push: {error}") from error


def plant_words(payload: bytes) -> list[str]:
    """Words of a plant's binding among the fields of what is no push; empty: none, or no map."""
    try:
        found = msgspec.msgpack.decode(payload)
    except msgspec.DecodeError:
        return []
    return sorted(PLANT_KEYS & set(found)) if isinstance(found, dict) else []
