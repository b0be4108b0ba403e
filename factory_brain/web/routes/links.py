"""REST: inbound webhooks; deliveries and devices to look at, to replay and to tell."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from factory_brain.web.parts import LinkParts
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto_linked import (
    LINK_ID,
    Accepted,
    DeliveryPage,
    DeliveryStatus,
    HookAnswer,
    LinkedDevices,
    Links,
    NoticePage,
    NoticeRequest,
    NoticeStatus,
    Replayed,
    ReplayRequest,
)
from shared.web.may_answer import may_answer
from shared.web.paging import cursor_of, parts_of
from shared.web.problem import ProblemError

Viewer = Annotated[User, Depends(allowed("view"))]
Keeper = Annotated[User, Depends(allowed("manage_links", everywhere=True))]
Limit = Annotated[int, Query(ge=1, le=200)]
BODY_S = 10
"""How long a message may take to come."""
_STATUS = {
    "unknown_link": 404, "hook_not_genuine": 401, "hook_too_old": 401, "too_many_messages": 429,
    "link_busy": 503, "link_not_ready": 503, "hook_not_json": 400, "hook_mapping": 422,
}  # fmt: skip


def link_router(parts: LinkParts) -> APIRouter:
    """Routes of linked systems and devices."""
    router = APIRouter(prefix="/api", tags=["links"])
    _hooks(router, parts)
    _deliveries(router, parts)
    _devices(router, parts)
    return router


def _hooks(router: APIRouter, parts: LinkParts) -> None:
    @router.post("/hooks/{link}", responses=may_answer(401, 408))
    async def hook(link: str, request: Request, response: Response) -> HookAnswer:
        """A linked system's message, believed by its signature (see `links.yaml`)."""
        most = parts.inbound.limit(link)
        if most is None:
            raise ProblemError(404, "unknown_link", link=link)
        try:
            async with asyncio.timeout(BODY_S):
                body = await _body(request, most)
        except TimeoutError as error:
            raise ProblemError(408, "hook_too_slow", seconds=BODY_S) from error
        answer = await parts.inbound.take(link, request.headers, body)
        if isinstance(answer, Rejected):
            raise _problem(answer)
        response.headers["Cache-Control"] = "no-store"
        return HookAnswer.model_validate(answer)

    @router.post("/links/alarms/{alarm}/end")
    async def end_alarm(
        alarm: str, user: Keeper, key: IdempotencyKey, request: Request
    ) -> Accepted:
        """End an alarm whose linked system will never say that it is over."""

        async def act() -> Accepted:
            if not await parts.overview.end_alarm(alarm, user.name):
                raise ProblemError(404, "unknown_alarm", alarm=alarm)
            return Accepted(id=alarm)

        answer: Any = await once(request, user, key, act)
        return answer


async def _body(request: Request, most: int) -> bytes:
    """The body, read no further than it may be long."""
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise ProblemError(413, "hook_too_large", bytes=most)
        parts.append(chunk)
    return b"".join(parts)


def _problem(refused: Rejected) -> ProblemError:
    return ProblemError.of(_STATUS.get(refused.code, 422), refused)


def _deliveries(router: APIRouter, parts: LinkParts) -> None:
    @router.get("/links")
    async def links(_: Viewer) -> Links:
        return await parts.overview.links()

    @router.get("/links/deliveries")
    async def deliveries(
        _: Keeper, status: DeliveryStatus | None = None,
        outbound: Annotated[str | None, Query(pattern=LINK_ID, max_length=64)] = None,
        limit: Limit = 50, cursor: str | None = None,
    ) -> DeliveryPage:  # fmt: skip
        found = await parts.overview.deliveries(outbound, status, _before(cursor), limit + 1)
        more = cursor_of(found[limit - 1][0]) if len(found) > limit else None
        return DeliveryPage(items=[item for _, item in found[:limit]], next=more)

    @router.post("/links/deliveries/replay")
    async def replay(
        body: ReplayRequest, user: Keeper, key: IdempotencyKey, request: Request
    ) -> Replayed:
        async def act() -> Replayed:
            number = await parts.outbound.replay(body.outbound, body.delivery, user.name)
            return Replayed(replayed=number)

        answer: Any = await once(request, user, key, act)
        return answer

    @router.post("/links/outbound/{link}/enable")
    async def enable(link: str, user: Keeper, key: IdempotencyKey, request: Request) -> Accepted:
        async def act() -> Accepted:
            if not await parts.outbound.enable(link, user.name):
                raise ProblemError(404, "unknown_link", link=link)
            return Accepted(id=link)

        answer: Any = await once(request, user, key, act)
        return answer


def _devices(router: APIRouter, parts: LinkParts) -> None:
    @router.get("/links/devices")
    async def devices(_: Viewer) -> LinkedDevices:
        return await parts.overview.devices()

    @router.get("/links/devices/{device}/notices")
    async def notices(
        device: str, _: Viewer, status: NoticeStatus | None = None, limit: Limit = 50,
        cursor: str | None = None,
    ) -> NoticePage:  # fmt: skip
        found = await parts.overview.notices(device, status, _before(cursor), limit + 1)
        if found is None:
            raise ProblemError(404, "unknown_device", device=device)
        more = cursor_of(found[limit - 1].seq) if len(found) > limit else None
        return NoticePage(items=found[:limit], next=more)

    @router.post("/links/devices/{device}/notices")
    async def tell(
        device: str, body: NoticeRequest, user: Keeper, key: IdempotencyKey, request: Request
    ) -> Accepted:
        async def act() -> Accepted:
            notice = f"{user.name}-{key}"[:200]
            told = await parts.devices.order(device, body.model_dump(), notice, user.name)
            if not told:
                raise ProblemError(404, "unknown_device", device=device)
            return Accepted(id=notice)

        answer: Any = await once(request, user, key, act)
        return answer


def _before(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    return parts_of(cursor, int)[0]
