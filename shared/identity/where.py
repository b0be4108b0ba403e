"""Where something is done from: tier, site, address, time zone; for the audit log.

Set once when a tier starts and for each request by `shared/web`; read where an entry is written.
Never travels on the wire and decides nothing.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Where:
    """The place that an audit entry names."""

    tier: str = ""
    site: str = ""
    address: str = ""
    """The caller's address; empty: done by the product itself."""
    zone: str = "UTC"
    """The time zone in which people there read the clock."""


_NOWHERE = Where()
_HERE: ContextVar[Where] = ContextVar("andon_where", default=_NOWHERE)


def here() -> Where:
    """Where this task acts from."""
    return _HERE.get()


def stand(where: Where) -> None:
    """Say where this task, and every task that it starts, acts from."""
    _HERE.set(where)
