"""REST: what is counted in shadow and why; the assets that a fault may lie in.

Routes translate; nothing here starts or stops a count.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from factory_brain.application.shadow.showing import ShadowView
from shared.web.auth import User, allowed
from shared.web.dto_faults import AssetList, CountedPoints

Viewer = Annotated[User, Depends(allowed("view"))]


def shadow_router(view: ShadowView) -> APIRouter:
    """Routes of /api/shadow-points and /api/assets."""
    router = APIRouter(prefix="/api", tags=["faults"])

    @router.get("/shadow-points")
    async def counted(_: Viewer) -> CountedPoints:
        return await view.listed()

    @router.get("/assets")
    async def assets(_: Viewer) -> AssetList:
        return view.assets()

    return router
