"""`/healthz` (alive), `/readyz` (fit for work, with why) and `/metrics` of the brain and the cloud.

Asked by orchestrators and Prometheus without a login, so nothing here names a person, an address
or a secret. The settings can leave out `/readyz`'s details and `/metrics`.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from shared.metrics import CONTENT_TYPE
from shared.web.checks import Check as Check
from shared.web.checks import HealthParts as HealthParts
from shared.web.dto_base import Dto
from shared.web.may_answer import may_answer

CHECK_S = 3.0


class Readiness(Dto):
    """GET /readyz: 200 or 503; each check is "ok" or a code."""

    ready: bool
    checks: dict[str, str] = Field(default_factory=dict)


async def _run(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_S):
            return await check() or "ok"
    except TimeoutError:
        return "no_answer"


async def readiness(checks: dict[str, Check]) -> Readiness:
    """Run all checks at once, each bounded."""
    told = await asyncio.gather(*(_run(check) for check in checks.values()))
    found = dict(zip(checks, told, strict=True))
    return Readiness(ready=all(each == "ok" for each in told), checks=found)


def health_router(parts: HealthParts) -> APIRouter:
    """The three routes."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def alive() -> dict[str, bool]:
        return {"ok": True}

    @router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
    async def ready() -> JSONResponse:
        found = await readiness(parts.checks)
        if not parts.details:
            found = Readiness(ready=found.ready)
        return JSONResponse(found.model_dump(), status_code=200 if found.ready else 503)

    if parts.metrics is not None or not parts.checks:
        metrics = parts.metrics

        @router.get("/metrics", response_class=Response, responses=may_answer(text="text/plain"))
        async def prometheus() -> Response:
            text = await metrics() if metrics is not None else ""
            return Response(text, media_type=CONTENT_TYPE)

    return router
