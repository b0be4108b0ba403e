"""An incident told to people: its words, its time line by lanes, past ones like it. Reads only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from factory_brain.application.details import Details
from factory_brain.application.incidents.ports import IncidentReads, Listed, Member
from factory_brain.application.ports import Alarms
from factory_brain.domain.incidents.similar import Likeness, Pattern, likeness
from factory_brain.domain.rows import text
from shared.clock import Clock
from shared.site.site import Site
from shared.web.dto import Text
from shared.web.dto_floods import FloodLikeness
from shared.web.dto_incidents import (
    Cause,
    Done,
    IncidentDetail,
    IncidentEntry,
    IncidentOut,
    SimilarIncident,
)
from shared.web.dto_incidents import IncidentMember as MemberOut

MOST_MEMBERS = 1000
MOST_STORIES = 100
"""Members whose own history is told; of more, the first ones."""
MOST_ENTRIES = 3000
LOOKED_AT, SHOWN = 30, 5
LEAST = 0.2
"""Incidents less alike than this are not like each other."""


class IncidentWords:
    """Names of a site for what the store holds as ids."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def alarm(self, alarm: str) -> Text:
        """What people call an alarm."""
        definition = self._site.alarms.get(alarm)
        return text(definition.name) if definition else Text(zh=alarm, en=alarm)

    def causes(self) -> list[Cause]:
        """What may be given as a cause."""
        return [
            Cause(id=each.id, name=Text(zh=each.name.zh, en=each.name.en))
            for each in self._site.incidents.causes
        ]

    def incident(self, listed: Listed) -> IncidentOut:
        """An incident as lists show it."""
        row, firsts = listed.incident, list(dict.fromkeys(listed.first_alarms))
        asset = self._site.assets.name(row.asset)
        cause = next((each.name for each in self.causes() if each.id == row.cause), None)
        return IncidentOut(
            id=row.id, status=row.status,  # type: ignore[arg-type]
            name=self.alarm(firsts[0]) if firsts else Text(),
            first_at=row.first_at, last_at=row.last_at, first_out=firsts,
            tie=len(row.first_out) > 1, asset=row.asset,
            asset_name=Text(zh=asset.zh, en=asset.en) if asset else None,
            priority=row.priority, alarms=row.alarms, standing=row.standing, unacked=row.unacked,
            returned_at=row.returned_at, settled=row.settled, flood=row.flood, owner=row.owner,
            opened_at=row.opened_at, acknowledged_at=row.acknowledged_at,
            acknowledged_by=row.acknowledged_by, contained_at=row.contained_at,
            contained_by=row.contained_by, closed_at=row.closed_at, closed_by=row.closed_by,
            cause=row.cause, cause_name=cause, outcome=row.outcome, reopened=row.reopened,
            merged_into=row.merged_into,
        )  # fmt: skip

    def member(self, member: Member) -> MemberOut:
        """One alarm of an incident."""
        seen, shown = member.seen, member.shown
        return MemberOut(
            occurrence=seen.occurrence, alarm=seen.alarm, name=self.alarm(seen.alarm),
            asset=seen.asset, edge=seen.edge, priority=seen.priority, raised_at=seen.raised_at,
            uncertainty_ms=seen.uncertainty, returned_at=seen.returned_at, active=seen.active,
            acked=seen.acked, first_out=shown.first_out,  # type: ignore[arg-type]
            hidden_behind=shown.hidden_behind, hidden_rule=shown.hidden_rule,
            marks=list(shown.marks), outcome=member.label, run=member.run,
        )  # fmt: skip


class IncidentStory:
    """Answers what the console asks about incidents."""

    def __init__(
        self, words: IncidentWords, clock: Clock, reads: IncidentReads, alarms: Alarms,
        details: Details,
    ) -> None:  # fmt: skip
        self.words, self._clock, self._reads = words, clock, reads
        self._alarms, self._details = alarms, details
        self.likeness: Callable[[str], Awaitable[FloodLikeness | None]] = _unlike
        """What the group says an incident's flood resembles."""

    async def page(
        self, state: str, limit: int, before: tuple[int, str] | None
    ) -> list[IncidentOut]:
        """Incidents, newest first."""
        found = await self._reads.page(state, limit, before)
        return [self.words.incident(each) for each in found]

    async def detail(self, name: str) -> IncidentDetail | None:
        """One incident with all that is known of it; of a merged one, what it is part of."""
        listed = await self._reads.get(name)
        if listed is None:
            return None
        members = await self._reads.members([listed.incident.id], MOST_MEMBERS)
        return IncidentDetail(
            incident=self.words.incident(listed),
            members=[self.words.member(each) for each in members],
            timeline=await self._timeline(listed, members),
            similar=await self._similar(listed, members),
            causes=self.words.causes(),
            likeness=await self.likeness(listed.incident.id),
        )

    async def own_entries(self, name: str) -> list[IncidentEntry]:
        """What was said and done about the incident itself, without its alarms' histories."""
        return [
            IncidentEntry(
                at=each.at, lane=each.lane, kind=each.kind, params=each.params,  # type: ignore[arg-type]
                actor=each.actor, tier="factory", alarm=each.params.get("alarm"),
            )
            for each in await self._reads.entries(name)
        ]  # fmt: skip

    async def _timeline(self, listed: Listed, members: Sequence[Member]) -> list[IncidentEntry]:
        row = listed.incident
        entries = await self.own_entries(row.id)
        for member in members[:MOST_STORIES]:
            found = await self._alarms.get(member.seen.occurrence)
            if found is not None:
                for entry in await self._details.story(found):
                    entries.append(IncidentEntry(**dict(entry), alarm=found.alarm))
        edges = sorted({each.seen.edge for each in members})
        until = row.closed_at or self._clock.now_ms()
        for each in await self._reads.directives(edges, row.first_at, until):
            told = {key: each[key] for key in ("edge", "directive", "status")}
            entry = IncidentEntry(
                at=each["at"], lane="cloud", kind="directive", params=told, tier="group"
            )
            entries.append(entry)
        return sorted(entries, key=lambda entry: entry.at)[:MOST_ENTRIES]

    async def _similar(self, listed: Listed, members: Sequence[Member]) -> list[SimilarIncident]:
        mine = _pattern(listed, members)
        names = await self._reads.alike(listed.incident.id, list(mine.alarms), LOOKED_AT)
        past: dict[str, list[Member]] = {name: [] for name in names}
        for each in await self._reads.members(names, LOOKED_AT * MOST_MEMBERS):
            past[each.incident].append(each)
        found: list[tuple[Likeness, Listed]] = []
        for other in await self._reads.those(names):
            alike = likeness(mine, _pattern(other, past[other.incident.id]))
            if alike.score >= LEAST:
                found.append((alike, other))
        found.sort(key=lambda pair: (-pair[0].score, -pair[1].incident.first_at))
        return [
            await self._past(alike, other, past[other.incident.id])
            for alike, other in found[:SHOWN]
        ]

    async def _past(
        self, alike: Likeness, listed: Listed, members: Sequence[Member]
    ) -> SimilarIncident:
        row = listed.incident
        runs = await self._reads.runs([each.run for each in members if each.run])
        notes = [
            entry.params["text"]
            for entry in await self._reads.entries(row.id)
            if entry.lane == "people" and entry.params.get("text")
        ]
        closed = row.closed_at
        return SimilarIncident(
            incident=self.words.incident(listed), score=alike.score,
            parts={
                "alarms": alike.alarms, "order": alike.order, "first": alike.first,
                "asset": alike.asset,
            },
            common=list(alike.common),
            seconds_to_close=None if closed is None else (closed - row.first_at) // 1000,
            runs=[Done(run=r["id"], playbook=r["playbook"], status=r["status"]) for r in runs],
            local_actions=sorted({each.local_action for each in members if each.local_action}),
            notes=notes[-10:],
        )  # fmt: skip


async def _unlike(_: str) -> FloodLikeness | None:
    return None


def _pattern(listed: Listed, members: Sequence[Member]) -> Pattern:
    alarms = dict.fromkeys(each.seen.alarm for each in members)
    return Pattern(tuple(alarms), frozenset(listed.first_alarms), listed.incident.asset)
