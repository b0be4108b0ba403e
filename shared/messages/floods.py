"""What the group says a factory's floods resemble: a bounded bag, signed by its release key.

The bag lies in the factory's own bucket beside its directives and mail; of each incident the
answer with the highest number holds. Words for people: nothing at a factory acts on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shared.errors import ContractError

KEY = "floods"
"""The key of the factory's bucket that holds its bag."""
SCHEMA = "floods/v1"
MOST = 50
"""Answers in a bag: those of the newest floods."""
MAX_BYTES = 262_144
LENGTH_BYTES = 4
"""What the length of the list takes beyond that of an empty one, at most."""
WORDS = 1_000
"""Characters of what was said when an earlier flood was closed."""
Id = Annotated[str, Meta(max_length=200)]
Said = Annotated[str, Meta(max_length=WORDS)]
Names = Annotated[dict[Annotated[str, Meta(max_length=8)], Id], Meta(max_length=4)]
Moment = Annotated[int, Meta(ge=0, le=1 << 53)]
Share = Annotated[float, Meta(ge=0, le=1)]
State = Literal["comparing", "known", "unknown"]
Why = Literal["", "unlike", "too_few"]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """One playbook that ran in an earlier flood; `ok`: whether it reached its end."""

    playbook: Id
    ok: bool | None = None


class Like(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier flood, whose cause people recorded."""

    site: Id
    incident: Id
    at: Moment
    cause: Id
    took_min: Annotated[float, Meta(ge=0, le=1e7)]
    similarity: Share
    site_names: Names = {}
    cause_names: Names = {}
    done: Annotated[list[Done], Meta(max_length=10)] = []
    words: Said = ""


class FloodAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one flood is like, `horizon_min` minutes after it began."""

    incident: Id
    number: Moment
    """Rises with every answer about this incident; the highest holds."""
    state: State
    at: Moment
    expires_at: Moment
    why: Why = ""
    trust: Share = 0.0
    horizon_min: Annotated[int, Meta(ge=0, le=10_000)] = 0
    remembered: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Earlier floods that it was held against."""
    nearest: Like | None = None
    """Where the state is `known`."""


class FloodBag(msgspec.Struct, frozen=True, kw_only=True):
    """What one factory is told."""

    schema: str = SCHEMA
    site: str
    answers: Annotated[list[FloodAnswer], Meta(max_length=MOST)]


class SignedFloods(msgspec.Struct, frozen=True, kw_only=True):
    """The signed bytes; what is verified is exactly what is decoded."""

    payload: bytes
    signature: bytes


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(FloodBag)
_ANSWER = msgspec.msgpack.Decoder(FloodAnswer)


def packed(bag: FloodBag) -> bytes:
    """The bytes that are signed."""
    return _ENCODER.encode(bag)


def fitting(site: str, answers: Sequence[FloodAnswer]) -> FloodBag:
    """A bag of the first answers, as many as a factory takes.

    One that it would refuse is left out: for its sake it would refuse the whole bag.
    """
    room = MAX_BYTES - len(packed(FloodBag(site=site, answers=[]))) - LENGTH_BYTES
    held = dict[str, FloodAnswer]()
    for answer in answers:
        if answer.incident in held or not acceptable(answer):
            continue
        room -= len(_ENCODER.encode(answer))
        if room < 0 or len(held) == MOST:
            break
        held[answer.incident] = answer
    return FloodBag(site=site, answers=list(held.values()))


def acceptable(answer: FloodAnswer) -> bool:
    """Whether a factory takes it."""
    try:
        _check(_ANSWER.decode(_ENCODER.encode(answer)))
    except (msgspec.DecodeError, ContractError, OverflowError, UnicodeError):
        return False
    return True


def unpacked(payload: bytes, site: str) -> FloodBag:
    """The bag of signed bytes; raises ContractError on what is no bag of this site."""
    if len(payload) > MAX_BYTES:
        raise ContractError(f"a bag of {len(payload)} bytes")
    try:
        bag = _DECODER.decode(payload)
    except msgspec.DecodeError as error:
        raise ContractError(f"not a bag: {error}") from error
    if bag.schema != SCHEMA or bag.site != site:
        raise ContractError(f"a bag of {bag.schema} for {bag.site}")
    if len({each.incident for each in bag.answers}) != len(bag.answers):
        raise ContractError("two answers about one incident")
    for each in bag.answers:
        _check(each)
    return bag


def _check(answer: FloodAnswer) -> None:
    near = answer.nearest
    figures = [answer.trust] if near is None else [answer.trust, near.took_min, near.similarity]
    if not all(isfinite(figure) for figure in figures):
        raise ContractError(f"{answer.incident}: a figure that is none")
    if (answer.state == "known") != (near is not None):
        raise ContractError(f"{answer.incident}: {answer.state} with the wrong earlier flood")
