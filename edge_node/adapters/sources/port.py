"""What a driver is, and what it is given: points to read, a sink to feed.

Implemented by each module of the entry-point group `andon.drivers`; used by the driver child and
`andon tags`. Imports no protocol library, so that a site's check may load every `DriverInfo`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from edge_node.application.ipc import Configure, Inputs, Write, WriteResult
from shared.clock import Clock
from shared.errors import ConfigError

GOOD, UNCERTAIN, BAD = 0, 1, 2
Kind = Literal["number", "boolean", "string"]


Access = Literal["read", "write", "subscribe"]


class Options(BaseModel):
    """The `options:` of a source; each driver has its own. Strict, so that a typing slip shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Point:
    """One tag as the driver sees it; `index` is its place in the engine's list."""

    index: int
    id: str
    address: str
    kind: Kind
    scale: float = 1.0
    bias: float = 0.0
    interval_ms: int = 500
    """Of its group, else of its source."""
    group: str = ""
    unit_id: int = 1
    """Device behind a gateway: the tag's own, else the source's."""
    access: tuple[Access, ...] = ("read", "write")
    precision: int | None = None
    deadband: float = 0.0
    minimum: float = -math.inf
    maximum: float = math.inf
    clamp: bool = False
    """What lies outside is clamped and uncertain instead of bad."""
    stale_ms: int = 10_000

    @property
    def on_change(self) -> bool:
        """Whether only changes are handed over (`access` has subscribe and not read)."""
        return "subscribe" in self.access and "read" not in self.access


@dataclass(frozen=True, slots=True)
class InputPoint:
    """A tag of another source that a computed source takes."""

    id: str
    kind: Kind
    stale_ms: int


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
    """Of the edge: URL, `user`, `password_file`, `state_dir`; never in the site's files."""
    options: Any = field(default_factory=Options)
    """The driver's own options, an instance of its `DriverInfo.options`."""
    groups: dict[str, int] = field(default_factory=dict)
    """Group -> its interval in ms."""
    inputs: tuple[InputPoint, ...] = ()
    """Tags whose samples a computed source takes, in the order of `Inputs`."""

    @classmethod
    def of(cls, message: Configure, options: BaseModel | None = None) -> Source:
        """Read the engine's first frame; `settings.url` outranks the site's file."""
        given = message.source
        interval = max(10, int(given.get("interval", 500)))
        unit_id = int(given.get("unit_id", 1))
        groups = {str(g["id"]): max(10, int(g["interval"])) for g in given.get("groups", ())}
        points = tuple(
            _point(index, tag, groups, interval, unit_id) for index, tag in enumerate(message.tags)
        )
        return cls(
            id=str(given["id"]), driver=str(given["driver"]),
            url=str(message.settings.get("url") or given.get("url", "")),
            interval_ms=interval, unit_id=unit_id, points=points, settings=message.settings,
            options=options or Options(), groups=groups,
            inputs=tuple(
                InputPoint(str(tag["id"]), tag.get("type", "number"), int(tag["stale_after"]))
                for tag in message.inputs
            ),
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


def _point(
    index: int, tag: Mapping[str, Any], groups: Mapping[str, int], interval: int, unit_id: int
) -> Point:
    low, high, precision = tag.get("min"), tag.get("max"), tag.get("precision")
    group = str(tag.get("group") or "")
    return Point(
        index=index, id=str(tag["id"]), address=str(tag["address"]),
        kind=tag.get("type", "number"), scale=float(tag.get("scale", 1.0)),
        bias=float(tag.get("bias", 0.0)), interval_ms=groups.get(group, interval), group=group,
        unit_id=int(tag.get("unit_id") or unit_id), access=tuple(tag.get("access") or _ACCESS),
        precision=None if precision is None else int(precision),
        deadband=float(tag.get("deadband", 0.0)),
        minimum=-math.inf if low is None else float(low),
        maximum=math.inf if high is None else float(high),
        clamp=tag.get("outside") == "clamp", stale_ms=int(tag.get("stale_after") or 10_000),
    )  # fmt: skip


_ACCESS: tuple[Access, ...] = ("read", "write")


class Sink(Protocol):
    """Where a driver puts what it has read."""

    def sample(self, index: int, time_ms: int, value: float, quality: int) -> None:
        """A number or a boolean (0.0, 1.0)."""
        ...

    def columns(self, tags: bytes, times: bytes, values: bytes, qualities: bytes) -> None:
        """Many numbers at once, as in `ipc.Samples`; checked by the driver."""
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


@dataclass(frozen=True, slots=True)
class Node:
    """One place in a device, as `browse` finds it."""

    address: str
    """What a tag's `address:` would be; empty for a folder."""
    name: str
    type: str = ""
    children: bool = False
    value: Any = None
    path: str = ""
    """What `browse` takes to look inside."""


@runtime_checkable
class Browsable(Protocol):
    """A driver whose device can be looked through."""

    async def browse(self, path: str) -> Sequence[Node]:
        """What lies below `path` ("" is the top); after `connect`."""
        ...


@runtime_checkable
class Computed(Protocol):
    """A driver that takes the samples of other tags; their index is the place in `inputs`."""

    def feed(self, inputs: Inputs) -> None:
        """Take a batch; never waits."""
        ...


@dataclass(frozen=True, slots=True)
class DriverInfo:
    """A driver as its module offers it under the entry-point group `andon.drivers`."""

    name: str
    options: type[BaseModel]
    """Strict model of the source's `options:`."""
    build: Callable[[Source, Sink, Clock], Driver]
    """Makes the driver; imports the protocol's library, not before."""
    check_address: Callable[[str, str], str]
    """(address, tag type) -> "" or what is wrong with it and the mend."""
    schemes: tuple[str, ...] = ()
    """Schemes of `url`; empty: the source has no URL."""
    computed: bool = False
    """Takes samples of `inputs` instead of asking a device."""
    verify: Callable[[Source], None] | None = None
    """Whether options, tags and files of a source fit together; raises ConfigError. Asked by the
    site's check; reads files of the site only, runs nothing of them."""
    check_write: Callable[[str], str] | None = None
    """The same for the address of an operation, where writes have a grammar of their own."""
    extra: str = "all"
    """Of the package `andon`: what brings the driver's library."""


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
        _number(sink, point, time_ms, raw * point.scale + point.bias, quality)


def _number(sink: Sink, point: Point, time_ms: int, value: float, quality: int) -> None:
    if not math.isfinite(value):
        sink.sample(point.index, time_ms, math.nan, BAD)
        return
    if point.precision is not None:
        value = round(value, point.precision)
    if not point.minimum <= value <= point.maximum:
        if not point.clamp:
            # The value is shown nowhere: a reading that cannot be is no reading.
            sink.sample(point.index, time_ms, math.nan, BAD)
            return
        value = min(max(value, point.minimum), point.maximum)
        quality = max(quality, UNCERTAIN)
    sink.sample(point.index, time_ms, value, quality)
