"""REST of the roll-outs: list, detail, several proposals as one change set, steering.

Routes translate; what is decided is decided in the application.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request

from group_cloud.application.proposals import ProposalDesk
from group_cloud.application.rollout.desk import RolloutDesk
from group_cloud.web.scope import Who, scoped
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, once
from shared.web.dto_rollouts import (
    RolloutAction,
    RolloutDetail,
    RolloutList,
    RolloutRequest,
    RolloutSummary,
)
from shared.web.problem import ProblemError

Viewer = Annotated[Who, Depends(scoped("view"))]
Decider = Annotated[Who, Depends(scoped("decide_proposal"))]
Steerer = Annotated[Who, Depends(scoped("steer_rollout"))]
Before = Annotated[str, Query(max_length=64)]
T = TypeVar("T")
_UNKNOWN = ("unknown_rollout", "unknown_proposal")


def rollout_router(rollouts: RolloutDesk, desk: ProposalDesk) -> APIRouter:
    """Routes of /api/rollouts."""
    router = APIRouter(prefix="/api", tags=["rollouts"])

    @router.get("/rollouts")
    async def list_rollouts(who: Viewer, before: Before = "") -> RolloutList:
        return await rollouts.listed(who.scope, before)

    @router.get("/rollouts/{rollout}")
    async def rollout_detail(rollout: str, who: Viewer) -> RolloutDetail:
        found = await rollouts.detail(rollout, who.scope)
        if found is None:
            raise ProblemError(404, "unknown_rollout", rollout=rollout)
        return found

    @router.post("/rollouts", status_code=201)
    async def begin_rollout(
        body: RolloutRequest, who: Decider, key: IdempotencyKey, request: Request
    ) -> RolloutSummary:
        async def act() -> RolloutSummary:
            return _or_problem(await desk.roll_out(body, who.name, who.scope))

        answer: Any = await once(request, who.user, key, act)
        return answer

    @router.post("/rollouts/{rollout}/actions")
    async def steer_rollout(
        rollout: str, body: RolloutAction, who: Steerer, key: IdempotencyKey, request: Request
    ) -> RolloutDetail:
        async def act() -> RolloutDetail:
            return _or_problem(
                await rollouts.act(rollout, body.action, body.reason, who.name, who.scope)
            )

        answer: Any = await once(request, who.user, key, act)
        return answer

    return router


def _or_problem(answer: T | Rejected) -> T:
    if isinstance(answer, Rejected):
        raise ProblemError.of(404 if answer.code in _UNKNOWN else 409, answer)
    return answer
