"""A linked system of the plant (a maintenance desk) that receives signed webhooks.

Served beside the plants' control; verifies each delivery and keeps what came, so that a drill can
prove it. It never answers for Andon.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from shared.clock import Clock
from shared.config import read_secret
from shared.webhooks import verify
from simulators.devices import LinkedDevice

KEPT = 500


class LinkedSystem:
    """Receives webhooks for `/hooks/<site>/<endpoint>`."""

    def __init__(self, secret_file: Path | None, clock: Clock) -> None:
        self._secret = read_secret(secret_file, "webhook secret") if secret_file else None
        self._clock = clock
        self._received: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.refused = 0
        self.devices: list[LinkedDevice] = []
        """Simulated devices beside it, shown under `/devices`."""

    def state(self) -> dict[str, Any]:
        """What came, newest last, and how much was refused."""
        return {"received": list(self._received), "refused": self.refused}

    def take(self, site: str, endpoint: str, given: dict[str, str], body: bytes) -> int:
        """Verify and keep one delivery; returns the HTTP status."""
        now = self._clock.now_ms()
        if self._secret is None or not verify(self._secret, given, body, now // 1000):
            self.refused += 1
            return 401
        self._received.append(
            {
                "site": site,
                "endpoint": endpoint,
                "id": given["webhook-id"],
                "at": now,
                "body": msgspec.json.decode(body),
            }
        )
        return 204


def linked_router(linked: LinkedSystem) -> APIRouter:
    """The receiving route and what it has received."""
    router = APIRouter()

    @router.post("/hooks/{site}/{endpoint}", response_class=Response)
    async def hook(site: str, endpoint: str, request: Request) -> Response:
        body = await request.body()
        return Response(status_code=linked.take(site, endpoint, dict(request.headers), body))

    @router.get("/devices")
    async def devices() -> list[dict[str, Any]]:
        return [device.snapshot() for device in linked.devices]

    @router.get("/hooks")
    async def received() -> dict[str, Any]:
        return linked.state()

    return router
