"""Which occurrences are one incident: by time, by place in the asset tree, by the site's rules.

Alarms are taken in the order of their raises, whatever the order of their arrival: each joins the
incident of the newest one that it belongs to, or begins one. So the same alarms always end in the
same incidents, and a late one changes only what was raised after it. Pure; run by the correlator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from factory_brain.domain.incidents.seen import Rules, Seen, incident_id

Key = tuple[str, ...]


@dataclass(slots=True)
class Group:
    """What is known of a group while alarms are put into it."""

    id: str
    at: int
    """When its first alarm was raised."""
    first: str
    """That alarm's occurrence."""
    closed_at: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The group of an occurrence, and the raise with which that began."""

    group: str
    at: int
    first: str

    @property
    def order(self) -> tuple[int, str]:
        """Where its group stands in the order of groups."""
        return self.at, self.first


class Grouping:
    """Takes occurrences in the order of their raises."""

    def __init__(self, rules: Rules, closed: Mapping[str, int] | None = None) -> None:
        self._rules, self._closed = rules, closed or {}
        self.groups: dict[str, Group] = {}
        self._newest: dict[Key, tuple[int, Group]] = {}
        """Where, or by which rule, the newest alarm was, and in which group."""

    def put(self, seen: Seen, place: Place) -> None:
        """An earlier one whose group is known."""
        found = self.groups.get(place.group)
        if found is None:
            closed = self._closed.get(place.first)
            found = Group(place.group, place.at, place.first, closed)
            self.groups[place.group] = found
        self._note(seen, found)

    def add(self, seen: Seen) -> Group:
        """The group of the next one."""
        found = self._joined(seen)
        if found is None:
            name = incident_id(seen.occurrence)
            found = self.groups[name] = Group(name, seen.at, seen.occurrence)
        self._note(seen, found)
        return found

    def _note(self, seen: Seen, group: Group) -> None:
        closed = self._closed.get(seen.occurrence)
        if closed is not None:
            group.closed_at = max(closed, group.closed_at or 0)
        entry = (seen.at, group)
        newest = self._newest
        path = self._rules.path(seen.asset)
        newest["at", seen.asset] = entry
        for node in path[1:]:
            newest["in", node] = entry
        for rule in self._rules.related:
            for side, names in (("first", rule.first), ("then", rule.then)):
                if seen.alarm in names:
                    newest[rule.id, side, self._rules.place(seen.asset, rule.equal)] = entry

    def _joined(self, seen: Seen) -> Group | None:
        """By a rule before by the asset, by the asset before by the neighbours; then the newest."""
        for keys in self._asked(seen):
            best: tuple[int, Group] | None = None
            for key, within in keys:
                entry = self._newest.get(key)
                if entry is None or seen.at - entry[0] > within or not self._takes(entry[1], seen):
                    continue
                if best is None or (entry[0], entry[1].id) > (best[0], best[1].id):
                    best = entry
            if best is not None:
                return best[1]
        return None

    def _takes(self, group: Group, seen: Seen) -> bool:
        if group.closed_at is not None and seen.at > group.closed_at:
            return False
        return seen.at - group.at <= self._rules.longest

    def _asked(self, seen: Seen) -> Iterable[list[tuple[Key, int]]]:
        rules, asset = self._rules, seen.asset
        by_rule: list[tuple[Key, int]] = []
        for rule in rules.related:
            where = rules.place(asset, rule.equal)
            for mine, other in ((rule.then, "first"), (rule.first, "then")):
                if seen.alarm in mine:
                    by_rule.append(((rule.id, other, where), rule.within))
        yield by_rule
        path = rules.path(asset)
        above = path[1:-1]
        yield [(("in", asset), rules.same_asset)] + [
            (("at", node), rules.same_asset) for node in above
        ]
        yield [(("in", node), rules.same_area) for node in above[-1:]]


def group(
    rules: Rules,
    seen: Iterable[Seen],
    before: Iterable[tuple[Seen, Place]] = (),
    closed: Mapping[str, int] | None = None,
) -> dict[str, Place]:
    """Occurrence -> its place, for `seen`; `before` are those raised earlier, as they were placed.

    `closed`: occurrence -> when people closed the incident that it is in; said of the first of it.
    """
    run = Grouping(rules, closed)
    for each, place in sorted(before, key=lambda pair: pair[0].order):
        run.put(each, place)
    places: dict[str, Place] = {}
    for each in sorted(seen, key=lambda one: one.order):
        found = run.add(each)
        places[each.occurrence] = Place(found.id, found.at, found.first)
    return places


def united(places: Mapping[str, Place], joins: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Group -> the incident that it is part of: the earliest of those that people made one.

    `joins` are pairs of occurrences, `places` says in which group each of them is.
    """
    above: dict[str, str] = {}
    known: dict[str, Place] = {}

    def top(name: str) -> str:
        while name in above:
            name = above[name]
        return name

    for one, other in joins:
        if one in places and other in places:
            known |= {places[one].group: places[one], places[other].group: places[other]}
            left, right = top(places[one].group), top(places[other].group)
            if left != right:
                early, late = sorted((left, right), key=lambda name: known[name].order)
                above[late] = early
    return {name: top(name) for name in known}
