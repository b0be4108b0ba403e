"""REST of proposals beyond list and decision: one of them, its history, one's own, a search now.

Routes translate; what is decided is decided in the application.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from group_cloud.application.histories import Histories
from group_cloud.application.limit_trainer import LimitTrainer
from group_cloud.application.own_proposals import OwnProposals
from group_cloud.application.proposals import ProposalDesk
from group_cloud.application.tenants import Tenants
from group_cloud.application.trying import Trying
from group_cloud.web.scope import Who, scoped
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, once
from shared.web.dto import Proposal
from shared.web.dto_proposals import ProposalHistory, ProposeRequest, SearchAnswer, SearchRequest
from shared.web.dto_tries import TryAnswer, TryRequest, TunablePointList
from shared.web.problem import ProblemError

Viewer = Annotated[Who, Depends(scoped("view"))]
Proposer = Annotated[Who, Depends(scoped("propose_setting"))]
Decider = Annotated[Who, Depends(scoped("decide_proposal"))]
Named = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$")]


@dataclass(frozen=True, slots=True)
class ProposalParts:
    """What these routes call."""

    desk: ProposalDesk
    own: OwnProposals
    histories: Histories
    limits: LimitTrainer
    trying: Trying
    tenants: Tenants


def proposal_router(parts: ProposalParts) -> APIRouter:
    """Routes below /api/proposals."""
    router = APIRouter(prefix="/api", tags=["group"])

    @router.post("/proposals", status_code=201)
    async def propose(
        body: ProposeRequest, who: Proposer, key: IdempotencyKey, request: Request
    ) -> Proposal:
        async def act() -> Proposal:
            answer = await parts.own.propose(body, who.name, who.scope)
            if isinstance(answer, Rejected):
                status = 404 if answer.code == "unknown_alarm_point" else 409
                raise ProblemError.of(status, answer)
            return answer

        answer: Any = await once(request, who.user, key, act)
        return answer

    @router.post("/proposals/search", status_code=202)
    async def search_now(body: SearchRequest, who: Decider) -> SearchAnswer:
        sites = await parts.tenants.sites(who.scope)
        known = sorted(await parts.limits.sites())
        found = [site for site in known if sites is None or site in sites]
        if body.site and body.site not in found:
            raise ProblemError(404, "unknown_site", site=body.site)
        wanted = [body.site] if body.site else found
        parts.limits.ask(wanted)
        return SearchAnswer(sites=wanted)

    _tries(router, parts)

    @router.get("/proposals/{proposal}")
    async def one_proposal(proposal: str, who: Viewer) -> Proposal:
        answer = await parts.desk.one(proposal, who.scope)
        if isinstance(answer, Rejected):
            raise ProblemError.of(404, answer)
        return answer

    @router.get("/proposals/{proposal}/history")
    async def proposal_history(proposal: str, who: Viewer) -> ProposalHistory:
        found = await parts.histories.shown(proposal, who.scope)
        if found is None:
            raise ProblemError(404, "unknown_proposal", proposal=proposal)
        return found

    return router


def _tries(router: APIRouter, parts: ProposalParts) -> None:
    @router.get("/tunable-points")
    async def tunable_points(
        who: Viewer, site: Annotated[str, Query(min_length=1, max_length=64)]
    ) -> TunablePointList:
        return await parts.trying.points(site, who.scope)

    @router.post("/setting-tries")
    async def try_setting(body: TryRequest, who: Proposer) -> TryAnswer:
        """Asks only; asked twice it is one question."""
        answer = await parts.trying.ask(body, who.name, who.scope)
        if isinstance(answer, Rejected):
            raise ProblemError.of(404 if answer.code == "unknown_alarm_point" else 409, answer)
        return answer

    @router.get("/setting-tries/{name}")
    async def one_try(name: Named, who: Viewer) -> ProposalHistory:
        found = await parts.trying.shown(name, who.scope)
        if found is None:
            raise ProblemError(404, "unknown_try", name=name)
        return found
