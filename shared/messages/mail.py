"""Messages of the group to a factory's desk: a bounded bag, signed by the group's release key.

The bag lies in the factory's own bucket beside its directives, so a factory that was away gets it
when it is back; each message is taken once, by its id. Data only.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.errors import ContractError

KEY = "mail"
"""The key of the factory's bucket that holds its bag."""
SCHEMA = "mail/v1"
MOST = 50
"""Messages in a bag; older ones wait until those before them were received."""
MAX_BYTES = 262_144
LENGTH_BYTES = 4
"""What the length of the list takes beyond that of an empty one, at most."""


class GroupMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message; after `expires_at` nobody need see it any more."""

    id: str
    text: str
    priority: int
    author: str
    at: int
    expires_at: int


class MailBag(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one factory."""

    schema: str = SCHEMA
    site: str
    messages: list[GroupMessage]


class SignedBag(msgspec.Struct, frozen=True, kw_only=True):
    """The signed bytes; what is verified is exactly what is decoded."""

    payload: bytes
    signature: bytes


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(MailBag)


def packed(bag: MailBag) -> bytes:
    """The bytes that are signed."""
    return _ENCODER.encode(bag)


def fitting(site: str, messages: Sequence[GroupMessage]) -> MailBag:
    """A bag of the first messages, as many as a factory takes; the others wait for the next."""
    room, held = MAX_BYTES - len(packed(MailBag(site=site, messages=[]))) - LENGTH_BYTES, 0
    for message in messages[:MOST]:
        room -= len(_ENCODER.encode(message))
        if room < 0:
            break
        held += 1
    return MailBag(site=site, messages=list(messages[:held]))


def unpacked(payload: bytes, site: str) -> MailBag:
    """The bag of signed bytes; raises ContractError on what is no bag of this site."""
    if len(payload) > MAX_BYTES:
        raise ContractError(f"a bag of {len(payload)} bytes")
    try:
        bag = _DECODER.decode(payload)
    except msgspec.DecodeError as error:
        raise ContractError(f"not a bag: {error}") from error
    if bag.schema != SCHEMA or bag.site != site or len(bag.messages) > MOST:
        raise ContractError(f"a bag of {bag.schema} for {bag.site}, {len(bag.messages)} messages")
    return bag
