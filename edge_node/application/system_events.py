"""The edge's own trouble as events: raised once, ended once, known again after a restart.

Called by the engine and the bootstrap; shown in the upper tiers beside the plant's alarms.
"""

from __future__ import annotations

from typing import Any

from edge_node.application.journal import Journal
from edge_node.application.records import Emit, PutMeta, event
from shared.clock import Clock
from shared.ids import uuid7
from shared.messages.bodies import SystemEvent
from shared.messages.codec import decode, encode

ACTIVE = "system_active"


class SystemEvents:
    """Which of the edge's own troubles stand."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal, self._clock = journal, clock
        self._active: dict[str, dict[str, Any]] = {}

    def recover(self, meta: dict[str, bytes]) -> None:
        """What stood when the last run ended; the present run says what still does."""
        if ACTIVE in meta:
            self._active = decode(meta[ACTIVE], dict[str, dict[str, Any]])

    def set(self, code: str, active: bool, subject: str = "", **params: Any) -> None:
        """Say that a trouble stands or has ended; repeating it says nothing."""
        key = f"{code}/{subject}"
        if active == (key in self._active):
            return
        if subject:
            params["subject"] = subject
        if active:
            self._active[key] = params
        else:
            params = {**self._active.pop(key), **params}
        body = SystemEvent(code=code, active=active, params=params)
        kind = f"system.{code}"
        emitted = Emit(event(uuid7(self._clock), kind, self._clock.now_ms(), body))
        self._journal.write([emitted, PutMeta(ACTIVE, encode(self._active))])
