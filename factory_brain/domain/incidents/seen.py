"""What is known of one occurrence when alarms are understood together, and the rules for it.

Made by the correlator from the store and the site; pure values.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Seen:
    """One occurrence, as far as grouping, order and hiding ask."""

    occurrence: str
    alarm: str
    asset: str
    edge: str
    at: int
    """When it was raised: source time, put right by the measured offset of its clock."""
    uncertainty: int | None = None
    """How far `at` may be off, ms; None: the edge has not measured its clock."""
    priority: int = 4
    raised_at: int = 0
    returned_at: int | None = None
    active: bool = True
    acked: bool = False
    open: bool = True
    """Still of interest: active, latched, or not acknowledged."""
    hidden: bool = False
    """Shelved, suppressed or out of service: operators do not see it."""
    annunciated: bool = True

    @property
    def order(self) -> tuple[int, str]:
        """Where it stands in the order of raises; total, so that everybody finds the same."""
        return self.at, self.occurrence


@dataclass(frozen=True, slots=True)
class Related:
    """A rule that makes one incident of what `first` and `then` mean, in either order."""

    id: str
    first: frozenset[str]
    then: frozenset[str]
    within: int
    equal: str = ""
    """"", asset or area: what must be the same."""


@dataclass(frozen=True, slots=True)
class Hiding:
    """A rule by which standing alarms are shown behind others; `below` lists no protected one."""

    id: str
    kind: str
    """parent or inhibit."""
    above: frozenset[str]
    below: frozenset[str]
    equal: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """A site's rules with all names resolved to alarms."""

    same_asset: int = 300_000
    same_area: int = 60_000
    longest: int = 8 * 3_600_000
    unknown_clock: int = 5_000
    related: tuple[Related, ...] = ()
    hiding: tuple[Hiding, ...] = ()
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """asset -> root .. asset."""
    chattering: tuple[int, int, int] = (3, 60_000, 600_000)
    """(raises, within, hold)."""
    fleeting: int = 10_000
    stale: int = 86_400_000

    @property
    def reach(self) -> int:
        """How far back an alarm may look for another one of its incident."""
        widest = max((rule.within for rule in self.related), default=0)
        return max(self.same_asset, self.same_area, widest)

    def path(self, asset: str) -> tuple[str, ...]:
        """Root .. asset; an asset that nobody lists is alone below the root."""
        return self.paths.get(asset) or ("", asset)

    def place(self, asset: str, equal: str) -> str:
        """What must be the same under `equal`."""
        if equal == "asset":
            return asset
        return (self.path(asset)[-2:] or ("",))[0] if equal == "area" else ""


def incident_id(occurrence: str) -> str:
    """The id of the incident whose first alarm is this occurrence."""
    return "INC-" + hashlib.blake2b(occurrence.encode(), digest_size=8).hexdigest()
