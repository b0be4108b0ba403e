"""REST of the memory of floods: what floods resemble, and how right that was. Reads only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from group_cloud.application.floods.view import FloodView
from group_cloud.web.scope import Who, scoped
from shared.web.dto_floods import FloodFigures, GroupFloodList

Viewer = Annotated[Who, Depends(scoped("view"))]
Word = Annotated[str | None, Query(max_length=200)]


def flood_router(view: FloodView) -> APIRouter:
    """Routes of /api/group/floods."""
    router = APIRouter(prefix="/api/group/floods", tags=["group"])

    @router.get("")
    async def floods(who: Viewer, site: Word = None, incident: Word = None) -> GroupFloodList:
        return await view.listed(who.scope, site, incident)

    @router.get("/figures")
    async def figures(who: Viewer) -> FloodFigures:
        return await view.figures(who.scope)

    return router
