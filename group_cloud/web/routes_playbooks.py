"""REST of the group's playbooks: versions, how they rank, roll-outs to factories, steering.

Routes translate; what is decided is decided in the application.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Request

from group_cloud.application.playbooks.desk import BookDesk
from group_cloud.application.playbooks.ranking import BookRanking
from group_cloud.web.scope import Who, scoped
from shared.errors import Rejected
from shared.web import dto_group_playbooks as dto
from shared.web.auth import IdempotencyKey, once
from shared.web.problem import ProblemError

Viewer = Annotated[Who, Depends(scoped("view"))]
Decider = Annotated[Who, Depends(scoped("decide_proposal"))]
Steerer = Annotated[Who, Depends(scoped("steer_rollout"))]
Named = Annotated[str, Path(max_length=96, pattern=r"^[^\x00]+$")]
T = TypeVar("T")
_STATUS = {
    "unknown_rollout": 404, "unknown_variant": 404, "unknown_site": 404, "other_tenant": 403,
    "not_allowed": 403,
    "own_playbook_rollout": 403, "playbook_has_errors": 422, "version_or_inputs": 422,
    "input_outside_bounds": 422, "input_unfit": 422, "input_not_tunable": 422,
    "unknown_input": 422,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BookParts:
    """What these routes call."""

    desk: BookDesk
    ranking: BookRanking


def playbook_router(parts: BookParts) -> APIRouter:
    """Routes of /api/playbook-variants, /api/playbook-ranking and /api/playbook-rollouts."""
    router = APIRouter(prefix="/api", tags=["playbooks"])

    @router.get("/playbook-variants")
    async def variants(_: Viewer) -> dto.VariantList:
        return await parts.desk.variants()

    @router.post("/playbook-variants", status_code=201)
    async def add_variant(
        body: dto.VariantIn, who: Decider, key: IdempotencyKey, request: Request
    ) -> dto.VariantOut:
        async def act() -> dto.VariantOut:
            return _or_problem(await parts.desk.add_variant(body, who.name, who.scope))

        answer: Any = await once(request, who.user, key, act)
        return answer

    @router.get("/playbook-ranking/{playbook}")
    async def ranking(playbook: Named, who: Viewer) -> dto.RankingList:
        """Ranks only: which version runs is decided by people."""
        return await parts.ranking.shown(playbook, who.scope)

    @router.get("/playbook-rollouts")
    async def rollouts(who: Viewer) -> dto.PlaybookRolloutList:
        return await parts.desk.listed(who.scope)

    @router.post("/playbook-rollouts", status_code=201)
    async def begin(
        body: dto.PlaybookRolloutIn, who: Decider, key: IdempotencyKey, request: Request
    ) -> dto.PlaybookRolloutOut:
        """Proposed only; somebody else has to approve it."""

        async def act() -> dto.PlaybookRolloutOut:
            return _or_problem(await parts.desk.begin(body, who.name, who.scope))

        answer: Any = await once(request, who.user, key, act)
        return answer

    @router.post("/playbook-rollouts/{rollout}/actions")
    async def steer(
        rollout: Named, body: dto.PlaybookRolloutAct, who: Steerer, key: IdempotencyKey,
        request: Request,
    ) -> dto.PlaybookRolloutOut:  # fmt: skip
        async def act() -> dto.PlaybookRolloutOut:
            return _or_problem(await parts.desk.act(rollout, body, who.name, who.scope))

        answer: Any = await once(request, who.user, key, act)
        return answer

    return router


def _or_problem(answer: T | Rejected) -> T:
    if isinstance(answer, Rejected):
        raise ProblemError.of(_STATUS.get(answer.code, 409), answer)
    return answer
