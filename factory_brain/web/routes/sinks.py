"""REST: where events and samples go beside Andon, and how far behind that is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from factory_brain.application.sinks.forwarding import Forwarding
from shared.web.auth import User, allowed
from shared.web.dto_sinks import SinkList

Viewer = Annotated[User, Depends(allowed("view"))]


def sink_router(forwarding: Forwarding) -> APIRouter:
    """Routes of the sinks."""
    router = APIRouter(prefix="/api", tags=["sinks"])

    @router.get("/sinks")
    async def sinks(_: Viewer) -> SinkList:
        return SinkList(items=await forwarding.listed())

    return router
