"""Compiles every expression of a site, so that a wrong one is found before anything uses it.

Called by `loader` after the references hold. The column is counted inside the expression.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.expression import ExpressionError, compile_expression
from shared.site.reader import Reader
from shared.site.site import Site

Place = tuple[str, str, tuple[str | int, ...]]
"""Section, item and path of an expression."""


def check_expressions(site: Site, reader: Reader) -> None:
    """Add a fault for each expression that cannot be compiled against the tags of its edge."""
    tags: dict[str, list[str]] = {}
    for tag in site.tags.values():
        source = site.sources.get(tag.source)
        if source is not None:
            tags.setdefault(source.edge, []).append(tag.id)
    known = {edge: list(names) for edge, names in tags.items()}
    alarms: dict[str, list[str]] = {}
    for alarm in site.alarms.values():
        alarms.setdefault(alarm.edge, []).append(alarm.id)
    seen: dict[tuple[str, str, bool], ExpressionError | None] = {}
    for edge, text, (section, item, path) in _all(site):
        speaks = path == ("when",) and section == "alarms"  # only these may speak of alarms
        key = (edge, text, speaks)
        if key not in seen:
            seen[key] = _fault(text, known.get(edge, []), alarms.get(edge) if speaks else None)
        fault = seen[key]
        if fault is not None:
            reader.fault(
                f"{item}: `{path[0]}`, column {fault.column} of the expression: {fault.text['en']}",
                reader.place(section, item, *path),
                "correct the expression; its tags must be on the same edge",
            )


def _fault(
    text: str, tags: Iterable[str], alarms: list[str] | None = None
) -> ExpressionError | None:
    try:
        compile_expression(text, tags=list(tags), alarms=alarms)
    except ExpressionError as error:
        return error
    return None


def _all(site: Site) -> Iterator[tuple[str, str, Place]]:
    """(edge, expression, place) of every expression that the site writes."""
    for alarm in site.alarms.values():
        if alarm.when:
            yield alarm.edge, alarm.when, ("alarms", alarm.id, ("when",))
        if alarm.suppressed_when:
            yield alarm.edge, alarm.suppressed_when, ("alarms", alarm.id, ("suppressed_when",))
    for chart in site.charts.values():
        for index, step in enumerate(chart.transitions):
            yield chart.edge, step.when, ("charts", chart.id, ("transitions", index, "when"))
    for reflex in site.reflexes.values():
        alarm = site.alarms.get(reflex.alarm)
        if alarm is None:
            continue
        for index, text in enumerate(reflex.require):
            yield alarm.edge, text, ("reflexes", reflex.id, ("require", index))
        if reflex.verify:
            yield alarm.edge, reflex.verify, ("reflexes", reflex.id, ("verify",))
    for name, device in site.bindings.devices.items():
        for index, text in enumerate(device.interlocks):
            yield device.edge, text, ("devices", name, ("interlocks", index))
