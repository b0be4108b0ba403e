"""REST of the group: factories, proposals, decisions, the stream.

Routes translate; what is decided is decided in the application.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request

from group_cloud.application.fleet import FactoryView
from group_cloud.application.live import GroupLive
from group_cloud.application.operator_state import OperatorStates
from group_cloud.application.proposals import ProposalDesk
from group_cloud.web.scope import Who, scoped
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, once, while_allowed
from shared.web.dto import DecisionRequest, FactoryList, Proposal, ProposalList
from shared.web.dto_desk import OperatorState
from shared.web.may_answer import may_answer
from shared.web.problem import ProblemError
from shared.web.streaming import ClosingStream

Viewer = Annotated[Who, Depends(scoped("view"))]
Decider = Annotated[Who, Depends(scoped("decide_proposal"))]


def group_router(
    factories: FactoryView, desk: ProposalDesk, live: GroupLive, states: OperatorStates
) -> APIRouter:  # fmt: skip
    """Routes of the group's console."""
    router = APIRouter(prefix="/api", tags=["group"])

    @router.get("/factories")
    async def list_factories(who: Viewer) -> FactoryList:
        return await factories.as_dto(who.scope)

    @router.get("/factories/{site}/occurrences/{occurrence}")
    async def operator_state(site: str, occurrence: str, who: Viewer) -> OperatorState:
        found = await states.as_dto(who.scope, site, occurrence)
        if found is None:
            raise ProblemError(404, "unknown_occurrence", occurrence=occurrence)
        return found

    @router.get("/proposals")
    async def list_proposals(who: Viewer) -> ProposalList:
        return await desk.listed(who.scope)

    @router.post("/proposals/{proposal}/decision")
    async def decide(
        proposal: str, body: DecisionRequest, who: Decider, key: IdempotencyKey, request: Request
    ) -> Proposal:
        async def act() -> Proposal:
            answer = await desk.decide(proposal, body.decision, body.reason, who.name, who.scope)
            if isinstance(answer, Rejected):
                raise ProblemError.of(404 if answer.code == "unknown_proposal" else 409, answer)
            return answer

        answer: Any = await once(request, who.user, key, act)
        return answer

    @router.get(
        "/stream", response_class=ClosingStream, responses=may_answer(text="text/event-stream")
    )
    async def stream(
        who: Viewer, request: Request, last_event_id: Annotated[str | None, Header()] = None
    ) -> ClosingStream:
        frames = await live.stream(who.scope, last_event_id)
        frames = while_allowed(request, "view", frames)
        return ClosingStream(
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
