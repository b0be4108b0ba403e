"""One source's facts as entries of the time line, each with the stamp that orders it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from factory_brain.application.units.ports import Passage, Relation
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.trace.order import Stamp
from shared.web.dto import TimelineEntry
from shared.web.dto_trace import TraceEntry

_OF_ALARM = (
    "value", "limit", "unit", "quality", "side", "priority", "tag", "version", "first_out",
    "suppressed_by", "fact",
)  # fmt: skip
"""What a transition says beside its alarm; the rest is in the alarm's own page."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry before it has its place."""

    entry: TraceEntry
    offset: int = 0
    """To be added to its clock's time to get the brain's."""

    @property
    def stamp(self) -> Stamp:
        """What orders it."""
        return Stamp(self.entry.at + self.offset, self.entry.clock, self.entry.uncertainty_ms)


def of_story(found: Occurrence, story: Iterable[TimelineEntry]) -> list[Draft]:
    """The history of an occurrence: each entry by the clock of the tier that says it."""
    return [_of_entry(found, each) for each in story]


def _of_entry(found: Occurrence, each: TimelineEntry) -> Draft:
    by_edge = each.tier == "edge"
    unsure, offset = each.params.get("clock_uncertainty_ms"), each.params.get("clock_offset_ms")
    if by_edge and unsure is None:  # what the edge said of its clock when it raised this
        unsure = found.transition.clock_uncertainty_ms
    if by_edge and offset is None:
        offset = found.transition.clock_offset_ms
    entry = TraceEntry(
        at=each.at, received_at=each.received_at, lane=each.lane, kind=each.kind,
        params=_params(each), actor=each.actor, tier=each.tier, late=each.late,
        alarm=found.alarm, occurrence=found.occurrence,
        clock=found.edge if by_edge else each.tier or "factory",
        uncertainty_ms=(None if unsure is None else round(unsure)) if by_edge else 0,
    )  # fmt: skip
    return Draft(entry, round(offset or 0) if by_edge else 0)


def _params(each: TimelineEntry) -> dict[str, Any]:
    if each.lane == "alarm":
        return {key: each.params[key] for key in _OF_ALARM if each.params.get(key)}
    noise = ("clock_offset_ms", "clock_uncertainty_ms", "alarm", "occurrence")
    return {key: value for key, value in each.params.items() if key not in noise}


def of_passage(passage: Passage, clock: str) -> list[Draft]:
    """Coming in, and going out if it has."""
    said = {"batch": passage.batch} if passage.batch else {}

    def at(time: int, kind: str) -> Draft:
        return Draft(TraceEntry(
            at=time, received_at=passage.reported_at, lane="unit", kind=kind,
            params=said | dict(passage.attributes),
            station=passage.station, unit=passage.unit, actor=passage.source or None,
            tier="edge" if passage.source == "tag" else "factory", clock=clock,
        ))  # fmt: skip

    entered = at(passage.entered_at, "entered")
    return [entered] if passage.left_at is None else [entered, at(passage.left_at, "left")]


def of_relation(known: Relation) -> Draft:
    """A step of the genealogy."""
    return Draft(TraceEntry(
        at=known.at, lane="unit", kind=known.kind, unit=known.child,
        params={"parent": known.parent, "child": known.child}, station=known.station or None,
        actor=known.source or None, tier="factory", clock=known.source,
    ))  # fmt: skip
