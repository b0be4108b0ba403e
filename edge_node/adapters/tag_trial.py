"""Drivers run for a moment by hand: what each tag says, or what is wrong with it and the mend.

Used by `andon tags`; the same drivers as the edge's children, in this process, with no engine and
no alarm. Writes only what it is told to write.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_node.adapters.sources import registry
from edge_node.adapters.sources.port import Browsable, Node
from edge_node.application.ipc import Configure, Write, WriteResult
from shared.clock import Clock
from shared.errors import AndonError, ConfigError
from shared.site.model import SourceSpec, TagSpec

CONNECT_S = 12.0
CLOSE_S = 3.0
WRITE_MS = 4_000
QUALITIES = ("good", "uncertain", "bad")


@dataclass(frozen=True, slots=True)
class TagReport:
    """One tag after the trial."""

    tag: str
    source: str
    address: str
    value: float | bool | str | None
    unit: str
    quality: str
    source_time: int | None
    """UTC ms."""
    age_s: float | None
    rate: float
    """Readings a second."""
    wrong: str
    mend: str

    @property
    def holds(self) -> bool:
        """Whether the tag is good and fresh."""
        return not self.wrong


@dataclass(slots=True)
class _Seen:
    count: int = 0
    value: float | str = math.nan
    quality: int = 2
    time_ms: int = 0


@dataclass(slots=True)
class Watch:
    """A sink that keeps the newest reading of each tag."""

    seen: dict[int, _Seen] = field(default_factory=dict)
    last_state: str = ""
    detail: str = ""

    def sample(self, index: int, time_ms: int, value: float, quality: int) -> None:
        """Note a number or a boolean."""
        self._note(index, time_ms, value, quality)

    def columns(self, tags: bytes, times: bytes, values: bytes, qualities: bytes) -> None:
        """Note many at once."""
        rows = zip(array("i", tags), array("q", times), array("d", values), qualities, strict=True)
        for row in rows:
            self.sample(*row)

    def text(self, index: int, time_ms: int, value: str, quality: int) -> None:
        """Note a string."""
        self._note(index, time_ms, value, quality)

    def _note(self, index: int, time_ms: int, value: float | str, quality: int) -> None:
        seen = self.seen.setdefault(index, _Seen())
        seen.count += 1
        seen.value, seen.quality, seen.time_ms = value, quality, time_ms

    def state(self, state: str, detail: str = "") -> None:
        """Note the connection's state."""
        self.last_state, self.detail = state, detail


class Trial:
    """One source and some of its tags."""

    def __init__(
        self, spec: SourceSpec, tags: Sequence[TagSpec], settings: Mapping[str, Any], clock: Clock
    ) -> None:
        self._spec, self._tags, self._clock = spec, list(tags), clock
        self.watch = Watch()
        configure = Configure(
            source=spec.model_dump(),
            tags=[tag.model_dump(exclude={"name"}) for tag in tags], settings=dict(settings),
        )  # fmt: skip
        info = registry.find(spec.driver)
        if info.computed:
            raise ConfigError(
                f"source {spec.id}: the driver {info.name} computes from other tags",
                mend="test the sources of its `inputs`, or look at the running edge's page",
            )
        self.source, self._driver = registry.build(configure, self.watch, clock)
        self.written: list[tuple[str, WriteResult]] = []

    def tag(self, tag_id: str) -> TagSpec | None:
        """One of its tags."""
        return next((tag for tag in self._tags if tag.id == tag_id), None)

    async def browse(self, path: str) -> Sequence[Node]:
        """What lies below a path of the device."""
        if not isinstance(self._driver, Browsable):
            raise ConfigError(
                f"source {self._spec.id}: the driver {self._spec.driver} cannot be looked through",
                mend="take the addresses from the device's manual; `andon tags test` tries them",
            )
        try:
            await self._connect()
            return await self._driver.browse(path)
        finally:
            await self._close()

    async def run(self, seconds: float, writes: Mapping[str, Any]) -> list[TagReport]:
        """Connect, write what is to be written, read for a while."""
        began = self._clock.mono_ms()
        try:
            await self._connect()
            await self._read(seconds, writes)
        except Exception as error:  # of any device's library: it is what the trial is to show
            what = str(error) if isinstance(error, AndonError) else repr(error)
            self.watch.state("failed", what)
        finally:
            await self._close()
        took = max(0.001, (self._clock.mono_ms() - began) / 1000)
        return [self._report(index, tag, took) for index, tag in enumerate(self._tags)]

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._driver.connect()
        except TimeoutError as error:
            raise ConfigError(
                f"source {self._spec.id}: {self.source.url} does not answer within {CONNECT_S:g} s",
                mend="check that the device is on and that this machine reaches it",
            ) from error

    async def _read(self, seconds: float, writes: Mapping[str, Any]) -> None:
        running = asyncio.ensure_future(self._driver.run())
        try:
            for tag_id, value in writes.items():
                self.written.append((tag_id, await self._write(tag_id, value)))
            done, _ = await asyncio.wait({running}, timeout=seconds)
            for task in done:
                task.result()
        finally:
            running.cancel()
            await asyncio.wait({running}, timeout=CLOSE_S)

    async def _write(self, tag_id: str, value: Any) -> WriteResult:
        tag = self.tag(tag_id)
        assert tag is not None
        order = Write(id=f"trial-{tag_id}", address=tag.address, value=value, timeout_ms=WRITE_MS)
        try:
            async with asyncio.timeout(2 * WRITE_MS / 1000):
                return await self._driver.write(order)
        except TimeoutError:
            return WriteResult(id=order.id, outcome="unknown", detail="no answer in time")

    async def _close(self) -> None:
        try:
            await asyncio.wait_for(self._driver.close(), CLOSE_S)
        except (OSError, TimeoutError):
            return  # the trial is over either way

    def _report(self, index: int, tag: TagSpec, took: float) -> TagReport:
        seen = self.watch.seen.get(index)
        now = self._clock.now_ms()
        age = None if seen is None else (now - seen.time_ms) / 1000
        wrong, mend = self._wrong(seen, tag, age)
        return TagReport(
            tag=tag.id, source=self._spec.id, address=tag.address, value=_value(seen, tag),
            unit=tag.unit, quality=QUALITIES[seen.quality] if seen else "",
            source_time=seen.time_ms if seen else None,
            age_s=None if age is None else round(age, 3),
            rate=round(seen.count / took, 2) if seen else 0.0, wrong=wrong, mend=mend,
        )  # fmt: skip

    def _wrong(self, seen: _Seen | None, tag: TagSpec, age: float | None) -> tuple[str, str]:
        if self.watch.last_state == "failed":
            what, _, mend = self.watch.detail.partition("\n  mend: ")
            return what, mend or "see the source's state"
        if seen is None or age is None:
            said = f": {self.watch.detail}" if self.watch.detail else ""
            return (
                f"nothing has arrived{said}",
                "read for longer (--seconds), or check the address and that the device sends it",
            )
        if seen.quality == 2:
            said = self._said(tag)
            what = f"bad: {said}" if said else f"bad: no value of type {tag.type} within its range"
            mend = "the device" if said else "`type`, `min` and `max`"
            return what, f"check its address and {mend}"
        if seen.quality == 1:
            return f"uncertain: {self._said(tag)}", "check the sensor; `outside: clamp` clamps"
        if age < -5:
            return f"{-age:.0f} s in the future by the device's clock", "set the device's clock"
        return "", ""

    def _said(self, tag: TagSpec) -> str:
        """What the driver's state says of this tag."""
        parts = self.watch.detail.replace(": ", "; ").split("; ")
        named = [i for i, part in enumerate(parts) if part.startswith(tag.id)]
        return ": ".join(parts[named[0] : named[0] + 2]) if named else ""


def _value(seen: _Seen | None, tag: TagSpec) -> float | bool | str | None:
    if seen is None or (isinstance(seen.value, float) and math.isnan(seen.value)):
        return None
    return bool(seen.value) if tag.type == "boolean" else seen.value


def raw_of(tag: TagSpec, text: str) -> bool | float | str:
    """What is written to the device for a value in the tag's unit; ConfigError when it is none."""
    if "write" not in tag.access:
        raise ConfigError(
            f"{tag.id} cannot be written: its `access` has no write",
            mend="add write to its access, if it may be written",
        )
    if tag.type == "string":
        return text
    if tag.type == "boolean":
        if text.lower() in ("true", "1", "on"):
            return True
        if text.lower() in ("false", "0", "off"):
            return False
        raise ConfigError(f"{tag.id}={text}: not a boolean", mend="write true or false")
    try:
        value = float(text)
    except ValueError as error:
        raise ConfigError(f"{tag.id}={text}: not a number", mend="write a number") from error
    if (tag.min is not None and value < tag.min) or (tag.max is not None and value > tag.max):
        raise ConfigError(
            f"{tag.id}={text} lies outside its range", mend="stay between its `min` and `max`"
        )
    return round((value - tag.bias) / tag.scale, 9)
