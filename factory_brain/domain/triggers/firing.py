"""One firing of a trigger as a value, and the id that follows from what fired it. Pure.

Made by `occasions`, weighed by `throttle` and `overlap`; a held or gathered one is stored as data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID, uuid5

_NAMESPACE = UUID("5b0c3c7e-6f0e-5d5b-9d0a-8f2f5f0d1c11")
MAX_CHAIN = 8
"""So many playbooks may start one another by their events; then it is taken for a loop."""


@dataclass(frozen=True, slots=True)
class Firing:
    """Something that a trigger answers has happened."""

    id: str
    """Also the id of the run, if it gets one of its own: a restored database starts the same."""
    playbook: str
    trigger: str
    at: int
    """When, by the clock of its source."""
    alarm: Mapping[str, Any]
    """What the run's expressions see as `alarm`."""
    by: str = "alarm"
    """Who or what started it: `alarm`, `incident`, `event`, `cron`, or a person's name."""
    occurrence: str | None = None
    stale_ms: int | None = None
    """Its age where that is beyond the playbook's `stale_after`: a person is asked first."""
    chain: int = 0
    """How many playbooks started one another up to here."""
    count: int = 1
    """How many were gathered in it."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """Plain data, for storage."""
        return asdict(self)

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Firing:
        """Read plain data, ignoring fields of a newer version."""
        return cls(**{k: v for k, v in data.items() if k in cls.__dataclass_fields__})


def firing_id(site: str, playbook: str, trigger: str, source: str) -> str:
    """The same for the same cause: an occurrence, an event's id, a cron minute, a request's key.

    No version of the playbook is part of it: a newer one answers nothing for the second time.
    """
    return str(uuid5(_NAMESPACE, "\x1f".join((site, playbook, trigger, source))))
