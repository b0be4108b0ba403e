"""REST: the live list, its stream, alarm detail, acknowledge, outcome."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from factory_brain.application.desk import Desk
from factory_brain.application.details import Details
from factory_brain.application.live_view import LiveView
from factory_brain.application.outcomes import Outcomes
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once, while_allowed
from shared.web.dto import (
    AckRequest,
    ActionResult,
    AlarmDetail,
    AlarmSnapshot,
    ItemResult,
    OutcomeRequest,
    Samples,
)
from shared.web.etags import tag_of
from shared.web.may_answer import may_answer
from shared.web.problem import ProblemError
from shared.web.sse import Broadcaster, StreamFrame
from shared.web.streaming import ClosingStream

Viewer = Annotated[User, Depends(allowed("view"))]
Operator = Annotated[User, Depends(allowed("acknowledge"))]
Moment = Annotated[int, Query(ge=0, le=1 << 53)]
_AT = re.compile(rb'"at":\d+')
Labeller = Annotated[User, Depends(allowed("label"))]


def item_result(occurrence: str, refusal: Rejected | None) -> ItemResult:
    """A row's answer."""
    if refusal is None:
        return ItemResult(occurrence=occurrence, accepted=True)
    return ItemResult(
        occurrence=occurrence, accepted=False, code=refusal.code, params=refusal.params
    )


def picture(live: LiveView) -> StreamFrame:
    """The whole list as a frame of the stream, with the place in it that it stands for."""
    return StreamFrame("snapshot", live.snapshot_json(), f"{live.epoch}-{live.seq}")


def alarm_router(
    live: LiveView, broadcaster: Broadcaster, desk: Desk, outcomes: Outcomes, details: Details
) -> APIRouter:
    """Routes of the alarm list."""
    router = APIRouter(prefix="/api", tags=["alarms"])

    @router.get("/alarms", response_model=AlarmSnapshot)
    async def snapshot(_: Viewer) -> Response:
        body = live.snapshot_json()
        # The moment of asking alone is no change.
        tag = tag_of(_AT.sub(b"", body, count=1))
        return Response(body, media_type="application/json", headers={"ETag": f"W/{tag}"})

    @router.get(
        "/stream", response_class=ClosingStream, responses=may_answer(text="text/event-stream")
    )
    async def stream(
        user: Viewer, request: Request, last_event_id: Annotated[str | None, Header()] = None
    ) -> ClosingStream:
        frames = broadcaster.stream(last_event_id=last_event_id, attends=user.may("acknowledge"))
        frames = while_allowed(request, "view", frames)
        return ClosingStream(
            frames, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    @router.post("/alarms/ack")
    async def acknowledge(
        body: AckRequest, user: Operator, key: IdempotencyKey, request: Request
    ) -> ActionResult:
        async def act() -> ActionResult:
            results: list[ItemResult] = []
            for item in body.items:
                if not user.may("acknowledge", await desk.asset(item.alarm)):
                    refusal = Rejected("not_allowed_here", {"alarm": item.alarm})
                else:
                    refusal = await desk.acknowledge(
                        item.alarm, item.occurrence, item.version, user.name, body.comment
                    )
                results.append(item_result(item.occurrence, refusal))
            return ActionResult(results=results)

        answer: Any = await once(request, user, key, act, harmless=True)
        return answer

    @router.get("/alarms/{alarm}")
    async def detail(alarm: str, _: Viewer) -> AlarmDetail:
        found = await details.alarm(alarm)
        if found is None:
            raise ProblemError(404, "unknown_alarm", alarm=alarm)
        return found

    @router.post("/occurrences/{occurrence}/outcome")
    async def label(
        occurrence: str, body: OutcomeRequest, user: Labeller, key: IdempotencyKey,
        request: Request,
    ) -> ItemResult:  # fmt: skip
        here = user.may("label", await desk.asset_of(occurrence))

        async def act() -> ItemResult:
            if not here:
                refusal = Rejected("not_allowed_here", {"alarm": occurrence, "action": "label"})
                return item_result(occurrence, refusal)
            refusal = await outcomes.label(
                occurrence, body.outcome, body.cause, body.comment, user.name
            )
            if refusal is not None and refusal.code == "unknown_occurrence":
                raise ProblemError.of(404, refusal)
            return item_result(occurrence, refusal)

        answer: Any = await once(request, user, key, act)
        return answer

    @router.get("/tags/{tag}/samples")
    async def samples(
        tag: str, _: Viewer, since: Moment = 0, until: Moment | None = None,
        max: Annotated[int, Query(ge=1, le=10_000)] = 2000,
    ) -> Samples:  # fmt: skip
        found = await details.samples(tag, since, until, max)
        if found is None:
            raise ProblemError(404, "unknown_tag", tag=tag)
        return found

    return router
