"""REST of early warning at the group: learners, models, decisions, where they run.

Routes translate; what is decided is decided in the application.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from group_cloud.application.warning.desk import By, WarningDesk
from group_cloud.web.scope import Who, scoped
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, once
from shared.web.dto_warning import WarningDecision, WarningLearning, WarningModelOut
from shared.web.problem import ProblemError

Viewer = Annotated[Who, Depends(scoped("view"))]
Decider = Annotated[Who, Depends(scoped("decide_proposal"))]
Named = Annotated[str, Path(max_length=96, pattern=r"^[^\x00]+$")]
_STATUS = {"unknown_warning_model": 404, "other_tenant": 403, "own_approval": 403}


def warning_router(desk: WarningDesk) -> APIRouter:
    """Routes of /api/early-warnings."""
    router = APIRouter(prefix="/api", tags=["early warnings"])

    @router.get("/early-warnings")
    async def early_warnings(who: Viewer) -> WarningLearning:
        return await desk.listed(who.scope)

    @router.post("/early-warnings/{model}/decision")
    async def decide(
        model: Named, body: WarningDecision, who: Decider, key: IdempotencyKey, request: Request
    ) -> WarningModelOut:
        async def act() -> WarningModelOut:
            answer = await desk.decide(model, body.action, By(who.name, body.reason), who.scope)
            if isinstance(answer, Rejected):
                raise ProblemError.of(_STATUS.get(answer.code, 409), answer)
            return answer

        answer: Any = await once(request, who.user, key, act)
        return answer

    return router
