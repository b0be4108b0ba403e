"""What an OPC UA server's conditions are now, as tags see them; pure.

Fed by `opcua_events` with every event of a condition; a tag's address picks one or several
conditions by name, and of several it takes what matters most.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as its newest event tells it."""

    key: str
    name: str
    source: str
    """Name of the node that it is about."""
    active: bool
    acked: bool
    confirmed: bool
    enabled: bool
    severity: int
    message: str
    time_ms: int


NONE = Condition("", "", "", False, True, True, True, 0, "", 0)
"""What is shown when no condition of that name is of interest."""


class Conditions:
    """The conditions of one notifier."""

    def __init__(self) -> None:
        self._known: dict[str, Condition] = {}
        self._seen: set[str] | None = None
        self.complete = False
        """Whether a refresh has been through: what is not known then is not active."""

    def put(self, condition: Condition) -> None:
        """An event has told a condition's state."""
        self._known[condition.key] = condition
        if self._seen is not None:
            self._seen.add(condition.key)

    def begin_refresh(self) -> None:
        """The server begins to tell all conditions of interest."""
        self._seen = set()

    def end_refresh(self) -> None:
        """It has told them all: those that it left out are of no interest any more."""
        if self._seen is not None:
            self._known = {k: v for k, v in self._known.items() if k in self._seen}
            self._seen = None
            self.complete = True

    def select(self, pattern: str) -> list[Condition]:
        """The conditions of a name: `NAME`, `SOURCE/NAME`, with * and ?."""
        if "/" in pattern:
            return [c for c in self._known.values() if _fits(f"{c.source}/{c.name}", pattern)]
        return [c for c in self._known.values() if _fits(c.name, pattern)]

    def names(self) -> list[str]:
        """`SOURCE/NAME` of each."""
        return sorted(f"{c.source}/{c.name}" for c in self._known.values())


def _fits(name: str, pattern: str) -> bool:
    # Brackets are ordinary in the names of arrays' elements: only * and ? are wild.
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def field_of(chosen: Iterable[Condition], field: str) -> bool | float | str:
    """A field of one condition; of several what matters most: any active, all acknowledged, the
    highest severity among the active, and the message of that one.
    """
    some = list(chosen) or [NONE]
    match field:
        case "Active":
            return any(c.active for c in some)
        case "Acked":
            return all(c.acked for c in some)
        case "Confirmed":
            return all(c.confirmed for c in some)
        case "Enabled":
            return any(c.enabled for c in some)
    # Of those that are active, else of all, the most severe and the newest.
    worst = max([c for c in some if c.active] or some, key=lambda c: (c.severity, c.time_ms))
    if field == "Severity":
        return float(worst.severity) if worst.active else 0.0
    return worst.message
