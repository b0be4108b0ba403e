"""REST of the group: factories, proposals, decisions, the stream.

Routes translate; what is decided is decided in the application.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse

from group_cloud.application.fleet import FactoryView
from group_cloud.application.live import GroupLive
from group_cloud.application.operator_state import OperatorStates
from group_cloud.application.proposals import ProposalDesk
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once, while_allowed
from shared.web.dto import DecisionRequest, FactoryList, Proposal, ProposalList
from shared.web.dto_desk import OperatorState
from shared.web.problem import ProblemError
from shared.web.sse import Broadcaster

Viewer = Annotated[User, Depends(allowed("view"))]
Decider = Annotated[User, Depends(allowed("decide_proposal"))]


def group_router(
    factories: FactoryView, desk: ProposalDesk, live: GroupLive, broadcaster: Broadcaster,
    states: OperatorStates,
) -> APIRouter:  # fmt: skip
    """Routes of the group's console."""
    router = APIRouter(prefix="/api", tags=["group"])

    @router.get("/factories")
    async def list_factories(_: Viewer) -> FactoryList:
        return await factories.as_dto()

    @router.get("/factories/{site}/occurrences/{occurrence}")
    async def operator_state(site: str, occurrence: str, _: Viewer) -> OperatorState:
        found = await states.as_dto(site, occurrence)
        if found is None:
            raise ProblemError(404, "unknown_occurrence", occurrence=occurrence)
        return found

    @router.get("/proposals")
    async def list_proposals(_: Viewer) -> ProposalList:
        return await desk.listed()

    @router.post("/proposals/{proposal}/decision")
    async def decide(
        proposal: str, body: DecisionRequest, user: Decider, key: IdempotencyKey, request: Request
    ) -> Proposal:
        async def act() -> Proposal:
            answer = await desk.decide(proposal, body.decision, body.reason, user.name)
            if isinstance(answer, Rejected):
                raise ProblemError.of(404 if answer.code == "unknown_proposal" else 409, answer)
            return answer

        answer: Any = await once(request, user, key, act)
        return answer

    @router.get("/stream", response_class=StreamingResponse)
    async def stream(
        _: Viewer, request: Request, last_event_id: Annotated[str | None, Header()] = None
    ) -> StreamingResponse:
        # The group shows, it never sounds: no viewer of this page counts as attending.
        frames = broadcaster.stream(
            last_event_id=last_event_id, attends=False, first=await live.first()
        )
        frames = while_allowed(request, "view", frames)
        return StreamingResponse(
            frames, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    return router


def health_router(ready: Callable[[], Awaitable[bool]]) -> APIRouter:
    """Whether this process can do its work, for supervisors."""
    router = APIRouter(prefix="/api", tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, bool]:
        return {"ok": await ready()}

    return router
