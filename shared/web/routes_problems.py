"""REST: what the code of a problem means; every problem's `type` leads here."""

from __future__ import annotations

from fastapi import APIRouter

from shared.web.dto import ProblemType, Text
from shared.web.problem import ProblemError, words


def problem_router() -> APIRouter:
    """Routes of /api/problems."""
    router = APIRouter(prefix="/api/problems", tags=["problems"])

    @router.get("/{code}")
    async def meaning(code: str) -> ProblemType:
        key, held = code.replace(".", "_"), words()
        if key not in held["en"]:
            raise ProblemError(404, "unknown_code", given=code[:100])
        return ProblemType(code=code, text=Text(zh=held["zh"].get(key, ""), en=held["en"][key]))

    return router
