"""How often a trigger fires: the three words, as a fold over firings in their order. Pure.

Windows count from the time of the first firing in them; what is out of order counts as within.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from factory_brain.domain.triggers.firing import Firing
from shared.playbook.triggers import Throttle


@dataclass(frozen=True, slots=True)
class Window:
    """What was gathered for one value of `by`."""

    since: int
    until: int
    count: int
    due: int | None = None
    """When it fires by itself."""
    firing: Firing | None = None
    """What it then fires: the newest, with the count of all."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one more firing came to."""

    window: Window | None
    fires: tuple[Firing, ...] = ()
    swallowed: bool = False
    """Whether the one that came got no firing of its own."""


def take(throttle: Throttle, window: Window | None, firing: Firing) -> Taken:
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
        newest = replace(firing, id=_first_id(window, firing), count=count)
        return Taken(replace(window, count=count, firing=newest), swallowed=True)
    assert throttle.accumulate_within is not None
    assert throttle.count is not None
    if window is None or not within:
        return Taken(Window(firing.at, firing.at + throttle.accumulate_within, 1), swallowed=True)
    if window.count + 1 >= throttle.count:
        return Taken(None, (replace(firing, count=window.count + 1),))
    return Taken(replace(window, count=window.count + 1), swallowed=True)


def _first_id(window: Window, firing: Firing) -> str:
    """What a window fires keeps the id of its first firing: the same after any restart."""
    return window.firing.id if window.firing is not None else firing.id
