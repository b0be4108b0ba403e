"""REST: early warning at this factory, read only; verdicts are outcomes like any other."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from factory_brain.application.warning.view import WarningView
from shared.web.auth import User, allowed
from shared.web.dto_warning import EarlyWarnings

Viewer = Annotated[User, Depends(allowed("view"))]


def early_warning_router(view: WarningView) -> APIRouter:
    """Routes of early warning."""
    router = APIRouter(prefix="/api", tags=["early warnings"])

    @router.get("/early-warnings")
    async def early_warnings(_: Viewer) -> EarlyWarnings:
        return await view.shown()

    return router
