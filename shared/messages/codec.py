"""MessagePack encoding and decoding of wire messages, with one clear error.

Called by every sender and receiver; knows no subject and no transport.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import msgspec

from shared.errors import ContractError

T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def encode(message: Any) -> bytes:
    """MessagePack of a wire struct."""
    return _encoder.encode(message)


def decode(data: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Read `data` as `kind`; raises ContractError that says what does not fit."""
    try:
        return _decoder(kind).decode(data)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ContractError(f"message is not a valid {_name(kind)}: {error}") from error


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))
