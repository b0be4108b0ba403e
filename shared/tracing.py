"""Traces from a sample to the screen: spans recorded after the fact, W3C trace context between.

The tiers call `span` with times they know anyway; without an endpoint `OFF` does nothing and no
tracing library is ever imported. Never blocks and never fails its caller.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Protocol

from shared.clock import Clock
from shared.errors import ConfigError

_PARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})\Z")
MOST_PER_S = 50
"""Traces that begin in a second; in a storm the rest is not traced, so it costs nothing."""
KEPT = 1000


class Traces(Protocol):
    """Where spans go."""

    @property
    def on(self) -> bool:
        """Whether anything is recorded; asked before anything is made for a span."""
        ...

    def span(self, name: str, parent: str, start_ms: float, end_ms: float, **about: str) -> str:
        """Record a span and return its own trace context; without a parent it begins a trace."""
        ...

    async def close(self) -> None:
        """Send what is left."""
        ...


class NoTraces:
    """Traces nothing."""

    on = False

    def span(self, name: str, parent: str, start_ms: float, end_ms: float, **about: str) -> str:
        """The parent as it is."""
        return parent

    async def close(self) -> None:
        """Nothing to send."""


OFF = NoTraces()


def parse(parent: str) -> tuple[int, int, int] | None:
    """(trace, span, flags) of a `traceparent`; None for what is none, whoever sent it."""
    found = _PARENT.match(parent)
    return (int(found[1], 16), int(found[2], 16), int(found[3], 16)) if found else None


def open_traces(endpoint: str, service: str, **about: str) -> Traces:
    """Traces to an OTLP/HTTP collector; `OFF` where none is named. Raises ConfigError."""
    if not endpoint:
        return OFF
    if not re.match(r"https?://[^/\s]+", endpoint):
        raise ConfigError(
            f"{endpoint!r} is no address of a collector", where="otlp_endpoint",
            mend="write it as http://collector:4318, or leave it empty",
        )  # fmt: skip
    try:
        from shared.tracing_otlp import OtlpTraces
    except ImportError as error:
        raise ConfigError(
            f"tracing is not installed: {error}", where="otlp_endpoint",
            mend="install andon[traces], or leave otlp_endpoint empty",
        ) from error  # fmt: skip
    return OtlpTraces(endpoint, service, about)


class Beginnings:
    """Lets so many traces begin in a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = self._count = 0

    def may(self) -> bool:
        """Whether one more may begin now."""
        second = self._clock.mono_ms() // 1000
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count <= MOST_PER_S


class Recent:
    """The newest trace of an occurrence, for what follows later; the oldest are forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, str] = OrderedDict()

    def note(self, occurrence: str, trace: str) -> None:
        """An occurrence's newest trace."""
        self._kept[occurrence] = trace
        self._kept.move_to_end(occurrence)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def of(self, occurrence: str) -> str:
        """Its trace context; empty if it has none."""
        return self._kept.get(occurrence, "")
