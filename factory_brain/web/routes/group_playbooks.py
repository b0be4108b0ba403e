"""REST: playbooks that the group has sent to this factory: look, compare, take or refuse.

A release is reviewed as every draft is; values of inputs are decided here.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from factory_brain.application.playbooks.from_group.desk import GroupPlaybooks
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto_group_playbooks import GroupPushDetail, GroupPushList, PushDecision
from shared.web.problem import ProblemError

Viewer = Annotated[User, Depends(allowed("view"))]
Reviewer = Annotated[User, Depends(allowed("review_playbook", everywhere=True))]
Named = Annotated[str, Path(max_length=96, pattern=r"^[^\x00]+$")]
_STATUS = {"unknown_push": 404, "input_outside_bounds": 422, "input_unfit": 422}


def group_playbook_router(desk: GroupPlaybooks) -> APIRouter:
    """Routes of /api/group-playbooks."""
    router = APIRouter(prefix="/api", tags=["playbooks"])

    @router.get("/group-playbooks")
    async def listed(_: Viewer) -> GroupPushList:
        return await desk.listed()

    @router.get("/group-playbooks/{push}")
    async def one(push: Named, _: Viewer) -> GroupPushDetail:
        found = await desk.detail(push)
        if found is None:
            raise ProblemError(404, "unknown_push", push=push)
        return found

    @router.post("/group-playbooks/{push}/decision")
    async def decide(
        push: Named, body: PushDecision, user: Reviewer, key: IdempotencyKey, request: Request
    ) -> GroupPushDetail:
        async def act() -> GroupPushDetail:
            answer = await desk.decide(push, body.accept, user.name, body.reason)
            if isinstance(answer, Rejected):
                raise ProblemError.of(_STATUS.get(answer.code, 409), answer)
            return answer

        answer: Any = await once(request, user, key, act)
        return answer

    return router
