"""REST: the hand-over of shifts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from factory_brain.web.routes.desk import DeskParts
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto_desk import (
    HandoverDraft,
    HandoverEntry,
    HandoverList,
    HandoverReport,
    HandoverRequest,
    SignRequest,
)
from shared.web.etags import IfMatch, etag_of, if_match
from shared.web.paging import cursor_of, parts_of
from shared.web.problem import ProblemError

Viewer = Annotated[User, Depends(allowed("view"))]
CLOCKS = ("at", "remaining_ms")
"""Changes in a draft without anybody changing anything."""
Giver = Annotated[User, Depends(allowed("hand_over"))]


def handover_router(parts: DeskParts) -> APIRouter:
    """Routes of shift hand-over."""
    router = APIRouter(prefix="/api/handover", tags=["handover"])

    @router.get("/current")
    async def draft(_: Viewer, response: Response) -> HandoverDraft:
        found = await parts.handover.draft()
        response.headers["ETag"] = etag_of(found, *CLOCKS)
        return found

    @router.post("")
    async def create(
        body: HandoverRequest, user: Giver, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> HandoverEntry:  # fmt: skip
        async def act() -> HandoverEntry:
            if match is not None:
                if_match(match, etag_of(await parts.handover.draft(), *CLOCKS))
            return await parts.handover.create(body.note, user.name)

        answer: Any = await once(request, user, key, act)
        return answer

    @router.get("")
    async def history(
        _: Viewer, limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: str | None = None
    ) -> HandoverList:
        found = await parts.handover.listed(limit + 1, _position(cursor))
        more = found[limit - 1] if len(found) > limit else None
        following = cursor_of(more.created_at, more.id) if more else None
        return HandoverList(items=found[:limit], next=following)

    @router.get("/{handover}")
    async def one(handover: str, _: Viewer) -> HandoverReport:
        found = await parts.handover.get(handover)
        if found is None:
            raise ProblemError(404, "unknown_handover", handover=handover)
        return HandoverReport(entry=found[0], content=found[1])

    @router.post("/{handover}/sign")
    async def sign(
        handover: str, body: SignRequest, user: Giver, key: IdempotencyKey, request: Request
    ) -> HandoverEntry:
        async def act() -> HandoverEntry:
            signed = await parts.handover.sign(handover, body.note, user.name)
            if isinstance(signed, Rejected):
                raise ProblemError.of(404 if signed.code.startswith("unknown_") else 409, signed)
            return signed

        answer: Any = await once(request, user, key, act)
        return answer

    return router


def _position(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    at, name = parts_of(cursor, int, str)
    return at, name
