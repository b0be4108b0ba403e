"""Checks the filters of limit alarms against their tags: often enough sampled, bounded, not blind.

Called by `loader` once all files are read; says where and how to mend, never stops at the first.
"""

from __future__ import annotations

from collections import Counter

from shared.alarm.definition import AlarmDefinition
from shared.alarm.filters import DAY_BUCKET_MS, Filter
from shared.alarm.point import is_high
from shared.site.reader import Reader
from shared.site.site import Site

SLOWEST_MS: dict[Filter, int] = {"mean5min": 60_000, "day": DAY_BUCKET_MS}
"""A tag that is read more seldom never fills the window."""
MOST_FILTERED = 500
"""Alarms of one edge with a filter, running or allowed: some 30 kB each, and 25 microseconds a
sample of a tag with four limits."""


def check_filters(site: Site, reader: Reader) -> None:
    """Add a fault for each filter that cannot work on this site, or that could hide an alarm."""
    many: Counter[str] = Counter()
    for alarm in site.alarms.values():
        if not alarm.filters:
            continue
        many[alarm.edge] += 1
        where = reader.place("alarms", alarm.id)
        tag = site.tags.get(alarm.tag)
        # As the edge's `Point.on_change`: such a tag is handed over when it changes. A value that
        # flaps would weigh in a mean by how often it flaps, not by how long it holds.
        if tag is not None and "subscribe" in tag.access and "read" not in tag.access:
            reader.fault(
                f"{alarm.id}: {alarm.tag} brings its changes only, and a filter needs samples",
                where,
                "let its `access` hold `read`, or leave the filter out",
            )
        for kind in alarm.filters:
            every = _interval(site, alarm)
            if every is not None and every > SLOWEST_MS[kind]:
                reader.fault(
                    f"{alarm.id}: {alarm.tag} is read every {every / 1000:g} s, too seldom for "
                    f"the filter {kind}",
                    where,
                    f"read it every {SLOWEST_MS[kind] / 1000:g} s or oftener, or leave it out",
                )
        if "day" in alarm.filters and not _guarded(site, alarm):
            reader.fault(
                f"{alarm.id}: under `day` a value that stays wrong for a day is the new normal",
                where,
                "add a limit alarm of the same tag and side that stays on raw samples or mean5min",
            )
        if many[alarm.edge] == MOST_FILTERED + 1:
            reader.fault(
                f"{alarm.id}: more than {MOST_FILTERED} alarms of edge {alarm.edge} have a filter",
                where,
                "allow filters where alarms are a nuisance, not everywhere",
            )


def _interval(site: Site, alarm: AlarmDefinition) -> int | None:
    tag = site.tags.get(alarm.tag)
    source = site.sources.get(tag.source) if tag is not None else None
    if tag is None or source is None:
        return None
    own = [group.interval for group in source.groups if group.id == tag.group]
    return own[0] if own else source.interval


def _guarded(site: Site, alarm: AlarmDefinition) -> bool:
    """Whether another limit of the same tag and side cannot come to look at deviations only."""
    if alarm.side is None:
        return False
    return any(
        other.id != alarm.id
        and (other.tag, other.kind) == (alarm.tag, "limit")
        and other.side is not None
        and is_high(other.side) == is_high(alarm.side)
        and "day" not in other.filters
        for other in site.alarms.values()
    )
