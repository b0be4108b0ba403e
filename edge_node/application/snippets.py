"""What goes up with a raise: the tags around the alarm at full rate, before and after it.

Told by the engine of every transition; asks the history once the time after the raise has passed,
also when the edge was restarted in between. Bounded in a storm; never in the way of the alarm.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge_node.application.history import History, taken
from edge_node.application.records import Change, Emit, PutMeta, Stored, event
from edge_node.domain.alarm_unit import Transition
from edge_node.domain.tags import TagTable
from edge_node.kernel.history import Curve
from shared.alarm.definition import AlarmDefinition
from shared.clock import Clock
from shared.ids import uuid7
from shared.messages.bodies import SampleBatch, Snippet
from shared.messages.codec import decode, encode
from shared.messages.subjects import HISTORY
from shared.site.reporting import SnippetSpec
from shared.telemetry import logger

log = logger("snippets")
PENDING = "snippets_pending"
MAX_ROWS = 20_000
"""Rows of one snippet: the alarm's own tag comes first."""
MAX_TAGS = 8
MINUTE_MS = 60_000
LATE_MS = 600_000
"""After this time an edge that was away no longer makes up for a snippet."""
SETTLE_MS = 1_000
"""Time for the last samples to arrive."""


class Wanted(Stored, frozen=True):
    """A snippet that waits for its time."""

    alarm: str
    occurrence: str
    raised_at: int
    """In source time, as the alarm's own record has it."""
    due: int
    """Steady ms."""


@dataclass(frozen=True, slots=True)
class Around:
    """What the snippets need to know of the site."""

    tags: TagTable
    definitions: Callable[[str], AlarmDefinition | None]
    reads: Callable[[str], Iterable[str]]
    """Tags that an alarm's condition looks at."""
    spec_of: Callable[[str], SnippetSpec]


class Snippets:
    """The snippets that are due, and how many there were too many."""

    def __init__(self, around: Around, history: History, clock: Clock, per_minute: int) -> None:
        self._around, self._history, self._clock = around, history, clock
        self._per_minute = per_minute
        self._pending: dict[str, Wanted] = {}
        self._taken: deque[int] = deque()
        self.skipped = 0
        """Raises without a snippet, because there were too many in a minute."""
        self.sent = 0

    def recover(self, meta: dict[str, bytes], now: int) -> None:
        """What was waiting when the last run ended."""
        if PENDING in meta:
            listed = decode(meta[PENDING], list[Wanted])
            self._pending = {w.occurrence: w for w in listed if now - w.due < LATE_MS}

    def renew(self, around: Around) -> None:
        """Another site; what waits is made from it."""
        self._around = around

    @property
    def pending(self) -> int:
        """Snippets that wait for their time."""
        return len(self._pending)

    def note(self, transition: Transition, now: int) -> Change:
        """A transition: rows to store with it, if a snippet is to be made."""
        body = transition.body
        spec = self._around.spec_of(body.alarm)
        if not transition.raised or not (spec.before or spec.after) or not self._per_minute:
            return []
        while self._taken and now - self._taken[0] >= MINUTE_MS:
            self._taken.popleft()
        if len(self._taken) >= self._per_minute:
            self.skipped += 1
            return []
        self._taken.append(now)
        due = now + spec.after + SETTLE_MS
        self._pending[body.occurrence] = Wanted(
            alarm=body.alarm, occurrence=body.occurrence, raised_at=body.raised_at, due=due
        )
        return [self._kept()]

    def _kept(self) -> PutMeta:
        return PutMeta(PENDING, encode(list(self._pending.values())))

    async def due(self, now: int) -> list[Change]:
        """The changes of the snippets whose time has come; each is made once."""
        changes: list[Change] = []
        for wanted in [w for w in self._pending.values() if w.due <= now]:
            body = await self._make(wanted)
            del self._pending[wanted.occurrence]
            change: Change = [self._kept()]
            if body is not None:
                self.sent += 1
                made = event(uuid7(self._clock), "snippet", self._clock.now_ms(), body)
                change.append(Emit(made, HISTORY))
            changes.append(change)
            await asyncio.sleep(0)
        return changes

    async def _make(self, wanted: Wanted) -> Snippet | None:
        definition = self._around.definitions(wanted.alarm)
        if definition is None:
            return None
        spec = self._around.spec_of(wanted.alarm)
        since, until = wanted.raised_at - spec.before, wanted.raised_at + spec.after
        names = self._names(definition)
        curves = await self._history.read(names, since, until)
        samples, cut = _packed(names, curves)
        if samples is None:
            log.info("snippet_empty", alarm=wanted.alarm, occurrence=wanted.occurrence)
            return None
        source, _ = self._around.tags.place(definition.tag)
        short = since + source.time.offset < self._history.began
        return Snippet(
            alarm=wanted.alarm, occurrence=wanted.occurrence, raised_at=wanted.raised_at,
            since=since, until=until, samples=samples, truncated=cut or short,
        )  # fmt: skip

    def _names(self, definition: AlarmDefinition) -> list[str]:
        """The alarm's tag, what its condition reads, then its asset's other tags."""
        tags = self._around.tags
        same_asset = (
            tag.id for source in tags.sources.values() for tag in source.tags
            if tag.asset == definition.asset and tag.type != "string"
        )  # fmt: skip
        ordered = dict.fromkeys([definition.tag, *self._around.reads(definition.id), *same_asset])
        return [name for name in ordered if name in tags][:MAX_TAGS]


def _packed(names: list[str], curves: dict[str, Curve]) -> tuple[SampleBatch | None, bool]:
    """The curves as one batch of bounded size, and whether anything had to be left out."""
    room, cut = MAX_ROWS, False
    used: list[str] = []
    columns: list[bytes] = [b"", b"", b"", b""]
    for name in names:
        curve = curves[name]
        count = len(curve[2])
        if count > room:
            # Evenly thinner rather than cut off: the whole span can be seen.
            every = -(-count // max(1, room))
            curve, cut = taken(curve, range(0, count, every)), True
            count = len(curve[2])
        if not count or count > room:
            continue
        columns[0] += len(used).to_bytes(4, "little") * count
        for place, column in enumerate(curve):
            columns[place + 1] += column
        used.append(name)
        room -= count
    if not used:
        return None, cut
    tags, times, values, qualities = columns
    return SampleBatch(names=used, tags=tags, times=times, values=values, qualities=qualities), cut
