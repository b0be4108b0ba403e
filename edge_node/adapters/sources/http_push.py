"""The driver `http_push`: a small listener that devices and systems post their values to.

Loaded by the registry for every check of a site; `http_listener` does the work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from edge_node.adapters.sources.json_values import TimeUnit
from edge_node.adapters.sources.port import Driver, DriverInfo, Options, Sink, Source
from shared.clock import Clock

_ADDRESS = re.compile(r"(?:(/[^\s#]*)#)?([^\s#]+)")


class HttpPushOptions(Options):
    """`options:` of an HTTP push source."""

    auth: Literal["signed", "bearer", "none"] = "signed"
    """`signed`: webhook-id, -timestamp and -signature (HMAC-SHA256) with the secret of the edge's
    settings (`password_file`); `none` only where the listener is on this machine alone."""
    max_body: int = Field(default=1 << 18, ge=64, le=16 << 20)
    max_connections: int = Field(default=64, ge=1, le=1024)
    time_unit: TimeUnit = "auto"


@dataclass(frozen=True, slots=True)
class Place:
    """A value in what is posted: to which path, under which name in `values`."""

    path: str
    name: str


def parse_address(text: str) -> Place:
    """Read `temp` or `/line1#temp`; ValueError with the rule."""
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is not an address: write the name in `values`, for example temp, or with "
            "the path that is posted to /line1#temp"
        )
    return Place(match[1] or "/", match[2])


def check_address(address: str, tag_type: str) -> str:
    """What is wrong with a tag's address, with the mend; "" when nothing is."""
    del tag_type
    try:
        parse_address(address)
    except ValueError as error:
        return str(error)
    return ""


def check_write(address: str) -> str:
    """A listener cannot be written to."""
    return f"{address!r}: a source of driver http_push only listens; write through one of http"


def _build(source: Source, sink: Sink, clock: Clock) -> Driver:
    from edge_node.adapters.sources.http_listener import HttpPushDriver

    return HttpPushDriver(source, sink, clock)


DRIVER = DriverInfo(
    name="http_push",
    options=HttpPushOptions,
    build=_build,
    check_address=check_address,
    schemes=("listen",),
    check_write=check_write,
    extra="web",
)
