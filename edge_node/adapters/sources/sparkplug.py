"""The driver `sparkplug`: a host application of Sparkplug B; its options and addresses.

Loaded by the registry for every check of a site, so it imports no MQTT library; `sparkplug_client`
does the work, `sparkplug_session` the thinking.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import Field

from edge_node.adapters.sources.mqtt_options import LinkOptions, endpoint
from edge_node.adapters.sources.port import Driver, DriverInfo, Sink, Source
from shared.clock import Clock
from shared.site.fields import Duration

NAMESPACE = "spBv1.0"
_ID = r"[^/+#\x00]+"
_ADDRESS = re.compile(r"([^/+#:\x00]+)(?:/([^/+#:\x00]+))?:(.+)", re.DOTALL)


class SparkplugOptions(LinkOptions):
    """`options:` of a Sparkplug source."""

    group: str = Field(pattern=f"^{_ID}$")
    host_id: str = Field(default="", pattern=f"^({_ID})?$")
    """Under which STATE is told; empty: `andon-` and the source's id."""
    reorder_timeout: Duration = Field(default=2_000, ge=0, le=60_000)
    """How long a message that came too early waits for the one before it."""
    rebirth_interval: Duration = Field(default=10_000, ge=1_000, le=600_000)
    """A node is not asked for a rebirth more often than this."""


@dataclass(frozen=True, slots=True)
class Place:
    """A metric of a node (device "") or of one of its devices."""

    node: str
    device: str
    metric: str


def parse_address(text: str) -> Place:
    """Read `node/device:metric` or `node:metric`; ValueError with the rule."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a Sparkplug address: write NODE/DEVICE:METRIC or NODE:METRIC, for "
            "example line1/press:Hydraulics/Pressure; the group stands in options.group"
        )
    return Place(match[1], match[2] or "", match[3])


def check_address(address: str, tag_type: str = "") -> str:
    """What is wrong with an address, with the mend; "" when nothing is."""
    del tag_type
    try:
        parse_address(address)
    except ValueError as error:
        return str(error)
    return ""


def host_id(source: Source) -> str:
    """The name of this host application."""
    options: SparkplugOptions = source.options
    return options.host_id or f"andon-{source.id}"


def _verify(source: Source) -> None:
    endpoint(source)


def _build(source: Source, sink: Sink, clock: Clock) -> Driver:
    from edge_node.adapters.sources.sparkplug_client import SparkplugDriver

    return SparkplugDriver(source, sink, clock)


DRIVER = DriverInfo(
    name="sparkplug",
    options=SparkplugOptions,
    build=_build,
    check_address=check_address,
    schemes=("mqtt", "mqtts"),
    verify=_verify,
    check_write=check_address,
    extra="edge",
)
