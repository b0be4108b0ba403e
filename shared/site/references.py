"""Checks what one file of a site says about another: every name must exist and fit.

Called by `loader` once all files are read; says where and how to mend, never stops at the first.
"""

from __future__ import annotations

from shared.alarm.definition import AlarmDefinition
from shared.site.inputs import check_inputs
from shared.site.reader import Reader
from shared.site.site import Site
from shared.site.tag_checks import check_tags


def check_references(site: Site, reader: Reader) -> None:
    """Add a fault for each reference that leads nowhere."""
    edges = {edge.id for edge in site.info.edges}
    for source in site.sources.values():
        reader.reference("edge", source.edge, edges, "sources", source.id)
    for tag in site.tags.values():
        reader.reference("source", tag.source, site.sources, "tags", tag.id)
    check_inputs(site, reader)
    check_tags(site, reader)
    for alarm in site.alarms.values():
        reader.reference("edge", alarm.edge, edges, "alarms", alarm.id)
        reader.reference("tag", alarm.tag, site.tags, "alarms", alarm.id)
        for other in alarm.suppressed_by:
            reader.reference("alarm", other, site.alarms, "alarms", alarm.id)
        _check_limit(alarm, reader)
    for chart in site.charts.values():
        reader.reference("edge", chart.edge, edges, "charts", chart.id)
    for name, device in site.bindings.devices.items():
        reader.reference("edge", device.edge, edges, "devices", name)
        reader.reference("source", device.source, site.sources, "devices", name)
        for tag in device.tags.values():
            reader.reference("tag", tag, site.tags, "devices", name)
    for reflex in site.reflexes.values():
        reader.reference("alarm", reflex.alarm, site.alarms, "reflexes", reflex.id)
        reader.reference("device", reflex.device, site.bindings.devices, "reflexes", reflex.id)
        device = site.bindings.devices.get(reflex.device)
        if device is not None:
            reader.reference(
                "operation", reflex.operation, device.operations, "reflexes", reflex.id
            )


def _check_limit(alarm: AlarmDefinition, reader: Reader) -> None:
    low, high = alarm.bounds.limit_min, alarm.bounds.limit_max
    where = reader.places.get(("alarms", alarm.id), "")
    if alarm.kind != "limit":
        return
    if (low is not None and alarm.setting.limit < low) or (
        high is not None and alarm.setting.limit > high
    ):
        reader.fault(
            f"{alarm.id}: limit {alarm.setting.limit:g} lies outside its own bounds",
            where,
            "widen `bounds` or correct `limit`",
        )
