"""REST of the group's fleet: the inventory, and pushing alarm settings with a look before.

Each route works within the asker's scope; what is decided is decided in the application.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from group_cloud.application.fleet_push import FleetPush
from group_cloud.application.fleet_view import GroupFleet
from group_cloud.web.scope import Who, scoped
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, once
from shared.web.dto_dispatch import FleetInventory, PushBegun, PushPreview, PushRequest
from shared.web.problem import ProblemError

Viewer = Annotated[Who, Depends(scoped("view"))]
Decider = Annotated[Who, Depends(scoped("decide_proposal"))]


def fleet_router(fleet: GroupFleet, push: FleetPush) -> APIRouter:
    """Routes of /api/group/fleet and /api/group/push."""
    router = APIRouter(prefix="/api/group", tags=["fleet"])

    @router.get("/fleet")
    async def inventory(who: Viewer) -> FleetInventory:
        return await fleet.inventory(who.scope)

    @router.post("/push/preview")
    async def preview(body: PushRequest, who: Decider) -> PushPreview:
        return await push.preview(body, who.scope)

    @router.post("/push", status_code=201)
    async def begin(
        body: PushRequest, who: Decider, key: IdempotencyKey, request: Request
    ) -> PushBegun:
        async def act() -> PushBegun:
            answer = await push.push(body, who.name, who.scope)
            if isinstance(answer, Rejected):
                raise ProblemError.of(409, answer)
            return answer

        answer: Any = await once(request, who.user, key, act)
        return answer

    return router
