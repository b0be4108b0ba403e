"""Commands to Sparkplug nodes: what may be sent, how it stands on the wire, what comes of it.

Used by `sparkplug_client`; pure. Refuses what the birth does not allow before anything is sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from edge_node.adapters.sources.mqtt_options import Letter
from edge_node.adapters.sources.sparkplug import NAMESPACE, Place, parse_address
from edge_node.adapters.sources.sparkplug_births import Definition, Reading
from edge_node.adapters.sources.sparkplug_codec import Metric, Payload, encode
from edge_node.adapters.sources.sparkplug_session import Host
from edge_node.adapters.sources.sparkplug_values import write
from edge_node.application.ipc import Write


@dataclass(slots=True)
class Waiting:
    """An order that was sent, until its metric reports the value."""

    place: Place
    wanted: Any
    answer: asyncio.Future[Any]
    shown: Any = None

    def see(self, key: tuple[str, str], row: Reading) -> None:
        """Look at what a node or device reports."""
        if (self.place.node, self.place.device) != key or self.place.metric != row.name:
            return
        self.shown = row.value
        if _same(self.wanted, row.value) and not self.answer.done():
            self.answer.set_result(row.value)


def checked(host: Host, order: Write) -> tuple[Place, Definition]:
    """The metric that an order means; ValueError says why it cannot be written now."""
    place = parse_address(order.address)
    node = host.nodes.get(place.node)
    known = node.known(place.device) if node is not None and node.born else None
    if known is None:
        who = f"{place.node}/{place.device}" if place.device else place.node
        raise ValueError(f"{who} is not there: no birth was heard, or it has died")
    metric = known.get(place.metric)
    if metric is None:
        raise ValueError(f"the birth names no metric {place.metric!r}")
    if metric.member:
        raise ValueError(f"{place.metric!r} is a member of a template, which cannot be written")
    write(metric.datatype, order.value)
    return place, metric


def command(group: str, place: Place, metric: Definition, value: Any, now: int) -> Letter:
    """NCMD or DCMD: QoS 0, not retained, without a sequence number; by alias where there is one."""
    by_alias = metric.alias is not None
    sent = Metric(
        name="" if by_alias else metric.name, alias=metric.alias, timestamp=now,
        datatype=metric.datatype, raw=write(metric.datatype, value),
    )  # fmt: skip
    kind = "DCMD" if place.device else "NCMD"
    parts = [NAMESPACE, group, kind, place.node, *([place.device] if place.device else [])]
    return Letter("/".join(parts), encode(Payload(now, None, [sent])), qos=0)


def _same(wanted: Any, shown: Any) -> bool:
    if isinstance(wanted, bool | int | float) and isinstance(shown, bool | int | float):
        return abs(float(wanted) - float(shown)) <= 1e-6 * max(1.0, abs(float(wanted)))
    return wanted == shown
