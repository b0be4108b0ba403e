"""The plant of a rehearsal: tags with their quality and age, the state of the alarm, the link.

Changed by the timeline and by what commands set; read by conditions. Outlives every kill.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.expression import Reading, StaticEnvironment, parse_duration


class Plant:
    """Tags, and since when the edge cannot be reached."""

    def __init__(self, tags: Mapping[str, Any], now: int) -> None:
        self._tags: dict[str, tuple[Any, bool, int]] = {}
        self._heard: dict[str, tuple[Any, bool, int]] = {}
        """What the brain heard last, before the link went down."""
        self.peaks: dict[str, float] = {}
        self.link_down_until = 0
        self.link_down_since: int | None = None
        self.put(tags, now)

    def put(self, tags: Mapping[str, Any], now: int) -> None:
        """New values: plain, or `{value, good, age}`."""
        for name, given in tags.items():
            value, good, age = given, True, 0
            if isinstance(given, Mapping):
                value = given.get("value")
                good = bool(given.get("good", given.get("quality", "good") == "good"))
                age = round(1000 * _seconds(given.get("age", 0)))
            self._tags[name] = (value, good, age)
            if good and isinstance(value, int | float) and not isinstance(value, bool):
                self.peaks[name] = max(self.peaks.get(name, value), value)

    def restart_peaks(self) -> None:
        """The highest values count from now on."""
        self.peaks = {}
        self.put({n: {"value": v, "good": g} for n, (v, g, _) in self._tags.items()}, 0)

    def cut(self, now: int, down: int) -> None:
        """The edge cannot be reached for so long."""
        if self.linked(now):
            self.link_down_since, self._heard = now, dict(self._tags)
        self.link_down_until = now + down

    def linked(self, now: int) -> bool:
        """Whether the edge can be reached."""
        return now >= self.link_down_until

    def seen(self, now: int) -> StaticEnvironment:
        """What the brain sees: while the link is down, what it saw last grows old."""
        since = self.link_down_since
        if since is None or self.linked(now):
            return self.here()
        return self._environment(self._heard, now - since)

    def here(self) -> StaticEnvironment:
        """What the edge itself sees."""
        return self._environment(self._tags, 0)

    def of_site(self, names: Mapping[str, str]) -> StaticEnvironment:
        """What the edge sees under the site's names: site's tag -> logical one."""
        here = self.here()
        known = dict(here.tags)
        for site, logical in names.items():
            if logical in self._tags:
                known[site] = here.tags[logical]
        return StaticEnvironment(tags=known)

    @staticmethod
    def _environment(tags: Mapping[str, tuple[Any, bool, int]], late: int) -> StaticEnvironment:
        return StaticEnvironment(tags={
            name: Reading(value, good, (age + late) / 1000)
            for name, (value, good, age) in tags.items()
        })  # fmt: skip


def _seconds(given: Any) -> float:
    return float(given) if isinstance(given, int | float) else parse_duration(str(given)) or 0.0
