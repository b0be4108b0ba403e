"""What a driver is, and what it is given: points to read, a sink to feed.

Implemented by `opcua`, `modbus` and `mqtt`; used by `edge_node.driver_child` only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from edge_node.application.ipc import Configure, Write, WriteResult
from shared.errors import ConfigError

GOOD, UNCERTAIN, BAD = 0, 1, 2
Kind = Literal["number", "boolean", "string"]


@dataclass(frozen=True, slots=True)
class Point:
    """One tag as the driver sees it; `index` is its place in the engine's list."""

    index: int
    id: str
    address: str
    kind: Kind
    scale: float
    bias: float


@dataclass(frozen=True, slots=True)
class Source:
    """One connection and its points."""

    id: str
    driver: str
    url: str
    interval_ms: int
    unit_id: int
    points: tuple[Point, ...]
    settings: dict[str, Any]

    @classmethod
    def of(cls, message: Configure) -> Source:
        """Read the engine's first frame; `settings.url` outranks the site's file."""
        given = message.source
        points = tuple(
            Point(
                index, str(tag["id"]), str(tag["address"]), tag.get("type", "number"),
                float(tag.get("scale", 1.0)), float(tag.get("bias", 0.0)),
            )
            for index, tag in enumerate(message.tags)
        )  # fmt: skip
        return cls(
            id=str(given["id"]), driver=str(given["driver"]),
            url=str(message.settings.get("url") or given["url"]),
            interval_ms=max(10, int(given.get("interval", 500))),
            unit_id=int(given.get("unit_id", 1)), points=points, settings=message.settings,
        )  # fmt: skip

    def password(self) -> str:
        """The password named by `settings.password_file`, empty when there is none."""
        named = self.settings.get("password_file")
        if not named:
            return ""
        try:
            return Path(named).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                f"source {self.id}: cannot read the password file {named}: {error.strerror}",
                mend="create the file, or correct device_credentials in the edge's settings",
            ) from error


class Sink(Protocol):
    """Where a driver puts what it has read."""

    def sample(self, index: int, time_ms: int, value: float, quality: int) -> None:
        """A number or a boolean (0.0, 1.0)."""
        ...

    def text(self, index: int, time_ms: int, value: str, quality: int) -> None:
        """A string."""
        ...

    def state(self, state: str, detail: str = "") -> None:
        """connecting, connected or failed; repeated states are sent once."""
        ...


class Driver(Protocol):
    """One protocol. After `close` the same driver may `connect` again."""

    async def connect(self) -> None:
        """Reach the device; bounded; raises with a message that names it and the mend."""
        ...

    async def run(self) -> None:
        """Feed the sink until the connection is lost for good, then raise."""
        ...

    async def write(self, order: Write) -> WriteResult:
        """Write once; `unknown` whenever the request may have reached the device."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...


def emit(sink: Sink, point: Point, time_ms: int, raw: Any, quality: int) -> None:
    """Hand one raw reading over: scaled, typed, and bad when it is not of the tag's type."""
    if point.kind == "string":
        known = isinstance(raw, str) and quality != BAD
        sink.text(point.index, time_ms, raw if known else "", quality if known else BAD)
        return
    if quality == BAD or not isinstance(raw, bool | int | float):
        sink.sample(point.index, time_ms, math.nan, BAD)
    elif point.kind == "boolean":
        sink.sample(point.index, time_ms, 1.0 if raw else 0.0, quality)
    else:
        value = raw * point.scale + point.bias
        bad = not math.isfinite(value)
        sink.sample(point.index, time_ms, math.nan if bad else value, BAD if bad else quality)
