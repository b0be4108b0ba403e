"""The time line of everything about one alarm, incident, unit or batch. Reads only.

Each source adds its entries; `order.py` puts them in order and says where the clocks cannot.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from factory_brain.application.details import Details
from factory_brain.application.incidents.story import IncidentStory
from factory_brain.application.ports import Alarms
from factory_brain.application.trace.entries import Draft, of_passage, of_relation, of_story
from factory_brain.application.trace.ports import MOST, Row, TraceReads
from factory_brain.application.trace.signals import Signals
from factory_brain.application.units.ports import Passage, UnitReads, Wanted
from factory_brain.application.units.questions import UnitQuestions
from factory_brain.application.units.words import relation
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.trace.order import in_order
from factory_brain.domain.units.spans import Span
from shared.clock import Clock
from shared.site.process import concerns
from shared.site.site import Site
from shared.web.dto_base import Text
from shared.web.dto_trace import ProcessValue, StayOut, TraceEntry, TraceOut, UnitDetail

AROUND_MS = 60_000
MOST_OCCURRENCES, MOST_PASSAGES, MOST_ENTRIES, MOST_RELATIONS = 100, 200, 3000, 1000


@dataclass(slots=True)
class _Subject:
    """What a time line is of."""

    kind: str
    id: str
    title: Text
    since: int
    until: int
    occurrences: list[Occurrence] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    assets: set[str] = field(default_factory=set)
    values: dict[tuple[str, int], list[ProcessValue]] = field(default_factory=dict)
    """What a station's tags did in the stay that began then."""
    incident: str = ""
    truncated: bool = False

    def all_of(self, rows: list[Row]) -> list[Row]:
        """The rows; marks that there may be more than were read."""
        self.truncated |= len(rows) >= MOST
        return rows


class TraceStory:
    """Answers `GET /api/trace/{kind}/{id}`."""

    def __init__(
        self, site: Site, clock: Clock, alarms: Alarms, details: Details,
        incidents: IncidentStory, reads: TraceReads, units: UnitReads, questions: UnitQuestions,
        signals: Signals,
    ) -> None:  # fmt: skip
        self._site, self._clock, self._alarms, self._details = site, clock, alarms, details
        self._incidents, self._reads, self._units = incidents, reads, units
        self._questions, self._signals = questions, signals

    async def trace(self, kind: str, name: str) -> tuple[TraceOut, set[str]] | None:
        """(the time line, the assets that it is of); None if there is no such thing."""
        subject = await {
            "alarm": self._alarm, "incident": self._incident, "unit": self._unit,
            "batch": self._batch,
        }[kind](name)  # fmt: skip
        if subject is None:
            return None
        entries, cut = await self._entries(subject)
        tags = list(dict.fromkeys(subject.tags))
        occurrence = name if kind == "alarm" else None
        out = TraceOut(
            kind=kind, id=name, title=subject.title, site=self._site.info.site,  # type: ignore[arg-type]
            since=subject.since, until=subject.until, timezone=self._site.info.timezone,
            entries=entries, truncated=cut or subject.truncated,
            signals=await self._signals.around(tags, subject.since, subject.until, occurrence),
        )  # fmt: skip
        return out, subject.assets

    async def unit(self, name: str) -> UnitDetail | None:
        """What happened to a unit."""
        subject = await self._unit(name)
        if subject is None:
            return None
        stays: list[StayOut] = [
            await self._questions.stay(each, subject.values.get((each.station, each.entered_at)))
            for each in subject.passages
        ]
        entries, cut = await self._entries(subject)
        return UnitDetail(
            unit=name, batches=list(dict.fromkeys(p.batch for p in subject.passages if p.batch)),
            stays=stays, relations=[relation(r) for r in await self._units.relations(name)],
            timeline=entries, truncated=cut or subject.truncated,
        )  # fmt: skip

    # ---- the four kinds ---------------------------------------------------------------------

    async def _alarm(self, name: str) -> _Subject | None:
        found = await self._alarms.get(name)
        if found is None:
            return None
        since, until = found.raised_at - AROUND_MS, self._end(found.returned_at)
        subject = _Subject("alarm", name, self._questions.words.alarm(found.alarm), since, until)
        subject.occurrences = [found]
        subject.tags = [found.transition.tag] if found.transition.tag else []
        subject.assets = {found.transition.asset}
        await self._add_passages(subject)
        return subject

    async def _incident(self, name: str) -> _Subject | None:
        detail = await self._incidents.detail(name)
        if detail is None:
            return None
        row = detail.incident
        ends = [m.returned_at for m in detail.members]
        last = None if None in ends else max((e for e in ends if e), default=row.last_at)
        until = self._end(max(last or 0, row.closed_at or 0) or None if last else None)
        subject = _Subject("incident", row.id, row.name, row.first_at - AROUND_MS, until)
        subject.incident = row.id
        subject.truncated = len(detail.members) > MOST_OCCURRENCES
        for member in detail.members[:MOST_OCCURRENCES]:
            if (found := await self._alarms.get(member.occurrence)) is not None:
                subject.occurrences.append(found)
        subject.tags = [o.transition.tag for o in subject.occurrences if o.transition.tag]
        subject.assets = {o.transition.asset for o in subject.occurrences} | {row.asset}
        subject.drafts += [
            Draft(TraceEntry(
                at=each.at, lane="incident", kind=each.kind, params=each.params,
                actor=each.actor, tier=each.tier, alarm=each.alarm, clock="factory",
                uncertainty_ms=0,
            ))
            for each in await self._incidents.own_entries(row.id)
        ]  # fmt: skip
        await self._add_passages(subject)
        return subject

    async def _unit(self, name: str) -> _Subject | None:
        passages = await self._units.of_unit(name, MOST_PASSAGES + 1)
        relations = await self._units.relations(name)
        if not passages and not relations:
            return None
        times = [p.entered_at for p in passages] + [r.at for r in relations]
        ends = [p.left_at for p in passages]
        last = None if None in ends else max([*(e for e in ends if e is not None), *times])
        subject = _Subject("unit", name, Text(zh=name, en=name), min(times), self._end(last, 0))
        subject.truncated = len(passages) > MOST_PASSAGES or len(relations) >= MOST_RELATIONS
        subject.passages = passages[:MOST_PASSAGES]
        subject.assets = {self._site.stations[r.station].asset for r in relations
                          if r.station in self._site.stations}  # fmt: skip
        subject.drafts += [of_relation(each) for each in relations]
        for each in subject.passages:
            await self._add_stay(subject, each.station, each.asset, each.entered_at, each.left_at)
        return subject

    async def _batch(self, name: str) -> _Subject | None:
        stays = await self._units.of_batch(name)
        if not stays:
            return None
        since = min(each.first_at for each in stays)
        lasts = [each.last_at for each in stays]
        last = None if None in lasts else max(each for each in lasts if each is not None)
        subject = _Subject("batch", name, Text(zh=name, en=name), since, self._end(last, 0))
        wanted = Wanted(0, 1 << 60, batch=name)
        found = await self._units.listed(wanted, None, MOST_PASSAGES + 1)
        subject.truncated = len(found) > MOST_PASSAGES
        subject.passages = found[:MOST_PASSAGES]
        subject.assets = {each.asset for each in subject.passages}
        for each in stays:
            known = self._site.stations.get(each.station)
            asset = known.asset if known else None
            await self._add_stay(subject, each.station, asset, each.first_at, each.last_at)
        return subject

    async def _add_stay(
        self, subject: _Subject, name: str, asset: str | None, since: int, left: int | None
    ) -> None:
        """The alarms that stood at a station meanwhile, and what its values did."""
        subject.assets |= {asset} if asset else set()
        station = self._site.stations.get(name)
        if station is None:
            return
        until = self._clock.now_ms() if left is None else left
        known = {each.occurrence for each in subject.occurrences}
        for each in await self._questions.stood(station, since, until):
            if each.occurrence in known:
                continue
            if len(subject.occurrences) >= MOST_OCCURRENCES:
                subject.truncated = True
                break
            if (found := await self._alarms.get(each.occurrence)) is not None:
                subject.occurrences.append(found)
        values = await self._questions.values(station, since, until)
        subject.values[name, since] = values
        for value in values:
            subject.tags.append(value.tag)
            said = value.model_dump(include={"tag", "unit", "low", "average", "high", "out"})
            subject.drafts.append(Draft(TraceEntry(
                at=until, lane="process", kind="measured", params=said | {"limits": value.limits},
                station=name, tier="edge", clock="factory", uncertainty_ms=0,
            )))  # fmt: skip

    async def _add_passages(self, subject: _Subject) -> None:
        """The units that were in the stations meanwhile."""
        definitions = [
            known for each in subject.occurrences if (known := self._site.alarms.get(each.alarm))
        ]
        stations = [
            station.id for station in self._site.stations.values()
            if any(concerns(each, station, self._site.assets) for each in definitions)
        ]  # fmt: skip
        if not stations:
            return
        wanted = Wanted(subject.since, subject.until, stations)
        spans = [Span(subject.since, subject.until)]
        found = await self._units.during(spans, wanted, None, MOST_PASSAGES + 1)
        subject.truncated |= len(found) > MOST_PASSAGES
        subject.passages = found[:MOST_PASSAGES]

    # ---- everything about them --------------------------------------------------------------

    async def _entries(self, subject: _Subject) -> tuple[list[TraceEntry], bool]:
        drafts = list(subject.drafts)
        for passage in subject.passages:
            drafts += of_passage(passage, self._clock_of(passage))
        for found in subject.occurrences:
            drafts += of_story(found, await self._details.story(found))
        drafts += await self._told(subject)
        edges = sorted({each.edge for each in subject.occurrences})
        for each in await self._reads.directives(edges, subject.since, subject.until):
            said = {key: each[key] for key in ("edge", "directive", "status")}
            drafts.append(_here(each["at"], "cloud", "directive", said, tier="group"))
        # Thousands of stamps by their neighbours: in a thread, it holds up nobody's alarm.
        order = await asyncio.to_thread(in_order, [draft.stamp for draft in drafts])
        entries = [
            drafts[index].entry.model_copy(update={"uncertain": unsure})
            for index, unsure in order[:MOST_ENTRIES]
        ]
        return entries, len(order) > MOST_ENTRIES

    async def _told(self, subject: _Subject) -> list[Draft]:
        names = [each.occurrence for each in subject.occurrences]
        if not names and not subject.incident:
            return []
        reads, drafts = self._reads, list[Draft]()
        for row in subject.all_of(await reads.notified(names)):
            said = {key: row[key] for key in ("channel", "reason") if row[key]}
            drafts.append(_here(
                row["at"], "told", row["outcome"], said | {"to": row["person"]},
                occurrence=row["occurrence"], alarm=row["alarm"],
            ))  # fmt: skip
        for row in subject.all_of(await reads.noticed(names, subject.since)):
            said = {key: row[key] for key in ("device", "status", "ended_at") if row[key]}
            drafts.append(_here(row["at"], "told", "notice", said, row["occurrence"]))
        now = self._clock.now_ms()
        for row in subject.all_of(await reads.delivered(names, subject.since, now)):
            said = {k: row[k] for k in ("outbound", "type", "status", "attempt", "ended_at")}
            drafts.append(_here(row["at"], "told", "webhook", said, row["occurrence"]))
        for row in subject.all_of(await reads.attached(names, subject.incident)):
            said = {"name": row["name"]}
            drafts.append(
                _here(row["at"], "people", "attached", said, row["occurrence"], actor=row["by"])
            )
        for row in subject.all_of(await reads.runs(names)):
            said = {"playbook": row["playbook"], "run": row["id"]}
            drafts.append(
                _here(row["started_at"], "playbook", "run_started", said, row["occurrence"])
            )
            if row["ended_at"] is not None:
                said |= {"status": row["status"]}
                drafts.append(
                    _here(row["ended_at"], "playbook", "run_ended", said, row["occurrence"])
                )
        return drafts

    def _clock_of(self, passage: Passage) -> str:
        """Who stamped a passage: the edge that reads the tag, or who reported it."""
        station = self._site.stations.get(passage.station)
        if passage.source == "tag" and station is not None and station.unit is not None:
            tag = self._site.tags.get(station.unit.tag)
            source = self._site.sources.get(tag.source) if tag else None
            return source.edge if source else passage.station
        return passage.source or passage.station

    def _end(self, last: int | None, around: int = AROUND_MS) -> int:
        now = self._clock.now_ms()
        return now if last is None else min(last + around, max(now, last))


def _here(
    at: int, lane: str, kind: str, params: dict[str, object], occurrence: str | None = None,
    *, alarm: str | None = None, actor: str | None = None, tier: str = "factory",
) -> Draft:  # fmt: skip
    """An entry by the factory's own clock."""
    return Draft(TraceEntry(
        at=at, lane=lane, kind=kind, params=params, occurrence=occurrence, alarm=alarm,  # type: ignore[arg-type]
        actor=actor, tier=tier, clock="factory", uncertainty_ms=0,
    ))  # fmt: skip
