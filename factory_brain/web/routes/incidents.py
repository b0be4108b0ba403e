"""REST: incidents, their time line, and what people do with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from factory_brain.application.incidents.desk import Answer, By, IncidentDesk
from factory_brain.application.incidents.story import IncidentStory
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


async def _answer(
    request: Request, user: User, key: str, act: Callable[[], Awaitable[Answer]], seen: Seen
) -> IncidentResult:
    async def run() -> IncidentResult:
        await seen()
        found = await act()
        if isinstance(found, Rejected):
            raise ProblemError.of(_STATUS.get(found.code, 409), found)
        return IncidentResult(incident=found, accepted=True)

    answer: Any = await once(request, user, key, run)
    return answer


Seen = Callable[[], Awaitable[None]]
"""Refuses when the caller has seen another version of the incident."""


@dataclass(frozen=True, slots=True)
class IncidentParts:
    """What the routes call."""

    desk: IncidentDesk
    story: IncidentStory


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

    _add_acts(router, parts)
    return router


def _before(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    at, name = parts_of(cursor, int, str)
    return at, name


def _add_acts(router: APIRouter, parts: IncidentParts) -> None:
    def as_seen(incident: str, match: str | None) -> Seen:
        async def check() -> None:
            # Only for those who ask for it: an incident of a flood changes all the time.
            if match is not None and (now := await parts.story.detail(incident)) is not None:
                if_match(match, etag_of(now))

        return check

    _add_care(router, parts, as_seen)
    _add_ends(router, parts, as_seen)


AsSeen = Callable[[str, str | None], Seen]


def _add_care(router: APIRouter, parts: IncidentParts, as_seen: AsSeen) -> None:
    @router.post("/{incident}/acknowledge")
    async def acknowledge(
        incident: str, user: Handler, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> IncidentResult:  # fmt: skip
        seen = as_seen(incident, match)
        return await _answer(
            request, user, key, lambda: parts.desk.acknowledge(incident, _by(user)), seen
        )

    @router.post("/{incident}/owner")
    async def own(
        incident: str, body: OwnRequest, user: Handler, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> IncidentResult:  # fmt: skip
        seen = as_seen(incident, match)
        owner = body.owner or user.name
        return await _answer(
            request, user, key, lambda: parts.desk.own(incident, owner, _by(user)), seen
        )

    @router.post("/{incident}/notes")
    async def note(
        incident: str, body: NoteRequest, user: Handler, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> IncidentResult:  # fmt: skip
        seen = as_seen(incident, match)
        return await _answer(
            request, user, key, lambda: parts.desk.note(incident, body.text, _by(user)), seen
        )

    @router.post("/{incident}/contain")
    async def contain(
        incident: str, body: ContainRequest, user: Handler, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> IncidentResult:  # fmt: skip
        seen = as_seen(incident, match)
        return await _answer(
            request, user, key, lambda: parts.desk.contain(incident, body.comment, _by(user)), seen
        )


def _add_ends(router: APIRouter, parts: IncidentParts, as_seen: AsSeen) -> None:
    @router.post("/{incident}/close")
    async def close(
        incident: str, body: CloseRequest, user: Handler, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> IncidentResult:  # fmt: skip
        seen = as_seen(incident, match)
        told = (body.cause, body.outcome, body.comment)
        return await _answer(
            request, user, key, lambda: parts.desk.close(incident, *told, _by(user)), seen
        )

    @router.post("/{incident}/reopen")
    async def reopen(
        incident: str, body: ReopenRequest, user: Handler, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> IncidentResult:  # fmt: skip
        seen = as_seen(incident, match)
        return await _answer(
            request, user, key, lambda: parts.desk.reopen(incident, body.reason, _by(user)), seen
        )

    @router.post("/{incident}/merge")
    async def merge(
        incident: str, body: MergeRequest, user: Handler, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> IncidentResult:  # fmt: skip
        seen = as_seen(incident, match)
        return await _answer(
            request, user, key, lambda: parts.desk.merge(incident, body.other, _by(user)), seen
        )
