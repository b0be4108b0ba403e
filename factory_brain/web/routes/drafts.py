"""REST: drafts of playbooks: writing, comments, review by somebody else, diff, test, replay."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from factory_brain.application.playbooks.authoring.drafts import Wanted
from factory_brain.application.playbooks.authoring.exchange import Taken, from_document
from factory_brain.application.playbooks.authoring.ports import LIVE_DRAFTS, Draft
from factory_brain.application.playbooks.authoring.rehearsing import rehearse
from factory_brain.application.playbooks.authoring.views import draft_summary, remark_out
from factory_brain.web.routes.playbooks import (
    Limit,
    Named,
    PlaybookParts,
    Viewer,
    Writer,
    refused,
    replayed,
)
from factory_brain.web.routes.units import in_turn
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto_playbooks import (
    CacaoRequest,
    DiffOut,
    DraftNote,
    DraftOut,
    DraftPage,
    DraftRequest,
    DraftText,
    RemarkOut,
    RemarkRequest,
)
from shared.web.dto_replays import PastRequest, ReplayOut, TestCaseOut, TestOut
from shared.web.etags import IfMatch, if_match, tag_of
from shared.web.may_answer import may_answer
from shared.web.paging import cursor_of, parts_of
from shared.web.problem import ProblemError

Reviewer = Annotated[User, Depends(allowed("review_playbook", everywhere=True))]
_ALL = (*LIVE_DRAFTS, "released", "discarded")
Act = Callable[..., Coroutine[Any, Any, Any]]


def _tag(draft: Draft) -> str:
    """Of a draft's own content: a remark changes nothing that others change."""
    return tag_of(f"{draft.id}:{draft.revision}".encode())


def draft_router(parts: PlaybookParts) -> APIRouter:
    """Routes of drafts."""
    router = APIRouter(prefix="/api/drafts", tags=["playbooks"])
    _writing(router, parts)
    _steps(router, parts)
    _looks(router, parts)
    return router


async def _found(parts: PlaybookParts, draft: str) -> Draft:
    found = await parts.drafts.store.get(draft)
    if found is None:
        raise ProblemError(404, "unknown_draft", draft=draft)
    return found


def _writing(router: APIRouter, parts: PlaybookParts) -> None:
    @router.get("")
    async def listed(
        _: Viewer, playbook: Annotated[str | None, Query(max_length=96)] = None,
        ended: bool = False, limit: Limit = 50,
        cursor: Annotated[str | None, Query(max_length=500)] = None,
    ) -> DraftPage:  # fmt: skip
        before: Any = None if cursor is None else tuple(parts_of(cursor, int, str))
        statuses = _ALL if ended else LIVE_DRAFTS
        found = await parts.drafts.store.listed(statuses, playbook, limit + 1, before)
        last = found[limit - 1] if len(found) > limit else None
        more = cursor_of(last.changed_at, last.id) if last else None
        return DraftPage(items=[draft_summary(each) for each in found[:limit]], next=more)

    @router.post("")
    async def create(
        body: DraftRequest, user: Writer, key: IdempotencyKey, request: Request
    ) -> DraftOut:
        if body.source != "library" and not body.playbook:
            raise ProblemError(422, "playbook_name_missing")

        async def act() -> DraftOut:
            wanted = Wanted(body.source, body.playbook, body.version, body.template)
            return await parts.views.draft(refused(await parts.drafts.create(wanted, user.name)))

        answer: Any = await once(request, user, key, act)
        return answer

    @router.post("/cacao")
    async def take_over(
        body: CacaoRequest, user: Writer, key: IdempotencyKey, request: Request
    ) -> DraftOut:
        """Begin a draft from a CACAO document; what cannot be taken is told with its place."""

        async def act() -> DraftOut:
            async with in_turn(parts.turns):
                taken: Taken = refused(await from_document(body.text, body.name))
            wanted = Wanted("cacao", taken.playbook, text=taken.text)
            return await parts.views.draft(refused(await parts.drafts.create(wanted, user.name)))

        answer: Any = await once(request, user, key, act)
        return answer

    @router.get("/{draft}")
    async def one(draft: Named, _: Viewer, response: Response) -> DraftOut:
        found = await _found(parts, draft)
        response.headers["ETag"] = _tag(found)
        return await parts.views.draft(found)

    @router.put("/{draft}")
    async def save(
        draft: Named, body: DraftText, user: Writer, key: IdempotencyKey, request: Request,
        response: Response, match: IfMatch = None,
    ) -> DraftOut:  # fmt: skip
        async def act() -> DraftOut:
            made = refused(await parts.drafts.save(
                draft, body.text, body.test, user.name, lambda now: if_match(match, _tag(now))
            ))  # fmt: skip
            response.headers["ETag"] = _tag(made)
            return await parts.views.draft(made)

        answer: Any = await once(request, user, key, act)
        return answer

    @router.post("/{draft}/remarks")
    async def remark(
        draft: Named, body: RemarkRequest, user: Writer, key: IdempotencyKey, request: Request
    ) -> RemarkOut:
        async def act() -> RemarkOut:
            return remark_out(refused(await parts.drafts.say(draft, user.name, body.text)))

        answer: Any = await once(request, user, key, act)
        return answer


def _steps(router: APIRouter, parts: PlaybookParts) -> None:
    async def step(
        act: Act, draft: str, body: DraftNote, user: User, key: str, request: Request,
        match: str | None,
    ) -> DraftOut:  # fmt: skip
        async def run() -> DraftOut:
            same: Callable[[Draft], None] = lambda now: if_match(match, _tag(now))  # noqa: E731
            return await parts.views.draft(refused(await act(draft, user.name, body.note, same)))

        answer: Any = await once(request, user, key, run)
        return answer

    @router.post("/{draft}/submit")
    async def submit(
        draft: Named, body: DraftNote, user: Writer, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> DraftOut:  # fmt: skip
        """Ask for a review; refused while it has errors."""
        return await step(parts.drafts.submit, draft, body, user, key, request, match)

    @router.post("/{draft}/reopen")
    async def reopen(
        draft: Named, body: DraftNote, user: Writer, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> DraftOut:  # fmt: skip
        return await step(parts.drafts.reopen, draft, body, user, key, request, match)

    @router.post("/{draft}/discard")
    async def discard(
        draft: Named, body: DraftNote, user: Writer, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> DraftOut:  # fmt: skip
        return await step(parts.drafts.discard, draft, body, user, key, request, match)

    @router.post("/{draft}/approve", responses=may_answer(428))
    async def approve(
        draft: Named, body: DraftNote, user: Reviewer, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> DraftOut:  # fmt: skip
        """Release what was reviewed; no author of a draft may. `If-Match` says what was read."""
        if match is None:
            raise ProblemError(428, "precondition_required")
        return await step(parts.drafts.approve, draft, body, user, key, request, match)

    @router.post("/{draft}/reject")
    async def reject(
        draft: Named, body: DraftNote, user: Reviewer, key: IdempotencyKey, request: Request,
        match: IfMatch = None,
    ) -> DraftOut:  # fmt: skip
        return await step(parts.drafts.reject, draft, body, user, key, request, match)


def _looks(router: APIRouter, parts: PlaybookParts) -> None:
    @router.get("/{draft}/diff")
    async def diff(draft: Named, _: Viewer) -> DiffOut:
        """Against what is released now."""
        found = await _found(parts, draft)
        async with in_turn(parts.turns):
            return await parts.views.diff(found)

    @router.post("/{draft}/replay")
    async def replay(draft: Named, body: PastRequest, _: Viewer) -> ReplayOut:
        """What the draft's triggers would have made of a period; nothing is started."""
        checked = await parts.drafts.check(await _found(parts, draft))
        if checked.loaded is None:
            raise ProblemError(422, "playbook_has_errors", errors=max(checked.errors, 1))
        return await replayed(parts, checked.loaded.playbook, body)

    @router.post("/{draft}/test")
    async def test(draft: Named, _: Writer) -> TestOut:
        """Play the draft's own test on a virtual clock."""
        found = await _found(parts, draft)
        if not found.test.strip():
            raise ProblemError(422, "draft_without_test")
        others = await parts.shelf.store.newest_of_all()
        async with in_turn(parts.turns):
            done = await rehearse(parts.site, found.playbook, found.text, found.test, others)
        return TestOut(
            holds=done.holds, faults=list(done.faults), coverage=done.coverage,
            cases=[
                TestCaseOut(name=name, holds=not faults, faults=list(faults))
                for name, faults in done.cases
            ],
        )  # fmt: skip
