"""How often a trigger fires: the three words, as a fold over firings in their order. Pure.

Used by the brain's triggers and by rehearsals. Windows count from the time of the first firing in
them; what is out of order counts as within.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from shared.playbook.triggers import Throttle


class Fires(Protocol):
    """A firing, as a (frozen) dataclass: `id`, `at` and how many were gathered in it."""

    @property
    def id(self) -> str:
        """What it is known by."""
        ...

    @property
    def at(self) -> int:
        """When, by the clock of its source."""
        ...

    @property
    def count(self) -> int:
        """How many were gathered in it."""
        ...


F = TypeVar("F", bound=Fires)


@dataclass(frozen=True, slots=True)
class Window(Generic[F]):
    """What was gathered for one value of `by`."""

    since: int
    until: int
    count: int
    due: int | None = None
    """When it fires by itself."""
    firing: F | None = None
    """What it then fires: the newest, with the count of all."""


@dataclass(frozen=True, slots=True)
class Taken(Generic[F]):
    """What one more firing came to."""

    window: Window[F] | None
    fires: tuple[F, ...] = ()
    swallowed: bool = False
    """Whether the one that came got no firing of its own."""


def take(throttle: Throttle, window: Window[F] | None, firing: F) -> Taken[F]:
    """Weigh one firing against what was gathered."""
    within = window is not None and firing.at < window.until
    if throttle.once_within is not None:
        if window is None or not within:
            return Taken(Window(firing.at, firing.at + throttle.once_within, 1), (firing,))
        return Taken(replace(window, count=window.count + 1), swallowed=True)
    if throttle.once_after is not None:
        if window is None or not within:
            earlier = () if window is None or window.firing is None else (window.firing,)
            end = firing.at + throttle.once_after
            return Taken(Window(firing.at, end, 1, end, firing), earlier, swallowed=True)
        count = window.count + 1
        newest = _with(firing, id=_first_id(window, firing), count=count)
        return Taken(replace(window, count=count, firing=newest), swallowed=True)
    assert throttle.accumulate_within is not None
    assert throttle.count is not None
    if window is None or not within:
        return Taken(Window(firing.at, firing.at + throttle.accumulate_within, 1), swallowed=True)
    if window.count + 1 >= throttle.count:
        return Taken(None, (_with(firing, count=window.count + 1),))
    return Taken(replace(window, count=window.count + 1), swallowed=True)


def _with(firing: F, **changed: Any) -> F:
    known: Any = firing  # every firing is a dataclass; a protocol cannot say so
    return replace(known, **changed)


def _first_id(window: Window[F], firing: F) -> str:
    """What a window fires keeps the id of its first firing: the same after any restart."""
    return window.firing.id if window.firing is not None else firing.id
