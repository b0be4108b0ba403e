"""REST of drift notices, the ranking of nuisance, and proposals to shelve.

Each route works within the asker's scope; what is decided is decided in the application.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request

from group_cloud.application.notices.desk import NoticeDesk
from group_cloud.application.nuisance.shelving import ShelvingDesk
from group_cloud.application.nuisance.view import NuisanceView
from group_cloud.domain.scope import Scope
from group_cloud.web.scope import Who, scoped
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, once
from shared.web.dto_notices import (
    NoticeClose,
    NoticeList,
    NuisanceRanking,
    ShelvingDecision,
    ShelvingList,
)
from shared.web.problem import ProblemError

Viewer = Annotated[Who, Depends(scoped("view"))]
Looker = Annotated[Who, Depends(scoped("propose_setting"))]
Decider = Annotated[Who, Depends(scoped("decide_proposal"))]
Site = Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]+$")]
Named = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$")]
_UNKNOWN = ("unknown_notice", "unknown_shelving")


@dataclass(frozen=True, slots=True)
class NoticeParts:
    """What these routes call."""

    desk: NoticeDesk
    nuisance: NuisanceView
    shelving: ShelvingDesk


def notice_router(parts: NoticeParts) -> APIRouter:
    """Routes of /api/notices, /api/nuisance and /api/shelving-proposals."""
    router = APIRouter(prefix="/api", tags=["notices"])

    @router.get("/notices")
    async def notices(
        who: Viewer, site: Site = None,
        state: Literal["live", "open", "taken", "closed", "all"] = "live",
    ) -> NoticeList:  # fmt: skip
        return await parts.desk.listed(who.scope, site, state)

    @router.post("/notices/{notice}/take")
    async def take(notice: Named, who: Looker, key: IdempotencyKey, request: Request) -> NoticeList:
        """Whoever takes it looks into it; it may be taken over."""

        async def act() -> NoticeList:
            _check(await parts.desk.take(notice, who.name, who.scope))
            return await parts.desk.listed(_seen(who))

        answer: Any = await once(request, who.user, key, act)
        return answer

    @router.post("/notices/{notice}/close")
    async def close(
        notice: Named, body: NoticeClose, who: Looker, key: IdempotencyKey, request: Request
    ) -> NoticeList:
        async def act() -> NoticeList:
            _check(await parts.desk.close(notice, body.reason, who.name, who.scope))
            return await parts.desk.listed(_seen(who))

        answer: Any = await once(request, who.user, key, act)
        return answer

    _nuisance(router, parts)
    return router


def _nuisance(router: APIRouter, parts: NoticeParts) -> None:
    @router.get("/nuisance")
    async def ranking(who: Viewer, site: Site = None) -> NuisanceRanking:
        """Ranks only: every alarm stays where it is."""
        return await parts.nuisance.shown(who.scope, site)

    @router.get("/shelving-proposals")
    async def proposals(who: Viewer, site: Site = None) -> ShelvingList:
        return await parts.shelving.listed(who.scope, site)

    @router.post("/shelving-proposals/{proposal}/decision")
    async def decide(
        proposal: Named, body: ShelvingDecision, who: Decider, key: IdempotencyKey,
        request: Request,
    ) -> ShelvingList:  # fmt: skip
        """Approved, it asks the factory's desk by a message; it shelves nothing."""

        async def act() -> ShelvingList:
            _check(
                await parts.shelving.decide(
                    proposal, body.decision, body.reason, who.name, who.scope
                )
            )
            return await parts.shelving.listed(_seen(who))

        answer: Any = await once(request, who.user, key, act)
        return answer


def _seen(who: Who) -> Scope:
    """What they may look at, which is often more than what they may act on."""
    return Scope.of(who.user, "view")


def _check(refused: Rejected | None) -> None:
    if refused is not None:
        raise ProblemError.of(404 if refused.code in _UNKNOWN else 409, refused)
