"""What tags did around what is traced: the snippet that a raise took along, else the history."""

from __future__ import annotations

from typing import Any, Protocol

from factory_brain.application.trends import Trends
from factory_brain.application.units.words import UnitWords
from factory_brain.domain.trace.order import thinned
from shared.site.site import Site
from shared.web.dto_trace import TraceSignal

MOST_TAGS, MOST_POINTS, MOST_ROWS = 6, 600, 5000


class History(Protocol):
    """What the historian is asked."""

    async def trend(self, tag: str, since: int, until: int, limit: int) -> tuple[str, list[Any]]:
        """(resolution, rows): samples, or minutes or hours of them, oldest first."""
        ...


class Signals:
    """Reads series for the time line."""

    def __init__(self, site: Site, history: History, trends: Trends, words: UnitWords) -> None:
        self._site, self._history, self._trends, self._words = site, history, trends, words

    async def around(
        self, tags: list[str], since: int, until: int, occurrence: str | None
    ) -> list[TraceSignal]:
        """A few tags' values in a time, thinned; an occurrence's own at full rate."""
        snippet = await self._trends.snippet(occurrence) if occurrence else None
        if snippet is not None and snippet.series:
            return [
                self._signal(each.tag, "snippet", each.t, [
                    value if quality == 0 else None
                    for value, quality in zip(each.v, each.q, strict=True)
                ])
                for each in snippet.series[:MOST_TAGS]
            ]  # fmt: skip
        found: list[TraceSignal] = []
        for tag in tags[:MOST_TAGS]:
            resolution, rows = await self._history.trend(tag, since, until, MOST_ROWS)
            values = [row["value"] if row["quality"] == 0 else None for row in rows]
            if rows:
                found.append(self._signal(tag, resolution, [row["at"] for row in rows], values))
        return found

    def _signal(
        self, tag: str, resolution: str, times: list[int], values: list[float | None]
    ) -> TraceSignal:
        spec = self._site.tags.get(tag)
        t, v = thinned(times, values, MOST_POINTS)
        return TraceSignal(
            tag=tag, name=self._words.tag(tag), unit=spec.unit if spec else "",
            resolution=resolution, t=t, v=v, limits=self._words.limits(tag),  # type: ignore[arg-type]
        )  # fmt: skip
