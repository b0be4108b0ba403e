"""What is counted in shadow: which points, what part of a day, what one set alone told. Pure.

Called by `application/shadow`; the counting itself is `shared/alarm/excursions.py`, which is what
runs live, episode for episode.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, sqrt

from shared.alarm.definition import AlarmDefinition
from shared.alarm.point import Setting
from shared.site.assets import AssetTree

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
LEAD_MS = 2 * HOUR_MS
"""How much of the signal before a span is needed to know what stands at its beginning."""
DAY_LEAD_MS = DAY_MS + LEAD_MS
"""The same where a limit may be held against the deviation from a day."""
HOLDS_MS = 150_000
"""An edge repeats an unchanged value every minute: silence longer than this is a hole."""
LARGEST_SPREAD = 1e150
"""The square of what is larger is no number."""
MOST_EPISODES = 100
Episode = tuple[int, int | None]
"""(raise, clear); None: it still stood at the end."""


@dataclass(frozen=True, slots=True)
class Signal:
    """The good samples of a tag from before `since` up to `until`."""

    since: int
    until: int
    times: array[int]
    values: array[float]
    rows: int
    """Stored samples in [since, until), good or not."""
    coverage: float
    truncated: bool = False

    def spread(self) -> tuple[float, float] | None:
        """(mean, sigma) of the samples in the span itself; None without any.

        An infinite one, which is an alarm, says nothing of what is usual.
        """
        held = self.values[_first_from(self.times, self.since) :]
        inside = [value for value in held if abs(value) <= LARGEST_SPREAD]
        if not inside:
            return None
        mean = fsum(inside) / len(inside)
        return mean, sqrt(fsum((value - mean) ** 2 for value in inside) / len(inside))


def _first_from(times: Sequence[int], at: int) -> int:
    low, high = 0, len(times)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if times[middle] < at else (low, middle)
    return low


def coverage(times: Iterable[int], good: Iterable[bool], since: int, until: int) -> float:
    """The share of [since, until) in which a good sample stands and is not too old."""
    covered, start, standing = 0, since, False
    for at, fine in zip(times, good, strict=True):
        if at >= until:
            break
        if standing and at > since:
            covered += max(0, min(at, start + HOLDS_MS) - max(start, since))
        start, standing = at, fine
    if standing:
        covered += max(0, min(until, start + HOLDS_MS) - max(start, since))
    return covered / (until - since) if until > since else 0.0


def told_alone(
    these: Sequence[Episode], others: Sequence[Episode], since: int, until: int
) -> list[list[int]]:
    """Episodes of `these` begun in [since, until) during which none of `others` stood."""
    found: list[list[int]] = []
    for began, ended in these:
        end = until if ended is None else ended
        if not since <= began < until:
            continue
        if not any(o < end and (c is None or c > began) for o, c in others):
            found.append([began, ended or 0])
    return found


def longest(alone: Sequence[list[int]], until: int) -> list[list[int]]:
    """At most a hundred of these episodes, those that stood longest, in the order of time.

    A point that chatters has more of them in an hour: what a fault makes stands longer than noise,
    and must not be left out because the day began with noise.
    """
    first = sorted(alone, key=lambda each: each[0] - (each[1] or until))[:MOST_EPISODES]
    return sorted(first)


def tally(episodes: Iterable[Episode], since: int, until: int) -> list[float]:
    """[activations, standing in s] of episodes within [since, until)."""
    count, standing = 0, 0
    for began, ended in episodes:
        count += since <= began < until
        standing += max(0, min(until, until if ended is None else ended) - max(since, began))
    return [float(count), standing / 1000]


def countable(definition: AlarmDefinition | None) -> bool:
    """Whether an alarm point may be tuned at all: what may not be is not counted either."""
    return (
        definition is not None
        and definition.kind == "limit"
        and definition.side is not None
        and not definition.bounds.locked
        and not definition.safety
    )


def lead_of(*settings: Setting) -> int:
    """How much of the signal these settings need before a span."""
    return DAY_LEAD_MS if any(each.filter == "day" for each in settings) else LEAD_MS


def worst(
    raised: Mapping[str, int], definitions: Mapping[str, AlarmDefinition], edge: str, budget: int
) -> list[str]:
    """The points of an edge that were raised most often; what never was comes in no list."""
    mine = [
        (-count, alarm)
        for alarm, count in raised.items()
        if count > 0 and countable(found := definitions.get(alarm)) and found and found.edge == edge
    ]
    return [alarm for _, alarm in sorted(mine)[:budget]]


def line_of(tree: AssetTree, asset: str) -> str:
    """The line that an asset belongs to: the nearest line above it, else area, else itself."""
    path = tree.path(asset)[::-1]
    for kind in ("line", "area"):
        for each in path:
            spec = tree.specs.get(each)
            if spec is not None and spec.kind == kind:
                return each
    return asset
