"""REST: the samples around a raise, and the wish for a tag's every sample."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from factory_brain.application.trends import Trends
from factory_brain.web.routes.alarms import item_result
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto import ItemResult, SamplingRequest, SnippetOut
from shared.web.problem import ProblemError

Viewer = Annotated[User, Depends(allowed("view"))]
Operator = Annotated[User, Depends(allowed("acknowledge"))]


def trend_router(trends: Trends) -> APIRouter:
    """Routes of full-rate samples."""
    router = APIRouter(prefix="/api", tags=["trends"])

    @router.get("/occurrences/{occurrence}/snippet")
    async def snippet(occurrence: str, _: Viewer) -> SnippetOut:
        found = await trends.snippet(occurrence)
        if found is None:
            raise ProblemError(404, "unknown_occurrence", occurrence=occurrence)
        return found

    @router.post("/tags/{tag}/sampling")
    async def sampling(
        tag: str, body: SamplingRequest, user: Operator, key: IdempotencyKey, request: Request
    ) -> ItemResult:
        asset = trends.asset(tag)
        if asset is not None and not user.may("acknowledge", asset):
            raise ProblemError(403, "not_allowed_here", tag=tag, action="acknowledge")

        async def act() -> ItemResult:
            refusal = await trends.sample(tag, body.minutes)
            if refusal is not None and refusal.code == "unknown_tag":
                raise ProblemError.of(404, refusal)
            return item_result("", refusal)

        answer: Any = await once(request, user, key, act)
        return answer

    return router
