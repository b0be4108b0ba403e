"""What the engine and its supervised children say to each other, and how frames are cut.

Frames are length-prefixed (4 bytes, big-endian) MessagePack on the child's stdin and stdout; a
child's death is an end of file. Imports no driver and no web framework.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import msgspec

from shared.errors import ContractError

MAX_FRAME = 16 << 20
_LENGTH = struct.Struct(">I")


class Ipc(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="t"):
    """A tagged message between engine and child."""


# engine -> driver child


class Configure(Ipc, frozen=True, tag="configure"):
    """First frame: the source and its tags; the index of a tag is its place in `tags`."""

    source: dict[str, Any]
    tags: list[dict[str, Any]]
    settings: dict[str, Any] = {}
    """Connection settings that the site's file does not hold (URL override, credentials)."""
    inputs: list[dict[str, Any]] = []
    """For a computed source: id, type, stale_after (ms) and unit of each tag of `inputs`."""


class Write(Ipc, frozen=True, tag="write"):
    """Write one value to an address, once; never retried by the child."""

    id: str
    address: str
    value: bool | float | str | list[Any] | dict[str, Any]
    """A list: the arguments of a method."""
    timeout_ms: int


class Stop(Ipc, frozen=True, tag="stop"):
    """End cleanly."""


class Inputs(Ipc, frozen=True, tag="inputs"):
    """Samples of other sources for a computed one: columns as in `Samples`, rows as in `Texts`;
    the index of a tag is its place in the source's `inputs`.
    """

    tags: bytes = b""
    times: bytes = b""
    values: bytes = b""
    qualities: bytes = b""
    texts: list[tuple[int, int, str, int]] = []
    ages: dict[int, int] = {}
    """How long ago (ms) the engine received what is not new, by place."""


# driver child -> engine


class Samples(Ipc, frozen=True, tag="samples"):
    """Columnar samples, little-endian: int32 tag index, int64 source time (UTC ms), float64 value,
    uint8 quality (0 good, 1 uncertain, 2 bad). Booleans are 0.0 / 1.0.
    """

    tags: bytes
    times: bytes
    values: bytes
    qualities: bytes


class Texts(Ipc, frozen=True, tag="texts"):
    """String samples: (tag index, source time, value, quality)."""

    rows: list[tuple[int, int, str, int]]


class DriverState(Ipc, frozen=True, tag="state"):
    """connecting, connected or failed, with why."""

    state: str
    detail: str = ""
    dropped: int = 0
    """Samples dropped by the child's bounded queue since its start."""


class WriteResult(Ipc, frozen=True, tag="written"):
    """done, failed (surely not written) or unknown; `readback` is a read straight after."""

    id: str
    outcome: str
    detail: str = ""
    readback: float | bool | str | None = None


# engine <-> page child


class PageStatus(Ipc, frozen=True, tag="status"):
    """The engine's state as JSON for the local page; sent on change, at most 4 times a second."""

    json: bytes


class OperatorAction(Ipc, frozen=True, tag="action"):
    """What a person did on the local page."""

    id: str
    action: str
    alarm: str
    occurrence: str
    version: int
    actor: str
    args: dict[str, Any] = {}


class PageQuery(Ipc, frozen=True, tag="query"):
    """What the local page wants to look up: trend, alarms or tags."""

    id: str
    what: str
    args: dict[str, Any] = {}


class PageAnswer(Ipc, frozen=True, tag="query_result"):
    """The engine's answer: JSON, or a refusal's code."""

    id: str
    json: bytes = b""
    code: str = ""
    params: dict[str, Any] = {}


class OperatorResult(Ipc, frozen=True, tag="action_result"):
    """The engine's answer to an action."""

    id: str
    accepted: bool
    code: str = "ok"
    params: dict[str, Any] = {}


ToChild = Configure | Inputs | Write | Stop | PageStatus | OperatorResult | PageAnswer
FromChild = Samples | Texts | DriverState | WriteResult | OperatorAction | PageQuery

_encode = msgspec.msgpack.Encoder().encode
_to_child = msgspec.msgpack.Decoder(ToChild)
_from_child = msgspec.msgpack.Decoder(FromChild)


def pack(message: ToChild | FromChild) -> bytes:
    """One frame with its length."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    try:
        (size,) = _LENGTH.unpack(await reader.readexactly(4))
        if size > MAX_FRAME:
            raise ContractError(f"a frame of {size} bytes exceeds {MAX_FRAME}")
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        return None


async def read_to_child(reader: asyncio.StreamReader) -> ToChild | None:
    """Next frame at the child's end; None at end of file."""
    body = await _read(reader)
    return None if body is None else _to_child.decode(body)


async def read_from_child(reader: asyncio.StreamReader) -> FromChild | None:
    """Next frame at the engine's end; None at end of file."""
    body = await _read(reader)
    return None if body is None else _from_child.decode(body)
