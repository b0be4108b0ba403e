"""REST: playbooks' webhooks that nobody took, listed and sent again; never changes a run's course.

Beside `links.py`, whose dead letters are those of `links.yaml`.
"""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Query, Request

from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto_linked import Replayed
from shared.web.dto_runs import DeadWebhook, DeadWebhooks, WebhookReplay
from shared.web.paging import cursor_of, parts_of

Keeper = Annotated[User, Depends(allowed("manage_links", everywhere=True))]


class Webhooks(Protocol):
    """What the routes need of the playbook engine."""

    async def dead_webhooks(
        self, limit: int, before: tuple[int, str] | None = None
    ) -> list[dict[str, Any]]:
        """Webhooks that nobody took, those given up last first; `before`: older ones than that."""
        ...

    async def replay_webhook(self, webhook: str, user: str) -> bool:
        """Send a dead one again, under its id; False if it is not dead."""
        ...


class Runs(Protocol):
    """Where that is."""

    @property
    def control(self) -> Webhooks:
        """People's words to runs and their webhooks."""
        ...


def dead_webhook_router(runs: Runs) -> APIRouter:
    """Routes of playbooks' dead webhooks."""
    router = APIRouter(prefix="/api", tags=["runs"])

    @router.get("/playbook-webhooks/dead")
    async def dead(
        _: Keeper, limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=900)] = None,
    ) -> DeadWebhooks:  # fmt: skip
        before: Any = None if cursor is None else tuple(parts_of(cursor, int, str))
        rows = await runs.control.dead_webhooks(limit + 1, before)
        items = [DeadWebhook.model_validate(row) for row in rows[:limit]]
        more = cursor_of(items[-1].due, items[-1].id) if len(rows) > limit else None
        return DeadWebhooks(items=items, next=more)

    @router.post("/playbook-webhooks/replay")
    async def replay(
        body: WebhookReplay, user: Keeper, key: IdempotencyKey, request: Request
    ) -> Replayed:
        async def act() -> Replayed:
            replayed = await runs.control.replay_webhook(body.id, user.name)
            return Replayed(replayed=int(replayed))

        found: Any = await once(request, user, key, act)
        return found

    return router
