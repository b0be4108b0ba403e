"""Samples on their way to computed sources: picked by tag, renumbered, handed to the child.

Called by the engine with every batch of a source that has computed dependants, and at each start
of their children. Never waits; what a child does not take is counted and made good by a snapshot.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

from edge_node.application.ipc import FromChild, Inputs, Samples, Texts
from edge_node.domain.tags import SourceTags, TagTable
from shared.clock import Clock

BAD = 2
NOT_WANTED = -1


class Relay:
    """Which computed source takes which tags, and what each of them has missed."""

    def __init__(
        self, tags: TagTable, send: Callable[[str, Inputs], bool], clock: Clock,
        now: Callable[[], int],
    ) -> None:  # fmt: skip
        self._tags, self._send, self._clock, self._now = tags, send, clock, now
        self._routes: dict[str, dict[str, array[int]]] = {}
        """Source -> dependant -> for each tag of the source its place in `inputs`."""
        self._behind: set[str] = set()
        self.dropped: dict[str, int] = {}
        """Samples that a dependant did not take since the engine's start."""
        for dependant in tags.sources.values():
            for place, tag in enumerate(dependant.spec.inputs):
                source, index = tags.place(tag)
                routes = self._routes.setdefault(source.spec.id, {})
                blank = array("i", [NOT_WANTED]) * len(source.tags)
                routes.setdefault(dependant.spec.id, blank)[index] = place

    def take(self, source: str, batch: FromChild) -> None:
        """Hand a batch on to those that take tags of it; nothing for a source without any."""
        routes = self._routes.get(source)
        if routes is None:
            return
        for dependant, places in routes.items():
            inputs, count = _picked(batch, places)
            if count:
                self._hand(dependant, inputs, count)

    def _hand(self, dependant: str, inputs: Inputs, count: int) -> None:
        if dependant in self._behind:  # what it missed is lost; where things stand now is not
            inputs = self.snapshot(dependant)
        if self._send(dependant, inputs):
            self._behind.discard(dependant)
        else:
            self._behind.add(dependant)
            self.dropped[dependant] = self.dropped.get(dependant, 0) + count

    def lost(self, source: str) -> None:
        """The source is not connected: its last values are no longer good for anybody."""
        for dependant, places in self._routes.get(source, {}).items():
            of = self._tags.sources[source]
            rows = [
                (place, index) for index, place in enumerate(places)
                if place != NOT_WANTED and of.heard_of(index) is not None
            ]  # fmt: skip
            if rows:
                self._hand(dependant, self._inputs([(p, of, i) for p, i in rows], bad=True), 0)

    def snapshot(self, dependant: str) -> Inputs:
        """Where the inputs of a computed source stand now."""
        rows = []
        for place, tag in enumerate(self._tags.sources[dependant].spec.inputs):
            source, index = self._tags.place(tag)
            if source.heard_of(index) is not None:
                rows.append((place, source, index))
        return self._inputs(rows, bad=False)

    def _inputs(self, rows: list[tuple[int, SourceTags, int]], *, bad: bool) -> Inputs:
        tags, times, values, qualities = array("i"), array("q"), array("d"), bytearray()
        texts: list[tuple[int, int, str, int]] = []
        ages: dict[int, int] = {}
        for place, source, index in rows:
            lost = bad or not source.up
            ages[place] = max(0, self._now() - (source.heard_of(index) or 0))
            if source.tags[index].type == "string":
                text, quality = source.texts.get(index, ("", BAD))
                texts.append((place, self._clock.now_ms(), text, BAD if lost else quality))
                continue
            tags.append(place)
            times.append(source.time_of(index))
            values.append(source.value_of(index))
            qualities.append(BAD if lost else source.quality_of(index))
        return Inputs(
            tags=tags.tobytes(), times=times.tobytes(), values=values.tobytes(),
            qualities=bytes(qualities), texts=texts, ages=ages,
        )  # fmt: skip


def _picked(batch: FromChild, places: array[int]) -> tuple[Inputs, int]:
    if isinstance(batch, Texts):
        texts = [
            (places[index], *rest) for index, *rest in batch.rows if places[index] != NOT_WANTED
        ]
        return Inputs(texts=texts), len(texts)  # pyright: ignore[reportArgumentType]
    if not isinstance(batch, Samples):
        return Inputs(), 0
    tags = memoryview(batch.tags).cast("i")
    wanted = [at for at, tag in enumerate(tags) if places[tag] != NOT_WANTED]
    if len(wanted) == len(tags):
        renumbered = array("i", [places[tag] for tag in tags]).tobytes()
        return Inputs(tags=renumbered, times=batch.times, values=batch.values,
                      qualities=batch.qualities), len(wanted)  # fmt: skip
    times, values = memoryview(batch.times).cast("q"), memoryview(batch.values).cast("d")
    return Inputs(
        tags=array("i", [places[tags[at]] for at in wanted]).tobytes(),
        times=array("q", [times[at] for at in wanted]).tobytes(),
        values=array("d", [values[at] for at in wanted]).tobytes(),
        qualities=bytes([batch.qualities[at] for at in wanted]),
    ), len(wanted)
