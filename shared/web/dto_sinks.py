"""Shapes of the northbound sinks. Made by `factory_brain/application/sinks/forwarding.py`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.web.dto_base import Dto, Text


class SinkOut(Dto):
    """One sink and where it stands; times are UTC ms."""

    id: str
    kind: str
    name: Text
    status: Literal["starting", "ok", "behind", "failing", "elsewhere"]
    """elsewhere: another brain of the site forwards to it."""
    error: str
    failing_since: int | None
    last_ok_at: int | None
    late_ms: int
    """How long it has not had everything."""
    events_behind: int
    samples_behind: int
    events: int
    """Confirmed since it is known."""
    samples: int
    refused: int
    """The target will never take them; kept in table `sink_refused`."""
    lost: int
    """Samples that waited longer than `keep`."""


class SinkList(Dto):
    """GET /api/sinks."""

    items: list[SinkOut] = Field(default_factory=list)
