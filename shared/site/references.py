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
        reader.reference("edge", source.edge, edges, "sources", source.id, "edge")
    for tag in site.tags.values():
        reader.reference("source", tag.source, site.sources, "tags", tag.id, "source")
    check_inputs(site, reader)
    check_tags(site, reader)
    for alarm in site.alarms.values():
        reader.reference("edge", alarm.edge, edges, "alarms", alarm.id, "edge")
        reader.reference("tag", alarm.tag, site.tags, "alarms", alarm.id, "tag")
        for index, other in enumerate(alarm.suppressed_by):
            path = ("suppressed_by", index)
            reader.reference("alarm", other, site.alarms, "alarms", alarm.id, *path)
        _check_limit(alarm, reader)
        _check_reach(alarm, site, reader)
    for chart in site.charts.values():
        reader.reference("edge", chart.edge, edges, "charts", chart.id, "edge")
    for name, device in site.bindings.devices.items():
        reader.reference("edge", device.edge, edges, "devices", name, "edge")
        reader.reference("source", device.source, site.sources, "devices", name, "source")
        for role, tag in device.tags.items():
            reader.reference("tag", tag, site.tags, "devices", name, "tags", role)
    for code, alarms in site.bindings.alarms.items():
        for index, alarm in enumerate(alarms):
            reader.reference("alarm", alarm, site.alarms, "alarms", code, index)
        if code in site.alarms:
            reader.fault(
                f"{code}: 代码与告警同名 / a code has the name of an alarm",
                reader.place("alarms", code), "give the code another name",
            )  # fmt: skip
    for reflex in site.reflexes.values():
        reader.reference("alarm", reflex.alarm, site.alarms, "reflexes", reflex.id, "alarm")
        devices = site.bindings.devices
        reader.reference("device", reflex.device, devices, "reflexes", reflex.id, "device")
        device = site.bindings.devices.get(reflex.device)
        if device is not None:
            reader.reference(
                "operation", reflex.operation, device.operations, "reflexes", reflex.id,
                "operation",
            )  # fmt: skip


def _check_limit(alarm: AlarmDefinition, reader: Reader) -> None:
    low, high = alarm.bounds.limit_min, alarm.bounds.limit_max
    where = reader.place("alarms", alarm.id, "limit")
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


def _check_reach(alarm: AlarmDefinition, site: Site, reader: Reader) -> None:
    """A limit beyond what the tag can ever show never raises, or always: beyond it is bad."""
    tag = site.tags.get(alarm.tag)
    if alarm.kind != "limit" or tag is None or not reader.knows("alarms", alarm.id):
        return
    limit = alarm.setting.limit
    if (tag.min is not None and limit < tag.min) or (tag.max is not None and limit > tag.max):
        least = "-∞" if tag.min is None else f"{tag.min:g}"
        most = "∞" if tag.max is None else f"{tag.max:g}"
        reader.fault(
            f"{alarm.id}: 限值超出位号量程 / limit {limit:g} lies outside {least} to {most}, the "
            f"range of {tag.id}",
            reader.place("alarms", alarm.id, "limit"),
            "correct `limit`, or the tag's `min` and `max`",
        )
