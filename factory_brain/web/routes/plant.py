"""REST: edges, watermarks, health."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from factory_brain.application.fleet import FleetView
from shared.web.auth import User, allowed
from shared.web.dto import Fleet

Viewer = Annotated[User, Depends(allowed("view"))]


def plant_router(
    fleet: FleetView, positions: Callable[[], Awaitable[dict[str, Any]]],
    ready: Callable[[], Awaitable[bool]],
) -> APIRouter:  # fmt: skip
    """Routes about the edges and the brain itself."""
    router = APIRouter(prefix="/api", tags=["plant"])

    @router.get("/healthz")
    async def healthz() -> dict[str, bool]:
        return {"ok": await ready()}

    @router.get("/fleet")
    async def edges(_: Viewer) -> Fleet:
        return fleet.as_dto()

    @router.get("/annunciation")
    async def annunciation(_: Viewer) -> dict[str, str]:
        return {edge: fleet.annunciator.get(edge, "edge") for edge in fleet.edges}

    @router.get("/watermarks")
    async def watermarks(_: Viewer) -> dict[str, Any]:
        return await positions()

    return router
