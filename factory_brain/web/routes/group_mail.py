"""REST: what the group has written to this factory's desk, and acknowledging it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from factory_brain.application.group_mail import GroupMail
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto_dispatch import MessageList, ReplyRequest
from shared.web.problem import ProblemError

Viewer = Annotated[User, Depends(allowed("view"))]
Answering = Annotated[User, Depends(allowed("answer"))]


def group_mail_router(mail: GroupMail) -> APIRouter:
    """Routes of /api/group-messages."""
    router = APIRouter(prefix="/api", tags=["desk"])

    @router.get("/group-messages")
    async def listed(_: Viewer) -> MessageList:
        return await mail.listed()

    @router.post("/group-messages/{message}/acknowledge")
    async def acknowledge(
        message: str, body: ReplyRequest, user: Answering, key: IdempotencyKey, request: Request
    ) -> MessageList:
        async def act() -> MessageList:
            answer = await mail.acknowledge(message, user.name, body.reply)
            if isinstance(answer, Rejected):
                raise ProblemError.of(404, answer)
            return answer

        answer: Any = await once(request, user, key, act)
        return answer

    return router
