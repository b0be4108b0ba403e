"""Early warning between a factory and the group: labelled windows up, a frozen model down.

A window is some numbers per tag of half an hour, in sigmas of the plant's commissioning: never raw
signals, and never one that nobody has judged. A model comes down in a bounded bag of pushes, each
signed by itself, in the factory's bucket under a key of its own. Data only.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from shared.errors import ContractError

KEY = "warning"
"""The key of the factory's bucket that holds its bag."""
SCHEMA = "warning-push/v1"
MOST = 6
"""Pushes in a bag, the lowest numbers first; others wait until those were answered."""
MAX_BYTES = 131_072
"""A larger push is refused unread."""
MAX_BAG_BYTES = 700_000
MOST_WINDOWS = 96
"""Windows in one message."""
FLOAT_BYTES = 4
PARTS = 4
"""Numbers per tag and window."""
WITHDRAWN, NORMAL, FAULTY = -1, 0, 1
"""Labels: said to be neither any more; nothing was wrong; inside a recorded fault."""
Kind = Literal["model", "withdraw"]


class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="t"):
    """A tagged wire struct."""


class WarningWindows(Struct, frozen=True, tag="warning_windows"):
    """Labelled windows of one plant (a line's tags); the newest revision of each window holds."""

    site: str
    plant: str
    """Digest of the ordered tags and of what a window is."""
    line: str
    tags: list[str]
    revision: int
    """Rises with every message about this plant."""
    times: list[int]
    """When each window ended, UTC ms."""
    labels: list[int]
    faults: list[str]
    """The fault or the verdict that a label comes from; "" for normal windows."""
    vectors: bytes
    """float32, little-endian: window by window, part by part, tag by tag."""


class WarningReport(Struct, frozen=True, tag="warning_report"):
    """What a factory did with a push: applied or refused, and why."""

    site: str
    push: str
    """Empty: nothing that could be trusted said which it was."""
    counter: int
    plant: str
    status: str
    code: str = ""
    params: dict[str, Any] = {}
    at: int = 0


class WarningPush(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model for one plant of one factory, or the end of one; `counter` rises with each push."""

    schema: str = SCHEMA
    id: str
    site: str
    counter: int
    kind: Kind
    plant: str
    tags: list[str]
    model: dict[str, Any] = {}
    """Coefficients as `shared.alarm.warning_model.WarningModel.to_dict` writes them."""
    figures: dict[str, float] = {}
    """What it reached on windows that it had not seen."""
    issued_at: int
    expires_at: int
    approved_by: str = ""
    reason: str = ""


class SignedWarning(msgspec.Struct, frozen=True, kw_only=True):
    """The signed bytes; what is verified is exactly what is decoded."""

    payload: bytes
    signature: bytes


class WarningBag(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one factory."""

    pushes: list[SignedWarning]


def canonical(push: WarningPush) -> bytes:
    """The bytes that are signed."""
    return msgspec.msgpack.encode(push, order="deterministic")


def read(payload: bytes) -> WarningPush:
    """Decode signed bytes; raises ContractError."""
    if len(payload) > MAX_BYTES:
        raise ContractError(f"a push of {len(payload)} bytes, {MAX_BYTES} at most")
    try:
        return msgspec.msgpack.decode(payload, type=WarningPush)
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError) as error:
        raise ContractError(f"no push of early warning: {error}") from error
