"""The windows of one tag that expressions ask for, fed once and read by what was asked.

Used by the tag table. Windows of the same length and shape are shared between expressions.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from functools import partial

from edge_node.domain.windows.assigned import Assigned, Session
from edge_node.domain.windows.figures import Figures, Late, percentile
from edge_node.domain.windows.sliding import MAX_SORTED, Newest, Sliding, SlidingOrder
from shared.expression import WindowUse

LATENESS_MS = 1000
"""How late a sample may be without being called late."""
Figure = float | bool | None
Reader = Callable[[int], Figure]
Key = tuple[str, float, float, bool]


class Kept(Figures):
    """Figures with the sorted values, for percentiles of windows with an end."""

    __slots__ = ("order",)

    def __init__(self) -> None:
        super().__init__()
        self.order: list[float] = []

    def add(self, at: int, value: float) -> None:
        """Take one sample; of too many, the percentile knows the first."""
        super().add(at, value)
        if len(self.order) < MAX_SORTED:
            bisect.insort(self.order, value)


_Window = Sliding | SlidingOrder | Newest | Assigned[Figures] | Session[Figures]


class TagWindows:
    """All windows of one tag."""

    __slots__ = ("_adders", "_readers", "_told", "_windows", "late")

    def __init__(self) -> None:
        self.late = Late()
        self._told = 0
        self._windows: dict[Key, _Window] = {}
        self._adders: list[Callable[[int, float], object]] = []
        self._readers: dict[tuple[object, ...], Reader] = {}

    def watch(self, use: WindowUse) -> None:
        """Keep what `use` asks for, from now on."""
        key = _key(use.function, use.seconds, use.shape, use.step)
        if key not in self._windows:
            window = self._windows[key] = self._make(key)
            self._adders.append(window.add)

    def _make(self, key: Key) -> _Window:
        shape, seconds, step, ordered = key
        span = max(1, round(seconds * 1000))
        make = Kept if ordered else Figures
        if shape == "count":
            return Newest(int(seconds))
        if shape == "session":
            return Session(span, round(step * 1000), make, lateness_ms=LATENESS_MS, late=self.late)
        if shape in ("tumbling", "hopping"):
            hop = span if shape == "tumbling" else max(1, round(step * 1000))
            return Assigned(span, hop, make, lateness_ms=LATENESS_MS, late=self.late)
        return (SlidingOrder if ordered else Sliding)(span, self.late, LATENESS_MS)

    def adopt(self, old: TagWindows) -> None:
        """Go on with the windows that `old`, of the same tag, has kept already."""
        self.late = old.late
        for key in self._windows.keys() & old._windows.keys():
            self._windows[key] = old._windows[key]
        for window in self._windows.values():
            if not isinstance(window, Newest):
                window.late = self.late
        self._adders = [window.add for window in self._windows.values()]
        self._readers.clear()

    def news_of_late(self) -> Late | None:
        """What has come late, if more has since the last call."""
        count = self.late.late + self.late.too_late
        if count == self._told:
            return None
        self._told = count
        return self.late

    def add(self, at: int, value: float) -> None:
        """Take one good sample at its event time."""
        for add in self._adders:
            add(at, value)

    def figure(
        self,
        function: str,
        seconds: float,
        now: int,
        shape: str = "sliding",
        step: float = 0.0,
        argument: float | None = None,
    ) -> Figure:
        """One windowed figure now; None without data. Of shapes with an end: of the last ended."""
        asked = (function, seconds, shape, step, argument)
        reader = self._readers.get(asked)
        if reader is None:
            window = self._windows.get(_key(function, seconds, shape, step))
            if window is None:
                return None
            reader = self._readers[asked] = _reader(window, function, argument)
        return reader(now)


def _reader(window: _Window, function: str, argument: float | None) -> Reader:
    share = argument or 0.0
    match window:
        case Sliding():
            return partial(window.figure, function)
        case Newest():
            return lambda now: window.figure(function, argument)
        case SlidingOrder():
            return partial(window.percentile, share)
        case Assigned() | Session():
            return lambda now: _of_ended(window.newest(now), function, share)
    raise TypeError(type(window).__name__)


def _of_ended(content: Figures | None, function: str, share: float) -> Figure:
    if content is None:
        return 0.0 if function == "count" else None
    if isinstance(content, Kept) and function == "percentile":
        return percentile(content.order, share)
    return content.figure(function)


def _key(function: str, seconds: float, shape: str, step: float) -> Key:
    return (shape, seconds, step, function == "percentile" and shape != "count")
