"""REST of the audit log: page by page, the newest first; the same on every tier."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from shared.identity.policy import User
from shared.web.auth import allowed
from shared.web.dto_identity import AuditEntryOut, AuditPage
from shared.web.identity_ports import identity_of
from shared.web.paging import cursor_of, parts_of

Word = Annotated[str | None, Query(max_length=200)]
BIGGEST = 2**63 - 1
Moment = Annotated[int | None, Query(ge=0, le=BIGGEST)]


def audit_router(*, everywhere: bool = False) -> APIRouter:
    """Routes of /api/audit; `everywhere`: for those alone whose right has no limit of area."""
    router = APIRouter(prefix="/api", tags=["audit"])
    reader = Depends(allowed("read_audit", everywhere=everywhere))

    @router.get("/audit")
    async def page(
        request: Request, _: User = reader, limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, Query(max_length=200)] = None, actor: Word = None,
        action: Word = None, target: Word = None, since: Moment = None, until: Moment = None,
    ) -> AuditPage:  # fmt: skip
        before = parts_of(cursor, int)[0] if cursor is not None else None
        rows = await identity_of(request).audits.entries(
            limit=limit + 1, before_id=before, actor=actor, action=action, target=target,
            since=since, until=until,
        )  # fmt: skip
        items = [AuditEntryOut(**row) for row in rows[:limit]]
        return AuditPage(items=items, next=cursor_of(items[-1].id) if len(rows) > limit else None)

    return router
