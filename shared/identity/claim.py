"""Which request a task carries out: its idempotency key, for the transaction of its act.

Set by `once` of `shared/web`; the audit entry of an act notes it beside the key, in one commit, so
that a request whose answer was lost with its process is not carried out a second time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """A request under its key."""

    key: str
    username: str
    route: str


_CLAIM: ContextVar[Claim | None] = ContextVar("andon_claim", default=None)


def claimed() -> Claim | None:
    """The request that this task carries out."""
    return _CLAIM.get()


@contextmanager
def carrying_out(claim: Claim | None) -> Iterator[None]:
    """Everything within is done for this request."""
    token = _CLAIM.set(claim)
    try:
        yield
    finally:
        _CLAIM.reset(token)
