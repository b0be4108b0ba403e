"""REST: playbooks that are released: list, versions, withdrawal, inputs, replays; moving runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from factory_brain.application.playbooks.authoring.exchange import as_document
from factory_brain.application.playbooks.authoring.ports import Release
from factory_brain.application.playbooks.authoring.replaying import (
    MOST_DAYS,
    Answer,
    Judged,
)
from factory_brain.application.playbooks.authoring.views import (
    document_of,
    findings,
    release_out,
    step_changes,
)
from factory_brain.web.parts import PlaybookParts
from factory_brain.web.routes.units import in_turn
from shared.errors import Rejected
from shared.playbook.lint_report import Plant
from shared.playbook.model import Playbook
from shared.playbook.schema import schema
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto_base import Text
from shared.web.dto_playbooks import (
    CheckOut,
    CheckRequest,
    InputRequest,
    MigrateRequest,
    MigrationOut,
    PlaybookDetail,
    PlaybookDone,
    PlaybookPage,
    ReasonRequest,
    ReleasePage,
    ReleaseText,
    RestoreRequest,
    TemplateList,
    TemplateOut,
)
from shared.web.dto_replays import PastRequest, ReplayLine, ReplayOut
from shared.web.paging import cursor_of, parts_of
from shared.web.problem import ProblemError

Viewer = Annotated[User, Depends(allowed("view"))]
Writer = Annotated[User, Depends(allowed("write_playbook"))]
Keeper = Annotated[User, Depends(allowed("review_playbook", everywhere=True))]
Named = Annotated[str, Path(max_length=96, pattern=r"^[^\x00]+$")]
Limit = Annotated[int, Query(ge=1, le=200)]
Version = Annotated[int, Path(ge=1, lt=1 << 31)]
DAY_MS = 86_400_000
_STATUS = {
    "unknown_playbook": 404, "unknown_version": 404, "unknown_input": 404, "unknown_run": 404,
    "unknown_draft": 404, "unknown_template": 404, "review_own_draft": 403, "input_unfit": 422,
    "input_outside_bounds": 422, "playbook_has_errors": 422,
    "cacao_not_taken": 422, "cacao_draft_too_long": 422,
}  # fmt: skip


def refused(found: Any) -> Any:
    """The same, unless it is a refusal."""
    if isinstance(found, Rejected):
        raise ProblemError.of(_STATUS.get(found.code, 409), found)
    return found


def playbook_router(parts: PlaybookParts) -> APIRouter:
    """Routes of playbooks."""
    router = APIRouter(prefix="/api", tags=["playbooks"])
    _reads(router, parts)
    _releases(router, parts)
    _asks(router, parts)
    return router


def _reads(router: APIRouter, parts: PlaybookParts) -> None:
    @router.get("/playbooks")
    async def listed(
        _: Viewer, limit: Limit = 100,
        cursor: Annotated[str | None, Query(max_length=500)] = None,
    ) -> PlaybookPage:  # fmt: skip
        after = "" if cursor is None else parts_of(cursor, str)[0]
        found = [each for each in await parts.views.listed() if each.playbook > after]
        more = cursor_of(found[limit - 1].playbook) if len(found) > limit else None
        return PlaybookPage(items=found[:limit], next=more)

    @router.get("/playbook-schema")
    async def language(_: Viewer) -> dict[str, Any]:
        """The JSON Schema of playbooks with this site's own names, for editors."""
        return schema(Plant.of(parts.site))

    @router.get("/playbook-templates")
    async def templates(_: Viewer) -> TemplateList:
        found = await parts.drafts.templates.all()
        return TemplateList(items=[
            TemplateOut(id=t.id, playbook=t.playbook, name=Text(zh=t.name_zh, en=t.name_en))
            for t in found
        ])  # fmt: skip

    @router.get("/playbooks/{playbook}")
    async def one(playbook: Named, _: Viewer) -> PlaybookDetail:
        found = await parts.views.detail(playbook)
        if found is None:
            raise ProblemError(404, "unknown_playbook", playbook=playbook)
        return found

    @router.get("/playbooks/{playbook}/versions")
    async def versions(
        playbook: Named, _: Viewer, limit: Limit = 50,
        cursor: Annotated[str | None, Query(max_length=500)] = None,
    ) -> ReleasePage:  # fmt: skip
        before = None if cursor is None else parts_of(cursor, int)[0]
        if before is not None and not 0 < before < 1 << 31:
            raise ProblemError(400, "bad_cursor")
        found = await parts.shelf.store.versions(playbook, limit + 1, before)
        more = cursor_of(found[limit - 1].version) if len(found) > limit else None
        return ReleasePage(items=[release_out(each) for each in found[:limit]], next=more)

    @router.get("/playbooks/{playbook}/versions/{version}")
    async def version(playbook: Named, version: Version, _: Viewer) -> ReleaseText:
        found = await _released(parts, playbook, version)
        names = ReleaseText.model_fields
        return ReleaseText(**{name: getattr(found, name) for name in names})

    @router.get("/playbooks/{playbook}/versions/{version}/cacao")
    async def version_for_others(playbook: Named, version: Version, _: Viewer) -> dict[str, Any]:
        """The version as an OASIS CACAO v2 document."""
        found = await _released(parts, playbook, version)
        loaded = await document_of(found)
        if loaded is None:
            raise ProblemError(409, "playbook_has_errors", errors=1)
        return await as_document(loaded, found.at)


async def _released(parts: PlaybookParts, playbook: str, version: int) -> Release:
    found = await parts.shelf.store.get(playbook, version)
    if found is None:
        raise ProblemError(404, "unknown_version", playbook=playbook, version=version)
    return found


def _releases(router: APIRouter, parts: PlaybookParts) -> None:
    async def done(
        request: Request, user: User, key: str, playbook: str,
        act: Callable[[], Awaitable[Rejected | Release | None]],
    ) -> PlaybookDone:  # fmt: skip
        async def run() -> PlaybookDone:
            made = refused(await act())
            return PlaybookDone(
                playbook=playbook, version=made.version if isinstance(made, Release) else None
            )

        answer: Any = await once(request, user, key, run)
        return answer

    @router.post("/playbooks/{playbook}/withdraw")
    async def withdraw(
        playbook: Named, body: ReasonRequest, user: Keeper, key: IdempotencyKey, request: Request
    ) -> PlaybookDone:
        """It starts no more runs; those that live go on."""
        return await done(
            request, user, key, playbook,
            lambda: parts.shelf.withdraw(playbook, user.name, body.reason, True),
        )  # fmt: skip

    @router.post("/playbooks/{playbook}/put-back")
    async def put_back(
        playbook: Named, body: ReasonRequest, user: Keeper, key: IdempotencyKey, request: Request
    ) -> PlaybookDone:
        return await done(
            request, user, key, playbook,
            lambda: parts.shelf.withdraw(playbook, user.name, body.reason, False),
        )  # fmt: skip

    @router.post("/playbooks/{playbook}/restore")
    async def restore(
        playbook: Named, body: RestoreRequest, user: Keeper, key: IdempotencyKey, request: Request
    ) -> PlaybookDone:
        """Release an earlier text, which was reviewed then, as a new version."""
        return await done(
            request, user, key, playbook,
            lambda: parts.shelf.restore(playbook, body.version, user.name, body.reason),
        )  # fmt: skip

    @router.put("/playbooks/{playbook}/inputs/{name}")
    async def set_input(
        playbook: Named, name: Named, body: InputRequest, user: Keeper, key: IdempotencyKey,
        request: Request,
    ) -> PlaybookDone:  # fmt: skip
        """This site's value for new runs."""
        return await done(
            request, user, key, playbook,
            lambda: parts.shelf.set_input(playbook, name, body.value, user.name, body.reason),
        )  # fmt: skip

    @router.get("/runs/{run_id}/migrate")
    async def would_move(
        run_id: Named, version: Annotated[int, Query(ge=1, lt=1 << 31)], _: Keeper
    ) -> MigrationOut:
        """Whether the run may be moved to that version, and what would be otherwise."""
        async with in_turn(parts.turns):
            move = refused(await parts.migrating.preview(run_id, version))
        why = move.refused
        return MigrationOut(
            run=run_id, before=move.before, after=move.after, fits=why is None,
            code=why.code if why else "", params=dict(why.params) if why else {},
            deadline_at=move.deadline_at, steps=step_changes(move.steps),
        )  # fmt: skip

    @router.post("/runs/{run_id}/migrate")
    async def migrate(
        run_id: Named, body: MigrateRequest, user: Keeper, key: IdempotencyKey, request: Request
    ) -> PlaybookDone:
        """Move a live run to another version, if all that has happened has its place there."""

        async def run() -> PlaybookDone:
            found = await parts.migrating.migrate(run_id, body.version, user.name, body.reason)
            refused(found)
            parts.engine.poke(run_id)
            return PlaybookDone(playbook=run_id, version=body.version)

        answer: Any = await once(request, user, key, run)
        return answer


def _asks(router: APIRouter, parts: PlaybookParts) -> None:
    @router.post("/playbooks/check")
    async def check(body: CheckRequest, _: Writer) -> CheckOut:
        """What a text is worth here; nothing is kept."""
        async with in_turn(parts.turns):
            found = await parts.drafts.check_text(body.text)
        return CheckOut(
            findings=findings(found.findings), errors=found.errors,
            explained=parts.views.worth(found),
        )  # fmt: skip

    @router.post("/playbooks/{playbook}/replay")
    async def replay(playbook: Named, body: PastRequest, _: Viewer) -> ReplayOut:
        """What its triggers would have made of a period; nothing is started."""
        live = parts.shelf.releases.get(playbook)
        if live is None:
            newest = await parts.shelf.store.newest(playbook)
            live = await document_of(newest) if newest else None
        if live is None:
            raise ProblemError(404, "unknown_playbook", playbook=playbook)
        return await replayed(parts, live.playbook, body)


async def replayed(parts: PlaybookParts, book: Playbook, body: PastRequest) -> ReplayOut:
    """Play a period again, in turn."""
    until = min(body.until, parts.clock.now_ms())
    if body.since >= until or until - body.since > MOST_DAYS * DAY_MS:
        raise ProblemError(
            400, "bad_period", since=body.since, until=body.until, most_days=MOST_DAYS
        )
    async with in_turn(parts.turns):
        found = await parts.replaying.ask(book, body.since, until)
    return _replay_out(found)


def _replay_out(found: Answer) -> ReplayOut:
    return ReplayOut(
        events=found.events, truncated=found.truncated, until=found.until,
        assumed_ms=found.assumed_ms, counts=found.counts, real=found.real,
        lines=[_line(each) for each in found.lines],
    )  # fmt: skip


def _line(judged: Judged) -> ReplayLine:
    would, real = judged.would, judged.real
    told = {
        "real_outcome": real.outcome if real else None, "real_run": real.run if real else None,
        "real_status": real.status if real else None,
    }  # fmt: skip
    if would is not None:
        return ReplayLine(
            at=would.at, trigger=would.trigger, by=would.by, alarm=would.alarm,
            occurrence=would.occurrence, outcome=would.outcome, key=would.key, **told,
        )  # fmt: skip
    assert real is not None
    return ReplayLine(
        at=real.at, trigger=real.trigger, by="", alarm=real.alarm or "",
        occurrence=real.occurrence, outcome="none", key="", **told,
    )  # fmt: skip
