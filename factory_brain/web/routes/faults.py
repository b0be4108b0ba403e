"""REST: the record of faults, also of those that no alarm told of."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from factory_brain.application.shadow.faults import By, FaultDesk, Telling
from factory_brain.domain.faults import Fault
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto_faults import FaultList, FaultOut, FaultRequest, FaultWithdrawal
from shared.web.etags import IfMatch, etag_of, if_match
from shared.web.paging import cursor_of, parts_of
from shared.web.problem import ProblemError

ACTION = "handle_incident"
Viewer = Annotated[User, Depends(allowed("view"))]
Teller = Annotated[User, Depends(allowed(ACTION))]
_STATUS = {
    "unknown_fault": 404, "not_allowed_here": 403, "fault_withdrawn": 409, "fault_of_labels": 409,
}  # fmt: skip


def fault_router(desk: FaultDesk) -> APIRouter:
    """Routes of faults."""
    router = APIRouter(prefix="/api/faults", tags=["faults"])

    @router.get("")
    async def page(
        _: Viewer,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: str | None = None,
        withdrawn: bool = False,
    ) -> FaultList:
        found = await desk.listed(limit + 1, _before(cursor), withdrawn)
        last = found[limit - 1] if len(found) > limit else None
        return FaultList(
            items=[_shown(each) for each in found[:limit]],
            next=cursor_of(last.start, last.id) if last else None,
        )

    @router.get("/{fault}")
    async def one(fault: str, _: Viewer, response: Response) -> FaultOut:
        found = await desk.get(fault)
        if found is None:
            raise ProblemError(404, "unknown_fault", fault=fault)
        shown = _shown(found)
        response.headers["ETag"] = etag_of(shown)
        return shown

    _add_writes(router, desk)
    return router


def _add_writes(router: APIRouter, desk: FaultDesk) -> None:
    @router.post("")
    async def record(
        body: FaultRequest, user: Teller, key: IdempotencyKey, request: Request
    ) -> FaultOut:
        async def act() -> FaultOut:
            told = Telling(
                body.asset, body.start, body.end, body.cause, body.comment, tuple(body.alarms)
            )
            return _answer(await desk.record(told, _by(user)))

        answer: Any = await once(request, user, key, act)
        return answer

    @router.post("/{fault}/withdraw")
    async def withdraw(
        fault: str, body: FaultWithdrawal, user: Teller, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> FaultOut:  # fmt: skip
        async def act() -> FaultOut:
            def check(found: Fault) -> None:
                if_match(match, etag_of(_shown(found)))

            return _answer(await desk.withdraw(fault, body.reason, _by(user), check))

        answer: Any = await once(request, user, key, act)
        return answer


def _by(user: User) -> By:
    return By(user.name, lambda asset: user.may(ACTION, asset))


def _answer(found: Fault | Rejected) -> FaultOut:
    if isinstance(found, Rejected):
        raise ProblemError.of(_STATUS.get(found.code, 422), found)
    return _shown(found)


def _shown(fault: Fault) -> FaultOut:
    return FaultOut(
        id=fault.id, revision=fault.revision, asset=fault.asset, line=fault.line,
        start=fault.start, end=fault.end, cause=fault.cause, actor=fault.actor,
        recorded_at=fault.recorded_at, alarms=list(fault.alarms), incident=fault.incident,
        withdrawn=fault.withdrawn, comment=fault.comment,
    )  # fmt: skip


def _before(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    at, name = parts_of(cursor, int, str)
    return at, name
