"""REST: playbook runs, their human tasks, manual start."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Request

from factory_brain.web.routes.alarms import item_result
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto import AnswerRequest, ItemResult, Run, RunList
from shared.web.problem import ProblemError

Viewer = Annotated[User, Depends(allowed("view"))]
Answerer = Annotated[User, Depends(allowed("answer"))]
Starter = Annotated[User, Depends(allowed("start_playbook"))]


class Runs(Protocol):
    """What the routes need of the playbook engine."""

    async def list_runs(self, limit: int) -> list[Run]:
        """Newest runs first, without steps."""
        ...

    async def get_run(self, run_id: str) -> Run | None:
        """One run with its steps."""
        ...

    async def answer(
        self, run_id: str, step: str, option: str, user: str, roles: tuple[str, ...],
        comment: str, idempotency_key: str,
    ) -> Rejected | None:  # fmt: skip
        """Answer a human task."""
        ...

    async def start_manually(
        self, playbook: str, user: str, roles: tuple[str, ...]
    ) -> Run | Rejected:
        """Start a playbook by hand."""
        ...


def run_router(runs: Runs) -> APIRouter:
    """Routes of playbook runs."""
    router = APIRouter(prefix="/api", tags=["runs"])

    @router.get("/runs")
    async def newest(_: Viewer, limit: int = 50) -> RunList:
        return RunList(runs=await runs.list_runs(min(limit, 200)))

    @router.get("/runs/{run_id}")
    async def one(run_id: str, _: Viewer) -> Run:
        found = await runs.get_run(run_id)
        if found is None:
            raise ProblemError(404, "unknown_run", run=run_id)
        return found

    @router.post("/runs/{run_id}/answers")
    async def answer(
        run_id: str, body: AnswerRequest, user: Answerer, key: IdempotencyKey, request: Request
    ) -> ItemResult:
        async def act() -> ItemResult:
            refusal = await runs.answer(
                run_id, body.step, body.option, user.name, user.roles, body.comment, key
            )
            if refusal is not None and refusal.code == "not_allowed":
                raise ProblemError.of(403, refusal)
            if refusal is not None and refusal.code.startswith("unknown"):
                raise ProblemError.of(404, refusal)
            return item_result(run_id, refusal)

        found: Any = await once(request, user, key, act)
        return found

    @router.post("/playbooks/{playbook}/runs")
    async def start(playbook: str, user: Starter, key: IdempotencyKey, request: Request) -> Run:
        async def act() -> Run:
            started = await runs.start_manually(playbook, user.name, user.roles)
            if isinstance(started, Rejected):
                raise ProblemError.of(409, started)
            return started

        found: Any = await once(request, user, key, act)
        return found

    return router
