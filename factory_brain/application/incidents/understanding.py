"""One round of understanding alarms together, in one transaction under the lock of incidents.

Started by the correlator with the occurrences that something happened to. All that it writes
follows from what is stored, so that a repetition changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from factory_brain.application.incidents.changes import Change, united_rows
from factory_brain.application.incidents.ports import (
    MERGED,
    Candidate,
    Entry,
    Incident,
    Incidents,
    Member,
    Shown,
    Told,
)
from factory_brain.application.ports import Transaction
from factory_brain.domain.incidents.first_out import first_out
from factory_brain.domain.incidents.grouping import Place, group, united
from factory_brain.domain.incidents.hiding import hidden_behind
from factory_brain.domain.incidents.life_cycle import summarise
from factory_brain.domain.incidents.marks import marks
from factory_brain.domain.incidents.seen import Rules
from shared.alarm.kpi.floods import floods

FLOOD_BACK_MS = 3_600_000
"""So long before an incident a flood may have begun that it is part of."""
HORIZON_MS = 30 * 86_400_000
"""What comes later than this changes no more than what was raised within an incident's length
after it: a clock that stands in another year must not make a factory's whole past anew."""


class Understanding:
    """What one transaction finds out."""

    def __init__(
        self, store: Incidents, tx: Transaction, rules: Rules,
        common: Callable[[Iterable[str]], str], now: int,
    ) -> None:  # fmt: skip
        self._store, self._tx, self._rules = store, tx, rules
        self._common, self._now = common, now
        self._incidents: set[str] = set()
        """Incidents whose figures may have changed."""
        self._change = Change({}, {})
        """Occurrences that left an incident for another, by what they were in at first."""
        self._regrouped = False
        self._members: dict[str, Member] = {}
        self._shown: dict[str, Shown] = {}
        self._entries: list[Entry] = []

    async def take(self, names: Iterable[str], told: Mapping[str, Told]) -> None:
        """Something happened to these occurrences; `told` is what they said of their clocks."""
        found = await self._store.candidates(self._tx, list(names))
        starts: set[int] = set()
        keep: list[Candidate] = []
        for one in found:
            new = replace(one, told=_better(one.told, told.get(one.occurrence)))
            if one.at is None or new != one or new.now_at != one.at:
                keep.append(new)
            if one.at is None or not one.incident or new.now_at != one.at:
                starts.add(new.now_at if one.at is None else min(one.at, new.now_at))
        if keep:
            await self._store.keep(self._tx, keep)
        self._incidents |= {one.incident for one in found if one.incident}
        await self._regroup_from(starts)
        await self._mark({one.occurrence for one in found}, {one.alarm for one in found})
        await self._hide({one.alarm for one in found})

    async def _regroup_from(self, starts: Iterable[int]) -> None:
        done: int | None = None
        for at in sorted(starts):
            if done is not None and at <= done:
                continue
            old = at < self._now - HORIZON_MS
            done = at + self._rules.longest if old else None
            await self.regroup(at, done)
            if not old:
                return

    async def regroup(self, since: int, until: int | None) -> None:
        """Put everything raised from `since` on (and up to `until`) where it belongs now."""
        store, tx = self._store, self._tx
        window = await store.since(tx, since - self._rules.reach, until)
        before = [(m.seen, m.place) for m in window if m.seen.at < since and m.place is not None]
        again = {m.seen.occurrence: m for m in window if m.seen.at >= since}
        firsts = {place.first for _, place in before} | {m.seen.occurrence for m in window}
        closed = await store.closings(tx, firsts)
        places = group(self._rules, [m.seen for m in again.values()], before, closed)
        await self._assign(again, places)

    async def rejoin(self) -> None:
        """People made incidents one, or will not have them one any more."""
        await self._assign({}, {})

    async def _assign(self, again: Mapping[str, Member], places: Mapping[str, Place]) -> None:
        store, tx = self._store, self._tx
        joins = await store.joins(tx)
        named = await store.those(tx, {name for pair in joins for name in pair})
        known = {m.seen.occurrence: m.place for m in named if m.place is not None} | dict(places)
        heads = united(known, joins)
        held = {m.seen.occurrence: m for m in await store.of_groups(tx, heads)} | dict(again)
        want: dict[str, tuple[Place, str]] = {}
        for name, one in held.items():
            place = places.get(name) or one.place
            if place is not None:
                want[name] = (place, heads.get(place.group, place.group))
        moved = {n: w for n, w in want.items() if (held[n].place, held[n].incident) != w}
        if moved:
            await store.place(tx, moved)
        self._change = Change(
            {
                name: held[name]
                for name, (_, where) in moved.items()
                if held[name].incident != where
            },
            {name: where for name, (_, where) in moved.items() if held[name].incident != where},
        )
        self._incidents |= {where for _, where in want.values()} | self._change.olds
        self._regrouped = True

    async def age(self) -> None:
        """Time has gone by: what was chattering may be quiet, what stands may be stale."""
        found = await self._store.ageing(self._tx, self._now - self._rules.stale)
        names = {each.seen.occurrence for each in found}
        await self._mark(names, {each.seen.alarm for each in found})
        await self._hide(None)

    async def finish(self) -> None:
        """Write the figures of all incidents concerned, what rows show, and time lines."""
        store, tx = self._store, self._tx
        members: dict[str, list[Member]] = {name: [] for name in self._incidents}
        for each in await store.of(tx, self._incidents):
            members[each.incident].append(each)
        rows = await store.get(tx, self._incidents)
        stored = dict(rows)
        for old, new in united_rows(self._change, members, rows, self._now, self._entries):
            await store.move_entries(tx, old, new)
        times = await self._annunciated(members)
        for name, held in sorted(members.items()):
            if held:
                rows[name] = self._figures(name, held, rows.get(name), times)
        for name, row in sorted(rows.items()):
            if row != stored.get(name):
                await store.put(tx, row)
        shown = {n: s for n, s in self._shown.items() if s != self._members[n].shown}
        if shown:
            await store.show(tx, shown)
        if self._entries:
            await store.note(tx, self._entries)

    async def _annunciated(self, members: Mapping[str, list[Member]]) -> list[int]:
        times = [each.seen.at for held in members.values() for each in held]
        if not self._regrouped or not times:
            return []
        return await self._store.annunciated(self._tx, min(times) - FLOOD_BACK_MS, max(times))

    def _figures(
        self, name: str, held: list[Member], row: Incident | None, times: list[int]
    ) -> Incident:
        seen = [each.seen for each in held]
        firsts = first_out(seen, self._rules)
        for each in held:
            mark = firsts.get(each.seen.occurrence, "")
            self._set(each, replace(self._of(each), first_out=mark))
        found = summarise(seen, firsts, self._common(each.asset for each in seen))
        if row is None:
            row = Incident(name, opened_at=self._now)
            self._entries.append(Entry(name, self._now, "alarm", "incident_opened"))
        elif row.status == MERGED:  # it is one by itself again
            row = replace(row, status="open", merged_into=None)
        if found.settled and not row.settled and row.status != "closed":
            self._entries.append(Entry(name, self._now, "alarm", "incident_settled"))
        flood = _in_flood(found.first_at, found.last_at, times) if self._regrouped else row.flood
        return replace(
            row, first_at=found.first_at, last_at=found.last_at, first_out=found.first_out,
            asset=found.asset, priority=found.priority, alarms=found.alarms,
            standing=found.standing, unacked=found.unacked, returned_at=found.returned_at,
            settled=found.settled, flood=flood,
        )  # fmt: skip

    async def _mark(self, names: set[str], alarms: set[str]) -> None:
        if not names:
            return
        _, within, hold = self._rules.chattering
        back = min(self._now, self._now - within - hold)
        raises = await self._store.raises(self._tx, alarms, back)
        for each in await self._store.those(self._tx, names):
            found = marks(each.seen, raises.get(each.seen.alarm, []), self._now, self._rules)
            if not each.seen.open:
                found = []
            self._set(each, replace(self._of(each), marks=tuple(found)))

    async def _hide(self, alarms: set[str] | None) -> None:
        """Look at what is behind what, if any of these alarms may change it (None: whatever)."""
        concerned: set[str] = set()
        for rule in self._rules.hiding:
            concerned |= rule.above | rule.below
        if alarms is not None and concerned.isdisjoint(alarms):
            return
        found = await self._store.standing(self._tx, concerned)
        behind = hidden_behind([m.seen for m in found if m.seen.open], self._rules)
        for each in found:
            now = behind.get(each.seen.occurrence)
            before = self._of(each)
            after = replace(
                before,
                hidden_behind=now.alarm if now else "", hidden_rule=now.rule if now else "",
            )  # fmt: skip
            self._set(each, after)
            if after.hidden_behind != before.hidden_behind and each.seen.active:
                kind = "alarm_hidden" if now else "alarm_came_back"
                params = {
                    "alarm": each.seen.alarm,
                    "behind": after.hidden_behind or before.hidden_behind,
                    "rule": after.hidden_rule or before.hidden_rule,
                }
                entry = Entry(each.incident, self._now, "alarm", kind, params)
                self._entries.append(entry)

    def _of(self, member: Member) -> Shown:
        return self._shown.get(member.seen.occurrence, member.shown)

    def _set(self, member: Member, shown: Shown) -> None:
        self._members.setdefault(member.seen.occurrence, member)
        self._shown[member.seen.occurrence] = shown


def _better(held: Told | None, new: Told | None) -> Told | None:
    """What the earliest transition said of its clock: the nearest to the raise."""
    if held is None or new is None:
        return held or new
    return min(held, new, key=lambda told: told.version)


def _in_flood(first: int, last: int, times: list[int]) -> bool:
    around = [at for at in times if first - FLOOD_BACK_MS <= at <= last]
    return any(flood.end >= first for flood in floods(around))
