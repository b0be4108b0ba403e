"""What was known of an alarm when it came up, from the alarms of the week before. Pure.

Only what had come up by then counts: a verdict that comes days later is learnt with what an
operator could have seen.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate

from group_cloud.application.nuisance.ports import Raised, Seen

MIN_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
WEEK_MS = 7 * DAY_MS


class Week:
    """A factory's alarms in the order in which they came up."""

    def __init__(self, raised: Sequence[Raised]) -> None:
        self._all = sorted(raised, key=lambda each: (each.raised_at, each.occurrence))
        self._times = [each.raised_at for each in self._all]
        self._own: dict[str, list[int]] = defaultdict(list)
        for each in self._all:
            self._own[each.alarm].append(each.raised_at)
        # Whoever asks what stood asks for thousands of moments: nothing is counted one by one.
        back = [max(e.returned_at, e.raised_at + 1) if e.returned_at > 0 else 0 for e in self._all]
        self._back = sorted(at for at in back if at)
        self._returned = [0, *accumulate(int(at > 0) for at in back)]
        held = zip(self._times, back, strict=True)
        self._long = [(raised, at) for raised, at in held if at - raised > WEEK_MS]

    def seen(self, occurrence: str, alarm: str, at: int) -> Seen:
        """One alarm of a point that came up at a time."""
        own = self._own.get(alarm, [])
        before = bisect_left(own, at)
        first = bisect_left(own, at - WEEK_MS)
        since = (at - own[before - 1]) / MIN_MS if before > first else -1.0
        hour = self._all[bisect_left(self._times, at - HOUR_MS) : bisect_left(self._times, at)]
        others = {each.alarm for each in hour if each.alarm != alarm}
        near = {e.alarm for e in hour if e.alarm != alarm and e.raised_at >= at - 10 * MIN_MS}
        return Seen(
            occurrence, alarm, round(since, 3), before - bisect_left(own, at - HOUR_MS),
            before - bisect_left(own, at - DAY_MS), len(near), len(others), self._standing(at),
            round((before - first) / 7, 4),
        )  # fmt: skip

    def _standing(self, at: int) -> int:
        start, end = bisect_left(self._times, at - WEEK_MS), bisect_left(self._times, at)
        older = self._returned[start] - sum(
            back > at for _, back in self._long[: bisect_left(self._long, (at - WEEK_MS, 0))]
        )
        return end - start - (bisect_right(self._back, at) - older)

    def newest(self, alarm: str, many: int, until: int) -> list[Seen]:
        """A point's newest alarms."""
        own = self._own.get(alarm, [])
        return [self.seen("", alarm, at) for at in own[: bisect_right(own, until)][-many:]]

    def count(self, alarm: str, since: int) -> int:
        """How often a point came up since."""
        own = self._own.get(alarm, [])
        return len(own) - bisect_left(own, since)
