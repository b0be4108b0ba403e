"""The regions of one alarm and their projections (ISA-18.2 state and letter).

A value: the edge stores it, transitions carry it, the console shows its projection.
Region names follow OPC UA Part 9; the projection order is disabled, out of service, suppressed,
shelved, core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Shelf = Literal["U", "T", "O"]
"""Unshelved, timed, one-shot."""

LETTERS = {
    "normal": "A",
    "unacknowledged": "B",
    "acknowledged": "C",
    "rtn_unacknowledged": "D",
    "shelved": "E",
    "suppressed": "F",
    "out_of_service": "G",
    "latched_unacknowledged": "LU",
    "latched_acknowledged": "LA",
    "disabled": "X",
}


@dataclass(frozen=True, slots=True)
class AlarmState:
    """All regions of one alarm."""

    enabled: bool = True
    raw: bool = False
    """The confirmed process condition, after delays."""
    active: bool = False
    acked: bool = True
    confirmed: bool = True
    latched: bool = False
    shelf: Shelf = "U"
    shelved_until: int | None = None
    """UTC ms at which the shelf ends, if shelved."""
    suppressed: bool = False
    out_of_service: bool = False

    @property
    def hidden(self) -> bool:
        """Shelved, suppressed by design or out of service."""
        return self.shelf != "U" or self.suppressed or self.out_of_service

    @property
    def core(self) -> str:
        """Letter of the core state, whatever hides it: A, B, C, D, LU or LA."""
        if self.active:
            return "C" if self.acked else "B"
        if self.latched:
            return "LA" if self.acked else "LU"
        return "A" if self.acked else "D"

    @property
    def name(self) -> str:
        """The state shown to people."""
        if not self.enabled:
            return "disabled"
        if self.out_of_service:
            return "out_of_service"
        if self.suppressed:
            return "suppressed"
        if self.shelf != "U":
            return "shelved"
        return {
            "A": "normal",
            "B": "unacknowledged",
            "C": "acknowledged",
            "D": "rtn_unacknowledged",
            "LU": "latched_unacknowledged",
            "LA": "latched_acknowledged",
        }[self.core]

    @property
    def letter(self) -> str:
        """ISA-18.2 letter of `name`."""
        return LETTERS[self.name]

    @property
    def audible(self) -> bool:
        """Whether the horn may sound for it: present, unacknowledged, not hidden."""
        return self.enabled and not self.hidden and self.core == "B"

    @property
    def retained(self) -> bool:
        """Whether it belongs in the list of interesting alarms (OPC UA Part 9 Retain)."""
        return self.enabled and (
            self.active or self.latched or not self.acked or not self.confirmed
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for messages and storage."""
        return {name: getattr(self, name) for name in _REGIONS}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> AlarmState:
        """Read plain data, ignoring fields of a newer version."""
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        return cls(**known)


NORMAL = AlarmState()
_REGIONS = tuple(AlarmState.__dataclass_fields__)
