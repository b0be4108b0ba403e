"""REST: playbook runs, their human tasks, manual start; cancel, terminate, suspend, resume."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Query, Request

from factory_brain.web.routes.alarms import item_result
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto import AnswerRequest, ControlRequest, ItemResult, Run, RunList
from shared.web.dto_runs import RunJournal, StartRequest
from shared.web.paging import cursor_of, parts_of
from shared.web.problem import ProblemError

Viewer = Annotated[User, Depends(allowed("view"))]
Answerer = Annotated[User, Depends(allowed("answer"))]
Starter = Annotated[User, Depends(allowed("start_playbook"))]


class Control(Protocol):
    """Ends runs, holds them, lets them go on."""

    async def cancel(
        self, run_id: str, user: str, reason: str, compensate: bool = False
    ) -> Rejected | None:
        """End a run in good order."""
        ...

    async def terminate(self, run_id: str, user: str, reason: str) -> Rejected | None:
        """End a run at once."""
        ...

    async def suspend(self, run_id: str, user: str, reason: str) -> Rejected | None:
        """Nothing new begins."""
        ...

    async def resume(self, run_id: str, user: str, reason: str) -> Rejected | None:
        """It goes on."""
        ...

    async def dead_webhooks(
        self, limit: int, before: tuple[int, str] | None = None
    ) -> list[dict[str, Any]]:
        """Webhooks that nobody took, newest first."""
        ...

    async def replay_webhook(self, webhook: str, user: str) -> bool:
        """Send a dead one again, under its id."""
        ...


class Runs(Protocol):
    """What the routes need of the playbook engine."""

    async def list_runs(self, limit: int, before: tuple[int, str] | None = None) -> list[Run]:
        """Newest runs first, without steps, of those before this start and id."""
        ...

    async def get_run(self, run_id: str) -> Run | None:
        """One run with its steps."""
        ...

    async def asset_of_run(self, run_id: str) -> str | None:
        """The asset that a run is about, for the rights; None for a run that is not there."""
        ...

    def asset_of_playbook(self, playbook: str) -> str | None:
        """The asset that a start by hand is about; None for a playbook that is not there."""
        ...

    async def answer(
        self, run_id: str, step: str, option: str, user: str, roles: tuple[str, ...],
        comment: str, idempotency_key: str,
    ) -> Rejected | None:  # fmt: skip
        """Answer a human task."""
        ...

    @property
    def control(self) -> Control:
        """People's words to runs."""
        ...

    async def start_manually(
        self, playbook: str, user: str, roles: tuple[str, ...], idempotency_key: str = "",
        drill: Mapping[str, Any] | None = None, time_scale: float = 1.0,
    ) -> Run | Rejected:  # fmt: skip
        """Start a playbook by hand, or as a drill with what it sees of an alarm."""
        ...

    async def journal_of(self, run_id: str) -> RunJournal | None:
        """All that a run is made of; None for a run that is not there."""
        ...


def _roles_there(user: User, action: str, asset: str | None, name: str) -> tuple[str, ...]:
    """The roles that count where something is done; refuses who may not do it there."""
    if asset is None:
        return user.roles
    if not user.may(action, asset):
        raise ProblemError(403, "not_allowed_here", alarm=name, action=action)
    return user.roles_at(asset)


def run_router(runs: Runs) -> APIRouter:
    """Routes of playbook runs."""
    router = APIRouter(prefix="/api", tags=["runs"])

    @router.get("/runs")
    async def newest(
        _: Viewer, limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=500)] = None,
    ) -> RunList:  # fmt: skip
        before = None if cursor is None else tuple(parts_of(cursor, int, str))
        found = await runs.list_runs(limit + 1, before)  # type: ignore[arg-type]
        last = found[limit - 1] if len(found) > limit else None
        following = cursor_of(last.started_at, last.id) if last else None
        return RunList(runs=found[:limit], next=following)

    @router.get("/runs/{run_id}")
    async def one(run_id: str, _: Viewer) -> Run:
        found = await runs.get_run(run_id)
        if found is None:
            raise ProblemError(404, "unknown_run", run=run_id)
        return found

    @router.get("/runs/{run_id}/journal")
    async def journal(run_id: str, user: Starter) -> RunJournal:
        _roles_there(user, "start_playbook", await runs.asset_of_run(run_id), run_id)
        found = await runs.journal_of(run_id)
        if found is None:
            raise ProblemError(404, "unknown_run", run=run_id)
        return found

    @router.post("/runs/{run_id}/answers")
    async def answer(
        run_id: str, body: AnswerRequest, user: Answerer, key: IdempotencyKey, request: Request
    ) -> ItemResult:
        roles = _roles_there(user, "answer", await runs.asset_of_run(run_id), run_id)

        async def act() -> ItemResult:
            which = body.path or body.step
            refusal = await runs.answer(
                run_id, which, body.option, user.name, roles, body.comment, key
            )
            if refusal is not None and refusal.code == "which_question":
                raise ProblemError.of(409, refusal)
            if refusal is not None and refusal.code in ("not_allowed", "answer_denied"):
                raise ProblemError.of(403, refusal)
            if refusal is not None and refusal.code.startswith("unknown"):
                raise ProblemError.of(404, refusal)
            return item_result(run_id, refusal)

        found: Any = await once(request, user, key, act)
        return found

    async def told(
        run_id: str, user: User, key: str, request: Request,
        tell: Callable[[], Awaitable[Rejected | None]],
    ) -> ItemResult:  # fmt: skip
        _roles_there(user, "start_playbook", await runs.asset_of_run(run_id), run_id)

        async def act() -> ItemResult:
            refusal = await tell()
            if refusal is not None and refusal.code == "unknown_run":
                raise ProblemError.of(404, refusal)
            return item_result(run_id, refusal)

        found: Any = await once(request, user, key, act)
        return found

    @router.post("/runs/{run_id}/cancel")
    async def cancel(
        run_id: str, body: ControlRequest, user: Starter, key: IdempotencyKey, request: Request
    ) -> ItemResult:
        return await told(
            run_id, user, key, request,
            lambda: runs.control.cancel(run_id, user.name, body.reason, body.compensate),
        )  # fmt: skip

    @router.post("/runs/{run_id}/terminate")
    async def terminate(
        run_id: str, body: ControlRequest, user: Starter, key: IdempotencyKey, request: Request
    ) -> ItemResult:
        return await told(
            run_id, user, key, request,
            lambda: runs.control.terminate(run_id, user.name, body.reason),
        )  # fmt: skip

    @router.post("/runs/{run_id}/suspend")
    async def suspend(
        run_id: str, body: ControlRequest, user: Starter, key: IdempotencyKey, request: Request
    ) -> ItemResult:
        return await told(
            run_id, user, key, request,
            lambda: runs.control.suspend(run_id, user.name, body.reason),
        )  # fmt: skip

    @router.post("/runs/{run_id}/resume")
    async def resume(
        run_id: str, body: ControlRequest, user: Starter, key: IdempotencyKey, request: Request
    ) -> ItemResult:
        return await told(
            run_id, user, key, request,
            lambda: runs.control.resume(run_id, user.name, body.reason),
        )  # fmt: skip

    @router.post("/playbooks/{playbook}/runs")
    async def start(
        playbook: str, user: Starter, key: IdempotencyKey, request: Request,
        body: StartRequest | None = None,
    ) -> Run:  # fmt: skip
        asset = runs.asset_of_playbook(playbook)
        roles = _roles_there(user, "start_playbook", asset, playbook)
        drill = body.alarm if body is not None and body.drill else None
        if drill and drill.get("asset"):  # a drill is about whatever it is told
            _roles_there(user, "start_playbook", str(drill["asset"]), playbook)

        async def act() -> Run:
            started = await runs.start_manually(
                playbook, user.name, roles, key, drill, body.time_scale if body else 1.0
            )
            if isinstance(started, Rejected):
                raise ProblemError.of(409, started)
            return started

        found: Any = await once(request, user, key, act)
        return found

    return router
