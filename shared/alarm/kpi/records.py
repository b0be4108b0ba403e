"""What a journal says of one alarm at one time, and how an edge's transition is read as that.

The common shape of a CSV journal and of the brain's own: (time, alarm, kind, priority). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

RAISED = "raised"
RETURNED = "returned"
RE_ALARMED = "re_alarmed"
ACKNOWLEDGED = "acknowledged"
SHELVED = "shelved"
SUPPRESSED = "suppressed"
OUT_OF_SERVICE = "out_of_service"
DISABLED = "disabled"
RAISED_HIDDEN = "raised_hidden"
RECONFIGURED = "reconfigured"

HIDES = frozenset({SHELVED, SUPPRESSED, OUT_OF_SERVICE, DISABLED})
ACTIONS = (SHELVED, SUPPRESSED, OUT_OF_SERVICE, DISABLED, RECONFIGURED)
"""What people changed: figures of the audit."""
SUFFIXES = {
    "NR": RETURNED, "RE": RE_ALARMED, "ACK": ACKNOWLEDGED, "SHELVED": SHELVED,
    "SUPPRESSED": SUPPRESSED, "OOS": OUT_OF_SERVICE, "DISABLED": DISABLED, "HIDDEN": RAISED_HIDDEN,
    "SET": RECONFIGURED,
}  # fmt: skip
"""How the type column of a journal says it: `HH` is the raise, `HH NR` the return to normal."""
SUFFIX_OF = {kind: suffix for suffix, kind in SUFFIXES.items()}


class Record(NamedTuple):
    """One entry of a journal; `time` in ms, rounded as the figures want it."""

    time: int
    alarm: str
    kind: str
    priority: str


def kind_of(kind: str, annunciate: bool, state: dict[str, Any]) -> str | None:
    """What a transition means for the figures; None where it means nothing.

    Annunciated is annunciated, whatever led to it: also the end of a shelf. A suppressed
    occurrence is journaled and does not count.
    """
    hidden = (
        state.get("shelf", "U") != "U"
        or state.get("suppressed", False)
        or state.get("out_of_service", False)
    )
    if annunciate:
        return RE_ALARMED if kind == RE_ALARMED else RAISED
    if kind == RAISED:
        return RAISED_HIDDEN
    if kind in (RETURNED, "retired"):
        return None if hidden else RETURNED
    return kind if kind in HIDES or kind in (ACKNOWLEDGED, RECONFIGURED) else None


def in_order(records: Iterable[Record]) -> list[Record]:
    """Sorted by time; what is said for the same time keeps its order."""
    return sorted(records, key=lambda record: record.time)
