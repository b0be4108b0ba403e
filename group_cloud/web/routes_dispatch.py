"""REST of the dispatch centre: factories by urgency, resources, assignments, messages to desks.

Each route works within the asker's scope; what is decided is decided in the application.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from group_cloud.application.dispatching.desk import Asked, DispatchDesk
from group_cloud.application.dispatching.mail import Mail
from group_cloud.application.dispatching.view import DispatchView, shown
from group_cloud.domain.assignment import Resource
from group_cloud.web.scope import Who, scoped
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, once
from shared.web.dto_dispatch import (
    AssignmentList,
    AssignmentOut,
    AssignRequest,
    MessageList,
    MessageOut,
    MessageRequest,
    MoveRequest,
    ResourceIn,
    ResourceList,
    UrgentList,
)
from shared.web.problem import ProblemError

Viewer = Annotated[Who, Depends(scoped("view"))]
Dispatcher = Annotated[Who, Depends(scoped("dispatch"))]
Word = Annotated[str | None, Query(max_length=128)]
_UNKNOWN = (
    "unknown_incident", "unknown_resource", "unknown_assignment", "unknown_site", "unknown_tenant",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DispatchParts:
    """What the routes call."""

    desk: DispatchDesk
    view: DispatchView
    mail: Mail


def dispatch_router(parts: DispatchParts) -> APIRouter:
    """Routes of /api/dispatch."""
    router = APIRouter(prefix="/api/dispatch", tags=["dispatch"])

    @router.get("/factories")
    async def factories(who: Viewer) -> UrgentList:
        return await parts.view.factories(who.scope)

    @router.get("/resources")
    async def resources(who: Viewer) -> ResourceList:
        return await parts.view.resources(who.scope)

    @router.put("/resources/{resource}")
    async def put_resource(
        resource: str, body: ResourceIn, who: Dispatcher, key: IdempotencyKey, request: Request
    ) -> ResourceList:
        made = Resource(
            resource, body.tenant, body.kind, {"zh": body.name.zh, "en": body.name.en},
            tuple(dict.fromkeys(body.skills)), body.site, body.available, body.contact,
        )  # fmt: skip

        async def act() -> ResourceList:
            _check(await parts.desk.put_resource(made, who.name, who.scope))
            return await parts.view.resources(who.scope)

        answer: Any = await once(request, who.user, key, act)
        return answer

    _assignments(router, parts)
    _messages(router, parts)
    return router


def _assignments(router: APIRouter, parts: DispatchParts) -> None:
    @router.get("/assignments")
    async def assignments(
        who: Viewer, site: Word = None, incident: Word = None, live: bool = False
    ) -> AssignmentList:
        return await parts.view.assignments(who.scope, site, incident, live)

    @router.post("/assignments", status_code=201)
    async def assign(
        body: AssignRequest, who: Dispatcher, key: IdempotencyKey, request: Request
    ) -> AssignmentOut:
        asked = Asked(
            body.site, body.incident, tuple(dict.fromkeys(body.skills)), body.resource,
            body.accept_s, body.on_site_s, body.note,
        )  # fmt: skip

        async def act() -> AssignmentOut:
            return shown(_check(await parts.desk.assign(asked, who.name, who.scope)))

        answer: Any = await once(request, who.user, key, act)
        return answer

    @router.post("/assignments/{assignment}/moves")
    async def move(
        assignment: str, body: MoveRequest, who: Dispatcher, key: IdempotencyKey, request: Request
    ) -> AssignmentOut:
        async def act() -> AssignmentOut:
            return shown(
                _check(await parts.desk.move(assignment, body.move, body.note, who.name, who.scope))
            )

        answer: Any = await once(request, who.user, key, act)
        return answer


def _messages(router: APIRouter, parts: DispatchParts) -> None:
    @router.get("/messages")
    async def messages(who: Viewer, site: Word = None) -> MessageList:
        return await parts.mail.listed(who.scope, site)

    @router.post("/messages", status_code=201)
    async def send(
        body: MessageRequest, who: Dispatcher, key: IdempotencyKey, request: Request
    ) -> MessageOut:
        async def act() -> MessageOut:
            return _check(await parts.mail.send(body, who.name, who.scope))

        answer: Any = await once(request, who.user, key, act)
        return answer


def _check(answer: Any) -> Any:
    if isinstance(answer, Rejected):
        raise ProblemError.of(404 if answer.code in _UNKNOWN else 409, answer)
    return answer
