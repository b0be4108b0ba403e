"""Asks what a playbook's triggers would have made of the journal, beside what really happened.

Called by the routes, in turn with other long questions; reads, and changes nothing. An expression
that reads a live tag is unknown here, for what a tag was then is not looked up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from factory_brain.application.playbooks.authoring.replay import Replay, Would
from factory_brain.application.playbooks.releases import Releases
from factory_brain.domain.triggers import occasions
from shared.messages.bodies import AlarmTransition
from shared.playbook.cron import Cron
from shared.playbook.model import Playbook
from shared.site.loader import Site

MOST_DAYS, MOST_EVENTS, MOST_SHOWN = 31, 100_000, 500
ASSUMED_MS = 600_000
"""How long a run counts as live where no run of the playbook has ever ended."""
_BREATH = 200
"""Events after which whoever else waits has a turn."""


@dataclass(frozen=True, slots=True)
class Past:
    """One event of the journal."""

    id: str
    at: int
    body: Any


@dataclass(frozen=True, slots=True)
class Really:
    """What a firing really came to."""

    id: str
    occurrence: str | None
    trigger: str
    at: int
    alarm: str | None
    outcome: str
    run: str | None
    status: str | None
    """Of the run."""
    lasted_ms: int | None


class ReplayReads(Protocol):
    """The past."""

    def events(
        self, since: int, until: int, alarms: list[str], others: bool, limit: int
    ) -> AsyncIterator[Past]:
        """Transitions of these alarms, and what is no alarm's, oldest first."""
        ...

    async def emitted(self, since: int, until: int, limit: int) -> list[Any]:
        """Events that playbooks wrote (`trigger_ports.Emitted`)."""
        ...

    async def incidents(self, since: int, until: int, limit: int) -> list[Any]:
        """(id, opened or closed, when, what expressions see) of incidents."""
        ...

    async def really(self, playbook: str, since: int, until: int) -> list[Really]:
        """What the playbook's firings really came to."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """One line: what would have come of it, and what did."""

    would: Would | None
    real: Really | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a replay found."""

    events: int
    truncated: bool
    """More events than are looked at: it ends at `until`."""
    until: int
    assumed_ms: int
    counts: dict[str, int] = field(default_factory=dict)
    real: dict[str, int] = field(default_factory=dict)
    lines: list[Judged] = field(default_factory=list)
    """The newest."""


class Replaying:
    """The replays of one brain."""

    def __init__(self, site: Site, releases: Releases, reads: ReplayReads) -> None:
        self._site, self._releases, self._reads = site, releases, reads

    async def ask(self, book: Playbook, since: int, until: int) -> Answer:
        """Play a period again."""
        real = await self._reads.really(book.playbook, since, until)
        lasted = {each.id: each.lasted_ms for each in real if each.lasted_ms is not None}
        assumed = round(median(lasted.values())) if lasted else ASSUMED_MS
        replay = Replay(
            self._site.info.site, book, self._site.bindings.alarms, self._releases.inputs(book),
            assumed, lasted,
        )  # fmt: skip
        beside = await self._beside(replay, book, since, until)
        seen, last = 0, until
        names, others = sorted(replay.index.alarms), bool(replay.index.events)
        if names or others:
            limit = MOST_EVENTS + 1
            async for event in self._reads.events(since, until, names, others, limit):
                seen += 1
                if seen > MOST_EVENTS:
                    last = event.at
                    break
                _feed_until(replay, beside, event.at)
                _feed(replay, event)
                if seen % _BREATH == 0:
                    await asyncio.sleep(0)
        _feed_until(replay, beside, last)
        return _answer(replay.end(last), real, min(seen, MOST_EVENTS), last, until, assumed)

    async def _beside(
        self, replay: Replay, book: Playbook, since: int, until: int
    ) -> list[tuple[int, Any]]:
        """What is not in the journal, newest first: it is taken from the end."""
        index, found = replay.index, []
        zone = ZoneInfo(self._site.info.timezone)
        for entry in index.crons:
            due = Cron.parse(entry.trigger.cron or "").due(zone, since - 1, until)
            minutes = await asyncio.to_thread(list, due)
            found += [(at, lambda e=entry, at=at: replay.minute(e, at)) for at in minutes]
        if index.events:
            for event in await self._reads.emitted(since, until, MOST_EVENTS):
                seen = occasions.event_view(event.event, event.id, event.at, event.data)
                happened = occasions.Happened(event.id, (), event.at, seen)
                entries = index.events.get(event.event, [])
                found.append((event.at, lambda h=happened, e=entries: replay.happened(h, e)))
        if index.incidents:
            for name, word, at, seen in await self._reads.incidents(since, until, MOST_EVENTS):
                entries = [e for e in index.incidents if e.trigger.incident == word]
                happened = occasions.Happened(f"{name}:{word}:{at}", (), at, seen)
                found.append((at, lambda h=happened, e=entries: replay.happened(h, e, "incident")))
        return sorted(found, key=lambda each: -each[0])


def _feed_until(replay: Replay, beside: list[tuple[int, Any]], at: int) -> None:
    while beside and beside[-1][0] <= at:
        beside.pop()[1]()


def _feed(replay: Replay, event: Past) -> None:
    if isinstance(event.body, AlarmTransition):
        replay.alarm(event.body, event.id, event.at)
        return
    happened = occasions.of_event(event.body, event.id, event.at)
    if happened is not None:
        entries = [e for name in happened.names for e in replay.index.events.get(name, ())]
        replay.happened(happened, entries)


def _answer(
    came: list[Would], real: list[Really], seen: int, last: int, until: int, assumed: int
) -> Answer:
    by_id: Mapping[str, Really] = {each.id: each for each in real}
    by_occurrence = {each.occurrence: each for each in real if each.occurrence}
    lines, met = [], set()
    for would in came:
        found = by_id.get(would.id) or by_occurrence.get(would.occurrence or "")
        met.update((found.id,) if found else ())
        lines.append(Judged(would, found))
    lines += [Judged(None, each) for each in _missed(real, met, last)]
    lines.sort(key=_when, reverse=True)
    return Answer(
        seen, last < until, last, assumed, dict(Counter(each.outcome for each in came)),
        dict(Counter(each.outcome for each in real)), lines[:MOST_SHOWN],
    )  # fmt: skip


def _missed(real: Iterable[Really], met: set[str], last: int) -> list[Really]:
    """What really fired and would not any more."""
    return [each for each in real if each.id not in met and each.at <= last]


def _when(line: Judged) -> int:
    return line.would.at if line.would else line.real.at if line.real else 0
