"""REST: incidents, their time line, and what people do with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from factory_brain.application.incidents.desk import Answer, By
from factory_brain.web.parts import IncidentParts
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto_incidents import (
    Cause,
    CloseRequest,
    ContainRequest,
    IncidentDetail,
    IncidentPage,
    IncidentResult,
    MergeRequest,
    NoteRequest,
    OwnRequest,
    ReopenRequest,
)
from shared.web.etags import IfMatch, etag_of, if_match
from shared.web.paging import cursor_of, parts_of
from shared.web.problem import ProblemError

Viewer = Annotated[User, Depends(allowed("view"))]
Handler = Annotated[User, Depends(allowed("handle_incident"))]
ACTION = "handle_incident"
_STATUS = {"unknown_incident": 404, "not_allowed_here": 403, "unknown_cause": 422}


def _by(user: User) -> By:
    return By(user.name, lambda asset: user.may(ACTION, asset))


def incident_router(parts: IncidentParts) -> APIRouter:
    """Routes of incidents."""
    router = APIRouter(prefix="/api/incidents", tags=["incidents"])

    @router.get("")
    async def page(
        _: Viewer,
        state: Literal["open", "closed", "all"] = "open",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: str | None = None,
    ) -> IncidentPage:
        items = await parts.story.page(state, limit + 1, _before(cursor))
        more = len(items) > limit
        last = items[limit - 1] if more else None
        return IncidentPage(
            items=items[:limit], next=cursor_of(last.first_at, last.id) if last else None
        )

    @router.get("/causes")
    async def causes(_: Viewer) -> list[Cause]:
        return parts.story.words.causes()

    @router.get("/{incident}")
    async def detail(incident: str, _: Viewer, response: Response) -> IncidentDetail:
        found = await parts.story.detail(incident)
        if found is None:
            raise ProblemError(404, "unknown_incident", incident=incident)
        response.headers["ETag"] = etag_of(found)
        return found

    _add_care(router, parts)
    _add_ends(router, parts)
    return router


def _before(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    at, name = parts_of(cursor, int, str)
    return at, name


@dataclass(frozen=True, slots=True)
class _Act:
    """One person's act on one incident, done once and only on the version that they saw."""

    incident: str
    user: User
    key: str
    request: Request
    match: str | None

    async def done(
        self, parts: IncidentParts, act: Callable[[By], Awaitable[Answer]]
    ) -> IncidentResult:
        async def run() -> IncidentResult:
            # Only for those who ask for it: an incident of a flood changes all the time.
            if self.match is not None:
                now = await parts.story.detail(self.incident)
                if now is not None:
                    if_match(self.match, etag_of(now))
            found = await act(_by(self.user))
            if isinstance(found, Rejected):
                raise ProblemError.of(_STATUS.get(found.code, 409), found)
            return IncidentResult(incident=found, accepted=True)

        answer: Any = await once(self.request, self.user, self.key, run)
        return answer


def _act(
    incident: str, user: Handler, key: IdempotencyKey, request: Request, match: IfMatch = None
) -> _Act:
    return _Act(incident, user, key, request, match)


Act = Annotated[_Act, Depends(_act)]


def _add_care(router: APIRouter, parts: IncidentParts) -> None:
    @router.post("/{incident}/acknowledge")
    async def acknowledge(act: Act) -> IncidentResult:
        return await act.done(parts, lambda by: parts.desk.acknowledge(act.incident, by))

    @router.post("/{incident}/owner")
    async def own(body: OwnRequest, act: Act) -> IncidentResult:
        owner = body.owner or act.user.name
        return await act.done(parts, lambda by: parts.desk.own(act.incident, owner, by))

    @router.post("/{incident}/notes")
    async def note(body: NoteRequest, act: Act) -> IncidentResult:
        return await act.done(parts, lambda by: parts.desk.note(act.incident, body.text, by))

    @router.post("/{incident}/contain")
    async def contain(body: ContainRequest, act: Act) -> IncidentResult:
        return await act.done(parts, lambda by: parts.desk.contain(act.incident, body.comment, by))


def _add_ends(router: APIRouter, parts: IncidentParts) -> None:
    @router.post("/{incident}/close")
    async def close(body: CloseRequest, act: Act) -> IncidentResult:
        told = (body.cause, body.outcome, body.comment)
        return await act.done(parts, lambda by: parts.desk.close(act.incident, *told, by))

    @router.post("/{incident}/reopen")
    async def reopen(body: ReopenRequest, act: Act) -> IncidentResult:
        return await act.done(parts, lambda by: parts.desk.reopen(act.incident, body.reason, by))

    @router.post("/{incident}/merge")
    async def merge(body: MergeRequest, act: Act) -> IncidentResult:
        return await act.done(parts, lambda by: parts.desk.merge(act.incident, body.other, by))
