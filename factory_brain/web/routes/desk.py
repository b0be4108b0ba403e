"""REST: every desk action on rendered rows, and the lists of what is kept from people."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from factory_brain.application.desk import Desk
from factory_brain.domain.desk_rules import RIGHTS, Asked
from factory_brain.web.parts import DeskParts
from factory_brain.web.routes.alarms import item_result
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto import AckItem, ActionResult, ItemResult
from shared.web.dto_desk import ActionArgs, ActionItem, ActionRequest, HeldList, KnownAlarms
from shared.web.paging import parts_of

Viewer = Annotated[User, Depends(allowed("view"))]


async def act_on(
    desk: Desk, user: User, action: str, item: ActionItem | AckItem, args: dict[str, Any]
) -> ItemResult:
    """One row's answer; whether this person may do it there is asked for each row."""
    right = RIGHTS[action]
    if not user.may(right, await desk.asset(item.alarm)):
        refusal = Rejected("not_allowed_here", {"alarm": item.alarm, "action": action})
        return item_result(item.occurrence, refusal)
    asked = Asked(item.alarm, item.occurrence, item.version, action, args)
    return item_result(item.occurrence, await desk.act(asked, user.name))


def arguments(action: str, args: ActionArgs) -> dict[str, Any]:
    """What of the form belongs to an action, as its fact carries it."""
    wanted: dict[str, Any] = {
        "acknowledge": {"comment": args.comment},
        "shelve": {"reason": args.reason, "one_shot": args.one_shot, "ms": _ms(args)},
        "suppress": {"reason": args.reason},
        "disable": {"reason": args.reason},
        "out_of_service": {
            "reason": args.reason, "permit": args.permit, "approved_by": args.approved_by,
            "until": args.until,
        },
        "comment": {"text": args.text},
        "assign": {"to": args.to, "text": args.text},
    }.get(action, {})  # fmt: skip
    kept = {"to"} if args.to is not None else set[str]()
    return {name: value for name, value in wanted.items() if value or name in kept}


def _ms(args: ActionArgs) -> int | None:
    return int(args.minutes * 60_000) if args.minutes is not None and not args.one_shot else None


def desk_router(desk: Desk, parts: DeskParts) -> APIRouter:
    """Routes of the desk; included before those of single alarms, whose path would take them."""
    router = APIRouter(prefix="/api", tags=["desk"])

    @router.post("/alarms/actions")
    async def act(
        body: ActionRequest, user: Viewer, key: IdempotencyKey, request: Request
    ) -> ActionResult:
        async def run() -> ActionResult:
            args = arguments(body.action, body.args)
            return ActionResult(
                results=[await act_on(desk, user, body.action, item, args) for item in body.items]
            )

        answer: Any = await once(request, user, key, run)
        return answer

    @router.get("/alarms/shelved")
    async def shelved(_: Viewer) -> HeldList:
        return await parts.lists.held("shelf")

    @router.get("/alarms/suppressed")
    async def suppressed(_: Viewer) -> HeldList:
        return await parts.lists.held("suppressed")

    @router.get("/alarms/out-of-service")
    async def out_of_service(_: Viewer) -> HeldList:
        return await parts.lists.held("out_of_service")

    @router.get("/desk/alarms")
    async def known(
        _: Viewer, q: Annotated[str, Query(max_length=100)] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 100, cursor: str | None = None,
    ) -> KnownAlarms:  # fmt: skip
        after = parts_of(cursor, str)[0] if cursor is not None else ""
        return await parts.lists.known(q, limit, after)

    return router
