"""REST of the total set: events, incidents, runs and figures over factories; tenants.

Each route works within the asker's scope; what lies outside is as unknown as what never was.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request

from group_cloud.application.tenants import Tenants
from group_cloud.application.total_view import TotalView
from group_cloud.domain.scope import Scope
from group_cloud.web.scope import Who, scoped
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto_total import (
    CauseList,
    Comparison,
    GroupEventPage,
    GroupIncidentDetail,
    GroupIncidentPage,
    GroupRunPage,
    GroupStatistics,
    NewTenant,
    PlaybookFiguresList,
    SiteTenant,
    TenantList,
)
from shared.web.paging import cursor_of, parts_of
from shared.web.problem import ProblemError

Viewer = Annotated[Who, Depends(scoped("view"))]
Admin = Annotated[User, Depends(allowed("administer", everywhere=True))]
Word = Annotated[str | None, Query(max_length=200)]
Moment = Annotated[int, Query(ge=0, le=1 << 62)]
Day = Annotated[int | None, Query(ge=0, le=100_000)]
Limit = Annotated[int, Query(ge=1, le=500)]
_KEYS = (int, str, str)


def total_router(view: TotalView, tenants: Tenants) -> APIRouter:
    """Routes of /api/group and /api/tenants."""
    router = APIRouter(prefix="/api", tags=["group"])
    _pages(router, view)
    _figures(router, view)
    _tenants(router, tenants)
    return router


def _pages(router: APIRouter, view: TotalView) -> None:
    @router.get("/group/events")
    async def events(
        who: Viewer, limit: Limit = 100, cursor: Word = None, site: Word = None, type: Word = None,
        alarm: Word = None, occurrence: Word = None, since: Moment = 0, until: Moment = 1 << 62,
    ) -> GroupEventPage:  # fmt: skip
        after = parts_of(cursor, int, str, str, str, int) if cursor is not None else None
        only = {
            "site": site, "type": type, "alarm": alarm, "occurrence": occurrence, "since": since,
            "until": until,
        }  # fmt: skip
        page, following = await view.events(who.scope, limit, tuple(after) if after else None, only)
        return GroupEventPage(items=page, next=cursor_of(*following) if following else None)

    @router.get("/group/incidents")
    async def incidents(
        who: Viewer, limit: Limit = 100, cursor: Word = None, site: Word = None,
        state: Literal["open", "closed", "all"] = "open",
    ) -> GroupIncidentPage:  # fmt: skip
        after = tuple(parts_of(cursor, *_KEYS)) if cursor is not None else None
        page, following = await view.incidents(who.scope, limit, after, site, state)
        return GroupIncidentPage(items=page, next=cursor_of(*following) if following else None)

    @router.get("/group/incidents/{site}/{incident}")
    async def incident(site: str, incident: str, who: Viewer) -> GroupIncidentDetail:
        found = await view.incident(who.scope, site, incident)
        if found is None:
            raise ProblemError(404, "unknown_incident", incident=incident)
        return found

    @router.get("/group/runs")
    async def runs(
        who: Viewer, limit: Limit = 100, cursor: Word = None, site: Word = None,
        playbook: Word = None, occurrence: Word = None,
    ) -> GroupRunPage:  # fmt: skip
        after = tuple(parts_of(cursor, *_KEYS)) if cursor is not None else None
        only = {"site": site, "playbook": playbook, "occurrence": occurrence}
        page, following = await view.runs(who.scope, limit, after, only)
        return GroupRunPage(items=page, next=cursor_of(*following) if following else None)


def _figures(router: APIRouter, view: TotalView) -> None:
    @router.get("/group/playbooks")
    async def playbooks(who: Viewer, since: Day = None, until: Day = None) -> PlaybookFiguresList:
        return await view.playbooks(who.scope, since, until)

    @router.get("/group/statistics")
    async def statistics(who: Viewer, since: Day = None, until: Day = None) -> GroupStatistics:
        return await view.statistics(who.scope, since, until)

    @router.get("/group/causes")
    async def causes(who: Viewer, since: Day = None, until: Day = None) -> CauseList:
        return await view.causes(who.scope, since, until)

    @router.get("/group/compare")
    async def compare(
        who: Viewer, by: Literal["process", "asset_class", "tag_class"] = "tag_class",
        since: Day = None, until: Day = None,
    ) -> Comparison:  # fmt: skip
        return await view.compare(who.scope, by, since, until)


def _tenants(router: APIRouter, tenants: Tenants) -> None:
    @router.get("/tenants")
    async def listed(who: Viewer) -> TenantList:
        return await tenants.listed(who.scope)

    @router.post("/tenants")
    async def add(
        body: NewTenant, user: Admin, key: IdempotencyKey, request: Request
    ) -> TenantList:
        async def act() -> TenantList:
            refusal = await tenants.add(body.id, body.name, user.name)
            return await _all(tenants, refusal, user)

        answer: Any = await once(request, user, key, act)
        return answer

    @router.put("/factories/{site}/tenant")
    async def give(
        site: str, body: SiteTenant, user: Admin, key: IdempotencyKey, request: Request
    ) -> TenantList:
        async def act() -> TenantList:
            refusal = await tenants.give(site, body.tenant, user.name)
            return await _all(tenants, refusal, user)

        answer: Any = await once(request, user, key, act)
        return answer


async def _all(tenants: Tenants, refusal: Rejected | None, user: User) -> TenantList:
    if refusal is not None:
        status = {"tenant_exists": 409, "bad_tenant_name": 422}.get(refusal.code, 404)
        raise ProblemError.of(status, refusal)
    return await tenants.listed(Scope.of(user, "administer"))
