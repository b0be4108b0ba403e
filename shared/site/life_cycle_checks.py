"""Checks what a site says about suppression, first-out and priority: names, edges, no circles.

Called by `loader` beside the references; says where and how to mend.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from shared.alarm.definition import AlarmDefinition
from shared.site.reader import Reader
from shared.site.site import Site


def check_life_cycle(site: Site, reader: Reader) -> None:
    """Add a fault for each life-cycle setting that could not do what it says."""
    for alarm in site.alarms.values():
        _check_consequence(site, alarm, reader)
        _check_states(site, alarm, reader)
        _check_edges(site, alarm, reader)
    _check_groups(site, reader)
    _check_circles(site, reader)


def _check_consequence(site: Site, alarm: AlarmDefinition, reader: Reader) -> None:
    known = site.info.priority_matrix.rows
    if alarm.consequence and alarm.consequence not in known:
        reader.fault(
            f"{alarm.id}: unknown consequence {alarm.consequence!r}",
            reader.place("alarms", alarm.id, "consequence"),
            _mend(alarm.consequence, known, "name one of the rows of `priority_matrix`"),
        )


def _check_states(site: Site, alarm: AlarmDefinition, reader: Reader) -> None:
    for gate in alarm.suppressed_in:
        name, _, state = gate.rpartition(":")
        where = reader.place("alarms", alarm.id, "suppressed_in")
        chart = site.charts.get(name)
        if chart is None:
            mend = _mend(name, site.charts, "define it in states/*.yaml")
            reader.fault(f"{alarm.id}: unknown chart {name!r}", where, mend)
            continue
        states = [one.id for one in chart.states]
        if state not in states:
            mend = _mend(state, states, f"write one of {states}")
            reader.fault(f"{alarm.id}: chart {name!r} has no state {state!r}", where, mend)
        if chart.edge != alarm.edge:
            reader.fault(
                f"{alarm.id}: chart {name!r} runs on edge {chart.edge!r}, not on {alarm.edge!r}",
                where,
                "an alarm is suppressed only by what its own edge sees",
            )


def _check_edges(site: Site, alarm: AlarmDefinition, reader: Reader) -> None:
    for name in alarm.suppressed_by:
        other = site.alarms.get(name)
        if other is not None and other.edge != alarm.edge:
            reader.fault(
                f"{alarm.id}: {name!r}, which is to suppress it, runs on edge {other.edge!r}",
                reader.place("alarms", alarm.id, "suppressed_by"),
                "an alarm is suppressed only by what its own edge sees",
            )


def _check_groups(site: Site, reader: Reader) -> None:
    for group in site.suppression_groups.values():
        for name in (*group.when, *group.suppresses):
            reader.reference("alarm", name, site.alarms, "suppression_groups", group.id)
    taken: dict[str, str] = {}
    for first_out in site.first_out_groups.values():
        section, item = "first_out_groups", first_out.id
        for name in first_out.alarms:
            reader.reference("alarm", name, site.alarms, section, item)
            if taken.setdefault(name, item) != item:
                reader.fault(
                    f"{item}: alarm {name!r} is in first-out group {taken[name]!r} already",
                    reader.place(section, item, "alarms"),
                    "an alarm belongs to one first-out group",
                )
        edges = {site.alarms[name].edge for name in first_out.alarms if name in site.alarms}
        if len(edges) > 1:
            reader.fault(
                f"{item}: its alarms run on different edges {sorted(edges)}",
                reader.place(section, item, "alarms"),
                "which came first is decided by one edge",
            )


def _check_circles(site: Site, reader: Reader) -> None:
    """Alarms that suppress each other would all be hidden as soon as both stand."""
    done: set[str] = set()
    for start in site.alarms:
        circle = _circle(site, start, done)
        if circle and not done.issuperset(circle):
            done.update(circle)
            reader.fault(
                f"{circle[0]}: these suppress each other: {' <- '.join(circle)}",
                reader.place("alarms", circle[0], "suppressed_by"),
                "let the more urgent one suppress the other, and not the reverse",
            )


def _circle(site: Site, start: str, done: set[str]) -> list[str]:
    path: list[str] = []

    def visit(name: str) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done or name not in site.alarms:
            return []
        path.append(name)
        for above in site.alarms[name].suppressed_by:
            if found := visit(above):
                return found
        path.pop()
        done.add(name)
        return []

    return visit(start)


def _mend(name: str, known: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise
