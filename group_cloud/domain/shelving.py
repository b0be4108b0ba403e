"""When a point is worth a person's thought of shelving it. Pure rules.

Used by the desk of shelving proposals and by the ranker. It judges what people say lately: a record
of years says nothing of an alarm that has begun to be true.
"""

from __future__ import annotations

from typing import Literal, Protocol

Kind = Literal["shelve", "review"]
NEWEST = 50
"""Verdicts of a point that are looked at, the newest by the time of their alarms."""
FEWEST, SHARE = 20, 0.9
"""Of those: how many there must be, and the share of nuisance from which shelving is proposed."""
TRUE_MS = 30 * 86_400_000
"""Nobody is asked to shelve what was true within this time."""
MAY_SHELVE = 3
"""Priorities from this on; what is more urgent, or may not be tuned, is only to be looked at."""


class Judged(Protocol):
    """A point and what people said of it."""

    @property
    def priority(self) -> int: ...
    @property
    def tunable(self) -> bool: ...
    @property
    def newest(self) -> int: ...
    @property
    def newest_nuisance(self) -> int: ...
    @property
    def true_said_at(self) -> int | None: ...


def enough(labels: int, nuisance: int) -> bool:
    """Whether so many verdicts, so many of them nuisance, are worth a look."""
    return labels >= FEWEST and nuisance >= SHARE * labels


def worth(point: Judged, now: int) -> bool:
    """Whether its newest verdicts are nuisance, and none was true lately."""
    true = point.true_said_at
    return enough(point.newest, point.newest_nuisance) and (true is None or now - true >= TRUE_MS)


def kind_of(point: Judged) -> Kind:
    """What may be asked of the factory's desk."""
    return "shelve" if point.tunable and point.priority >= MAY_SHELVE else "review"
