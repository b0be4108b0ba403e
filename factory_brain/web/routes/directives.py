"""REST: what the group wants to change here and people of this factory decide on.

Routes translate; what is decided is decided in the application.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from factory_brain.application.waiting_directives import WaitingDirectives
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto_directives import DirectiveDecision, DirectiveList, DirectiveOut
from shared.web.problem import ProblemError

Viewer = Annotated[User, Depends(allowed("view"))]
Decider = Annotated[User, Depends(allowed("decide_directive", everywhere=True))]
Edge = Annotated[str, Path(max_length=96, pattern=r"^[^\x00]+$")]
Counter = Annotated[int, Path(ge=1, lt=1 << 62)]
_STATUS = {"unknown_directive": 404, "same_person": 403}


def directive_router(desk: WaitingDirectives) -> APIRouter:
    """Routes of /api/directives."""
    router = APIRouter(prefix="/api", tags=["directives"])

    @router.get("/directives")
    async def listed(_: Viewer) -> DirectiveList:
        return await desk.listed()

    @router.post("/directives/{edge}/{counter}/decision")
    async def decide(
        edge: Edge, counter: Counter, body: DirectiveDecision, user: Decider,
        key: IdempotencyKey, request: Request,
    ) -> DirectiveOut:  # fmt: skip
        async def act() -> DirectiveOut:
            answer = await desk.decide(edge, counter, body, user.name)
            if isinstance(answer, Rejected):
                raise ProblemError.of(_STATUS.get(answer.code, 409), answer)
            return answer

        answer: Any = await once(request, user, key, act)
        return answer

    return router
