"""Which units passed while something was out of limits, and what happened to one.

Called by the routes and by the trace; reads only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from factory_brain.application.units.excursions import MOST_SPANS, Excursions, too_many
from factory_brain.application.units.ports import Active, Passage, UnitReads, Wanted
from factory_brain.application.units.words import UnitWords
from factory_brain.domain.units.spans import (
    FAR,
    Figures,
    Limits,
    Piece,
    Span,
    figures,
)
from shared.clock import Clock
from shared.errors import Rejected
from shared.site.process import StationSpec, concerns, process_tags
from shared.site.site import Site
from shared.web.dto_trace import (
    BatchDetail,
    BatchStation,
    PassageOut,
    ProcessValue,
    StayAlarm,
    StayOut,
    UnitPage,
)

UNKNOWN_CLOCK_MS = 1000
"""How far a clock may be off that says nothing of it."""
MOST_TAGS = 24
MOST_PIECES = 2000


class Trend(Protocol):
    """What a stay's values are read from."""

    async def trend(self, tag: str, since: int, until: int, limit: int) -> tuple[str, list[Any]]:
        """(resolution, rows): samples, or minutes or hours of them, oldest first."""
        ...

    async def last_before(self, tag: str, at: int) -> Any:
        """The last sample of a tag up to `at`."""
        ...


class UnitQuestions:
    """Answers about units and batches."""

    def __init__(
        self, site: Site, clock: Clock, reads: UnitReads, trend: Trend, words: UnitWords
    ) -> None:
        self._site, self._clock, self._reads, self._trend = site, clock, reads, trend
        self.words = words
        self._excursions = Excursions(reads, trend)

    # ---- which units passed while X was out of limits -------------------------------------

    async def out_of_limits(
        self, what: str, limits: Limits, wanted: Wanted, after: tuple[int, str, str] | None,
        limit: int,
    ) -> UnitPage | Rejected:  # fmt: skip
        """One page more than `limit` tells that there are more."""
        found = await self._spans(what, limits, wanted)
        if isinstance(found, Rejected):
            return found
        spans, stations = found
        if wanted.stations is not None:
            stations = [name for name in stations if name in wanted.stations]
        if len(spans) > MOST_SPANS:
            return too_many()
        asked = Wanted(wanted.since, wanted.until, stations, wanted.batch, wanted.unit)
        passages = await self._reads.during(spans, asked, after, limit) if spans else []
        # Hundreds of stays by thousands of spans: in a thread, it holds up nobody's alarm.
        items = await asyncio.to_thread(self._told, passages, spans)
        return UnitPage(items=items, next=None, spans=len(spans))

    def _told(self, passages: Sequence[Passage], spans: Sequence[Span]) -> list[PassageOut]:
        return [_because(self.words.passage(each), spans) for each in passages]

    async def _spans(
        self, what: str, limits: Limits, wanted: Wanted
    ) -> tuple[list[Span], list[str]] | Rejected:
        own = limits.above is not None or limits.below is not None
        if what in self._site.alarms and not own:
            return await self._by_alarms([what], wanted)
        if what not in self._site.tags:
            known = what in self._site.alarms
            return Rejected("limit_of_alarm" if known else "unknown_limit_of", {"what": what})
        if own:
            spec = self._site.tags[what]
            stations = [s.id for s in self._site.stations.values() if self._shows(s, what)]
            if not stations:
                return Rejected("no_station_there", {"asset": spec.asset})
            found = await self._excursions.of(what, limits, wanted)
            return found if isinstance(found, Rejected) else (found, stations)
        alarms = [alarm.id for alarm in self._site.alarms.values() if alarm.tag == what]
        if not alarms:
            return Rejected("tag_without_limit", {"tag": what})
        return await self._by_alarms(alarms, wanted)

    def _shows(self, station: StationSpec, tag: str) -> bool:
        asset, tree = self._site.tags[tag].asset, self._site.assets
        return tag in station.tags or tree.within(asset, station.asset) or (
            asset != tree.root and tree.within(station.asset, asset)
        )  # fmt: skip

    async def _by_alarms(
        self, alarms: Sequence[str], wanted: Wanted
    ) -> tuple[list[Span], list[str]] | Rejected:
        tree = self._site.assets
        definitions = [self._site.alarms[alarm] for alarm in alarms]
        stations = [
            station.id for station in self._site.stations.values()
            if any(concerns(each, station, tree) for each in definitions)
        ]  # fmt: skip
        if not stations:
            return Rejected("no_station_there", {"asset": definitions[0].asset})
        stood = await self._reads.occurrences(alarms, wanted.since, wanted.until)
        found = [_clipped(_span(each), wanted) for each in stood]
        return [span for span in found if span.end > span.start], stations

    # ---- what happened meanwhile ------------------------------------------------------------

    async def stay(self, passage: Passage, values: list[ProcessValue] | None = None) -> StayOut:
        """One stay with the alarms that stood and what the values did, unless that is known."""
        station = self._site.stations.get(passage.station)
        until = self._clock.now_ms() if passage.left_at is None else passage.left_at
        return StayOut(
            passage=self.words.passage(passage),
            alarms=await self.alarms(station, passage.entered_at, until),
            values=values if values is not None
            else await self.values(station, passage.entered_at, until),
        )  # fmt: skip

    async def alarms(self, station: StationSpec | None, since: int, until: int) -> list[StayAlarm]:
        """Alarms that concern a station and stood at some moment of a time."""
        if station is None:
            return []
        stood = await self.stood(station, since, until)
        return [
            StayAlarm(
                occurrence=each.occurrence, alarm=each.alarm, name=self.words.alarm(each.alarm),
                raised_at=each.raised_at, returned_at=each.returned_at,
                uncertain=not _span(each).overlaps(since, until, -_span(each).unsure),
            )
            for each in stood
        ]  # fmt: skip

    async def stood(self, station: StationSpec, since: int, until: int) -> list[Active]:
        """The same, as stored; those too of which the clocks cannot tell."""
        tree = self._site.assets
        alarms = [a.id for a in self._site.alarms.values() if concerns(a, station, tree)]
        margin = UNKNOWN_CLOCK_MS
        found = await self._reads.occurrences(alarms, since - margin, until + margin)
        return [each for each in found if (s := _span(each)).overlaps(since, until, s.unsure)]

    async def values(
        self, station: StationSpec | None, since: int, until: int
    ) -> list[ProcessValue]:
        """What the station's tags did in a time."""
        found: list[ProcessValue] = []
        for tag in process_tags(station, self._site)[:MOST_TAGS] if station else ():
            known = await self._figures(tag, since, until)
            if known is None:
                continue
            spec, limits = self._site.tags.get(tag), self.words.limits(tag)
            low = max((v for s, v in limits.items() if s.startswith("LO")), default=None)
            high = min((v for s, v in limits.items() if s.startswith("HI")), default=None)
            allowed = Limits(low, high)
            found.append(
                ProcessValue(
                    tag=tag, name=self.words.tag(tag), unit=spec.unit if spec else "",
                    low=known.low, average=known.average, high=known.high,
                    samples=known.samples, limits=limits,
                    out=allowed.out(known.low) or allowed.out(known.high),
                )
            )  # fmt: skip
        return found

    async def _figures(self, tag: str, since: int, until: int) -> Figures | None:
        resolution, rows = await self._trend.trend(tag, since, until, MOST_PIECES)
        raw = resolution == "raw"
        pieces = [
            Piece(
                row["at"], row["value"] if row["quality"] == 0 else None,
                None if raw else row["min"], None if raw else row["max"],
            )
            for row in rows
        ]  # fmt: skip
        if raw and (before := await self._trend.last_before(tag, since)) is not None:
            good = before["value"] if before["quality"] == 0 else None
            pieces.insert(0, Piece(before["at"], good, None, None))
        return figures(pieces, since, until)

    async def batch(self, batch: str) -> BatchDetail | None:
        """Where a batch was and what happened meanwhile."""
        stays = await self._reads.of_batch(batch)
        if not stays:
            return None
        found: list[BatchStation] = []
        for each in stays:
            station = self._site.stations.get(each.station)
            until = self._clock.now_ms() if each.last_at is None else each.last_at
            found.append(
                BatchStation(
                    station=each.station, name=self.words.station(each.station),
                    units=each.units, first_at=each.first_at, last_at=each.last_at,
                    alarms=await self.alarms(station, each.first_at, until),
                    values=await self.values(station, each.first_at, until),
                )
            )  # fmt: skip
        return BatchDetail(batch=batch, stations=found)


def _span(each: Active) -> Span:
    """When an occurrence stood, by the brain's clock."""
    unsure = UNKNOWN_CLOCK_MS if each.unsure is None else each.unsure
    end = FAR if each.returned_at is None else each.returned_at + each.offset
    start = each.raised_at + each.offset
    return Span(start, max(end, start + 1), each.occurrence, each.alarm, unsure)


def _clipped(span: Span, wanted: Wanted) -> Span:
    start, end = max(span.start, wanted.since), min(span.end, wanted.until)
    return Span(start, end, span.occurrence, span.alarm, span.unsure)


def _because(passage: PassageOut, spans: Sequence[Span]) -> PassageOut:
    stay = passage.entered_at, passage.left_at
    near = [span for span in spans if span.overlaps(*stay, span.unsure)]
    sure = any(span.overlaps(*stay, -span.unsure) for span in near)
    names = [span.occurrence for span in near if span.occurrence]
    return passage.model_copy(update={"occurrences": names[:50], "uncertain": not sure})
