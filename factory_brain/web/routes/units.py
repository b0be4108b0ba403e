"""REST: product units and batches, what was reported of them, and what happened to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from factory_brain.application.units.ports import Passage, Relation, Wanted
from factory_brain.application.units.turns import QuestionsBusyError, QuestionTooLongError, Turns
from factory_brain.domain.units.spans import Limits
from factory_brain.web.parts import UnitParts
from shared.clock import Clock
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto_trace import (
    BatchDetail,
    PassageReport,
    PassageReports,
    PassageResults,
    RelationReport,
    ReportResult,
    StationOut,
    UnitDetail,
    UnitPage,
)
from shared.web.may_answer import may_answer
from shared.web.paging import cursor_of, parts_of
from shared.web.problem import ProblemError

Viewer = Annotated[User, Depends(allowed("view"))]
Reporter = Annotated[User, Depends(allowed("report_event"))]
Name = Annotated[str, Path(max_length=100, pattern=r"^[^\x00]+$")]
Ids = Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$")]
Time = Annotated[int | None, Query(ge=0, le=1 << 53, examples=[1_714_521_600_000])]
DAY_MS = 86_400_000
MOST_DAYS, MOST_DAYS_OUT = 400, 100
"""What a list may be of; what a question by limits may be of."""
_STATUS = {"no_station_there": 404, "unknown_limit_of": 404, "too_many_spans": 422}


@asynccontextmanager
async def in_turn(turns: Turns) -> AsyncIterator[None]:
    """A turn for a question that may read much."""
    try:
        async with turns.one():
            yield
    except QuestionsBusyError as error:
        raise ProblemError(503, "questions_busy") from error
    except QuestionTooLongError as error:
        raise ProblemError(503, "question_too_long") from error


def unit_router(parts: UnitParts) -> APIRouter:
    """Routes of units and batches."""
    router = APIRouter(prefix="/api", tags=["units"])

    @router.post("/units/passages")
    async def report(
        body: PassageReports, user: Reporter, key: IdempotencyKey, request: Request
    ) -> PassageResults:
        async def run() -> PassageResults:
            source = f"rest:{user.name}"
            judged, related, changed = await parts.reports.take(
                [_passage(each, source) for each in body.passages],
                [_relation(each, source) for each in body.relations],
                user.name, lambda asset: user.may("report_event", asset),
            )  # fmt: skip
            return PassageResults(
                passages=[_result(each) for each in judged],
                relations=[_result(each) for each in related], changed=changed,
            )  # fmt: skip

        answer: Any = await once(request, user, key, run)
        return answer

    @router.get("/units/stations")
    async def stations(_: Viewer) -> list[StationOut]:
        return parts.questions.words.stations()

    @router.get("/units", responses=may_answer(404))
    async def units(
        _: Viewer, out_of_limits: Ids = "", since: Time = None, until: Time = None,
        station: Ids = "", batch: Ids = "", unit: Ids = "",
        below: Annotated[float | None, Query(allow_inf_nan=False)] = None,
        above: Annotated[float | None, Query(allow_inf_nan=False)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, Query(max_length=1000)] = None,
    ) -> UnitPage:  # fmt: skip
        most = MOST_DAYS_OUT if out_of_limits else MOST_DAYS
        start, end = _period(parts.clock, since, until, most)
        wanted = Wanted(start, end, [station] if station else None, batch or None, unit or None)
        after = _after(cursor)
        async with in_turn(parts.turns):
            if not out_of_limits:
                found = await parts.reads.listed(wanted, after, limit + 1)
                page = UnitPage(items=[parts.questions.words.passage(p) for p in found], next=None)
            else:
                bounds = Limits(below, above)
                page = await parts.questions.out_of_limits(
                    out_of_limits, bounds, wanted, after, limit + 1
                )
        if isinstance(page, Rejected):
            raise ProblemError.of(_STATUS.get(page.code, 422), page)
        if len(page.items) <= limit:
            return page
        last = page.items[limit - 1]
        following = cursor_of(last.entered_at, last.station, last.unit)
        return page.model_copy(update={"items": page.items[:limit], "next": following})

    @router.get("/units/{unit}")
    async def one(unit: Name, _: Viewer) -> UnitDetail:
        async with in_turn(parts.turns):
            found = await parts.story.unit(unit)
        if found is None:
            raise ProblemError(404, "unknown_unit", unit=unit)
        return found

    @router.get("/batches/{batch}")
    async def batch(batch: Name, _: Viewer) -> BatchDetail:
        async with in_turn(parts.turns):
            found = await parts.questions.batch(batch)
        if found is None:
            raise ProblemError(404, "unknown_batch", batch=batch)
        return found

    return router


def _passage(said: PassageReport, source: str) -> Passage:
    return Passage(
        said.unit, said.station, "", said.entered_at, said.left_at, said.batch.strip(), source,
        said.attributes,
    )  # fmt: skip


def _relation(said: RelationReport, source: str) -> Relation:
    return Relation(said.parent, said.child, said.kind, said.at, said.station, source)


def _result(refusal: Rejected | None) -> ReportResult:
    if refusal is None:
        return ReportResult(accepted=True)
    return ReportResult(accepted=False, code=refusal.code, params=dict(refusal.params))


def _period(clock: Clock, since: int | None, until: int | None, most: int) -> tuple[int, int]:
    """The last day, if nothing else is said."""
    end = clock.now_ms() + 1 if until is None else until
    start = max(end - DAY_MS, 0) if since is None else since
    if not 0 <= start < end or end - start > most * DAY_MS:
        raise ProblemError(400, "bad_period", since=start, until=end, most_days=most)
    return start, end


def _after(cursor: str | None) -> tuple[int, str, str] | None:
    if cursor is None:
        return None
    parts = parts_of(cursor)
    if len(parts) != 3 or type(parts[0]) is not int or not -(1 << 62) < parts[0] < 1 << 62:
        raise ProblemError(400, "bad_cursor")
    if not all(isinstance(each, str) and "\0" not in each for each in parts[1:]):
        raise ProblemError(400, "bad_cursor")
    return parts[0], parts[1], parts[2]
