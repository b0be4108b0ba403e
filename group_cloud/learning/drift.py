"""Drift (L5): rates of alarms and labels and residuals of models that are no longer what they were.

Called with one number per key, kind and day or hour. What it gives is a notice that asks for a
person; it sets no limit and changes no model.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal, get_args

from group_cloud.learning.contract import checked_schema
from group_cloud.learning.river_parts import new_adwin

SCHEMA = "drift-watch/v1"
Kind = Literal["alarm_rate", "label_rate", "residual"]
KEYS, HELD = 2000, 512
"""Streams at the most (the one not fed for longest goes), and values of one that are held."""
TOLERATED, ALARMED = 0.5, 8.0
"""Page-Hinkley on values in their own deviations: what is no change, and how much of it is one."""
SETTLED = 10
"""Values that give the stream its mean and deviation."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something is no longer as it was; a person should look why."""

    key: str
    kind: Kind
    by: str
    """`adwin` or `page-hinkley`."""
    before: float
    now: float
    asks_for: str = "person"


class _Stream:
    """Both detectors of one stream; their state follows from the values held."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self._start()

    def _start(self) -> None:
        self.adwin = new_adwin()
        self.count, self.mean, self.squares, self.up, self.down = 0, 0.0, 0.0, 0.0, 0.0

    def update(self, value: float) -> str | None:
        self.values.append(value)
        if len(self.values) > HELD:
            held, self.values = self.values[HELD // 2 :], []
            self._start()
            for old in held[:-1]:
                self.update(old)
            return self.update(held[-1])
        self.adwin.update(value)
        by_mean = self._page_hinkley(value)
        found = "adwin" if self.adwin.drift_detected else "page-hinkley" if by_mean else None
        if found:
            # What came before the change is history: the stream begins anew with its last values.
            tail = self.values[-min(SETTLED // 2, len(self.values)) :]
            self.values = []
            self._start()
            for old in tail:
                self._again(old)
        return found

    def _again(self, value: float) -> None:
        self.values.append(value)
        self.adwin.update(value)
        self._page_hinkley(value)

    def _page_hinkley(self, value: float) -> bool:
        if self.count >= SETTLED:
            spread = math.sqrt(self.squares / self.count) or max(abs(self.mean) * 0.1, 1e-9)
            off = max(-4.0, min(4.0, (value - self.mean) / spread))
            self.up = max(0.0, self.up + off - TOLERATED)
            self.down = max(0.0, self.down - off - TOLERATED)
            if max(self.up, self.down) > ALARMED:
                return True
        self.count += 1
        shift = value - self.mean
        self.mean += shift / self.count
        self.squares += shift * (value - self.mean)
        return False


class DriftWatch:
    """`learn_one((key, kind), value)` returns a notice or None."""

    def __init__(self, capacity: int = KEYS) -> None:
        self.capacity = capacity
        self._streams: OrderedDict[tuple[str, Kind], _Stream] = OrderedDict()

    def learn_one(self, x: tuple[str, Kind], y: float) -> Notice | None:
        """One more value of a stream; raises ValueError for an unknown kind or no number."""
        key, kind = x
        if kind not in get_args(Kind) or not math.isfinite(y):
            raise ValueError(f"{kind!r}: {y!r}")
        stream = self._streams.setdefault((key, kind), _Stream())
        self._streams.move_to_end((key, kind))
        if len(self._streams) > self.capacity:
            self._streams.popitem(last=False)
        before = stream.mean
        by = stream.update(y)
        return Notice(key, kind, by, round(before, 6), round(y, 6)) if by else None

    def score(self, x: tuple[str, Kind]) -> float:
        """How near a stream is to a notice, 0 to 1."""
        stream = self._streams.get(x)
        return min(1.0, max(stream.up, stream.down) / ALARMED) if stream else 0.0

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data, the stream fed last at the end."""
        return {
            "schema": SCHEMA,
            "capacity": self.capacity,
            "streams": [[k, kind, list(s.values)] for (k, kind), s in self._streams.items()],
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> DriftWatch:
        """The watch that `snapshot` wrote; raises ValueError."""
        checked_schema(data, SCHEMA)
        found = cls(data["capacity"])
        for key, kind, values in data["streams"]:
            stream = found._streams[(key, kind)] = _Stream()
            for value in values:
                stream._again(value)
        return found
