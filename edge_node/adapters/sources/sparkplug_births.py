"""What births define, and what data messages say in their terms; templates laid flat.

Used by `sparkplug_session`; pure. A member of a template is the metric `TEMPLATE/MEMBER`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edge_node.adapters.sources.port import BAD, GOOD, UNCERTAIN
from edge_node.adapters.sources.sparkplug_codec import Metric, Payload
from edge_node.adapters.sources.sparkplug_values import TEMPLATE, read

MAX_LEAD_MS = 60_000
GOOD_CODE, BAD_CODE, STALE_CODE = 192, 0, 500


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric as its birth defines it."""

    name: str
    datatype: int
    alias: int | None = None
    member: bool = False
    """Of a template: it cannot be written by itself."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one metric."""

    name: str
    value: bool | int | float | str | None
    at: int
    quality: int
    historical: bool


def define(payload: Payload) -> dict[str, Definition]:
    """The metrics of a birth."""
    return {found.name: found for metric in payload.metrics for found in _define(metric, "", False)}


def _define(metric: Metric, above: str, member: bool) -> Iterator[Definition]:
    if metric.definition or not metric.name:
        return
    name = above + metric.name
    yield Definition(name, metric.datatype, metric.alias, member)
    for inner in metric.members:
        yield from _define(inner, f"{name}/", True)


def readings(
    payload: Payload, known: Mapping[str, Definition], aliases: Mapping[int, str], now: int
) -> tuple[list[Reading], str]:
    """The values of a payload, and the first metric that no birth has named ("" when none is)."""
    rows: list[Reading] = []
    strange = ""
    sent = payload.timestamp if payload.timestamp is not None else now
    for metric in payload.metrics:
        if metric.definition:
            continue
        name = metric.name or aliases.get(metric.alias if metric.alias is not None else -1, "")
        if name not in known:
            strange = strange or name or f"alias {metric.alias}"
            continue
        rows += _readings(metric, name, known, sent, now)
    return rows, strange


def _readings(
    metric: Metric, name: str, known: Mapping[str, Definition], sent: int, now: int
) -> Iterator[Reading]:
    at = metric.timestamp if metric.timestamp is not None else sent
    at = at if at <= now + MAX_LEAD_MS else now
    definition = known.get(name)
    datatype = metric.datatype or (definition.datatype if definition is not None else 0)
    if datatype != TEMPLATE:
        value = None if metric.null else read(datatype, metric.raw)
        quality = BAD if value is None else _quality(metric.quality)
        yield Reading(name, value, at, quality, metric.historical)
    for member in metric.members:
        yield from _readings(member, f"{name}/{member.name}", known, at, now)


def _quality(code: int | None) -> int:
    if code is None or code == GOOD_CODE:
        return GOOD
    return BAD if code in (BAD_CODE, STALE_CODE) else UNCERTAIN
