"""REST: the alarm figures of any period, live ones, what is behind them, the journal as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from factory_brain.application.kpis import WINDOWS, figures_of_period
from factory_brain.domain.kpi_rows import Entry, Scope
from factory_brain.web.parts import KpiParts
from shared.alarm.kpi import Figures, KpiLimits, report
from shared.alarm.kpi.document import behind, series
from shared.alarm.kpi.records import SUFFIX_OF
from shared.site.site import Site
from shared.web.auth import User, allowed
from shared.web.dto import Text
from shared.web.dto_kpi import KpiAlarm, KpiAlarms, KpiLimitsOut, KpiReport, LiveKpi, Metric
from shared.web.may_answer import may_answer
from shared.web.paging import cursor_of, parts_of
from shared.web.problem import ProblemError
from shared.web.streaming import ClosingStream

Viewer = Annotated[User, Depends(allowed("view"))]
Exporter = Annotated[User, Depends(allowed("export"))]
DAY_MS = 86_400_000
MOST_DAYS = 400
HEADER = (
    "row",
    "timestamp",
    "tag",
    "type",
    "description",
    "alarm",
    "priority",
    "edge",
    "occurrence",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A period, and of what."""

    since: int
    until: int
    area: str
    edge: str


def asked_for(
    since: Annotated[int | None, Query(ge=0, le=1 << 53, examples=[1_714_521_600_000])] = None,
    until: Annotated[int | None, Query(ge=0, le=1 << 53)] = None,
    area: Annotated[str, Query(max_length=100)] = "",
    edge: Annotated[str, Query(max_length=32)] = "",
) -> Asked:
    """The period of a request; -1 stands for what was not said."""
    return Asked(-1 if since is None else since, -1 if until is None else until, area, edge)


Request = Annotated[Asked, Depends(asked_for)]


def kpi_router(parts: KpiParts) -> APIRouter:
    """Routes of the figures."""
    router = APIRouter(prefix="/api", tags=["figures"])

    @router.get("/kpi", responses=may_answer(404))
    async def period(user: Viewer, asked: Request) -> KpiReport:
        return _report(parts.site, await _figures(parts, user, asked, "view"))

    @router.get("/kpi/live")
    async def live(user: Viewer) -> LiveKpi:
        if not user.may_everywhere("view"):
            raise ProblemError(403, "not_allowed_here", action="view")
        if not parts.figures.loaded:
            raise ProblemError(503, "figures_loading")
        windows = {name: _report(parts.site, await parts.figures.figures(name)) for name in WINDOWS}
        banner = parts.live.banner()
        return LiveKpi(
            at=parts.clock.now_ms(), flood=banner.flood, flood_since=banner.flood_since,
            windows=windows, limits=_limits(parts.site.kpi.limits()),
        )  # fmt: skip

    @router.get("/kpi/alarms", responses=may_answer(404))
    async def alarms(
        user: Viewer, asked: Request, metric: Metric,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, Query(max_length=500)] = None,
    ) -> KpiAlarms:  # fmt: skip
        found = behind(await _figures(parts, user, asked, "view"), metric)
        start = _offset(cursor)
        items = [
            KpiAlarm(
                alarm=name, name=_name(parts.site, name), asset=_asset(parts.site, name), value=n
            )
            for name, n in found[start : start + limit]
        ]
        more = start + limit < len(found)
        return KpiAlarms(items=items, next=cursor_of(start + limit) if more else None)

    @router.get(
        "/journal.csv", response_class=ClosingStream, responses=may_answer(404, text="text/csv")
    )
    async def journal(user: Exporter, asked: Request) -> ClosingStream:
        since, until = _period(parts, asked)
        scope = _scope(parts.site, user, asked, "export")
        rows = _csv(parts, since, until, scope)
        name = f"journal-{parts.site.info.site}-{since}-{until}.csv"
        return ClosingStream(
            rows, media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )  # fmt: skip

    return router


async def _figures(parts: KpiParts, user: User, asked: Asked, action: str) -> Figures:
    since, until = _period(parts, asked)
    scope = _scope(parts.site, user, asked, action)
    return await figures_of_period(parts.journal, since, until, parts.site.kpi.limits(), scope)


def _period(parts: KpiParts, asked: Asked) -> tuple[int, int]:
    """The last day, if nothing else is said."""
    until = parts.clock.now_ms() if asked.until < 0 else asked.until
    since = until - DAY_MS if asked.since < 0 else asked.since
    if not 0 <= since < until or until - since > MOST_DAYS * DAY_MS:
        raise ProblemError(400, "bad_period", since=since, until=until, most_days=MOST_DAYS)
    return since, until


def _scope(site: Site, user: User, asked: Asked, action: str) -> Scope:
    if asked.edge and asked.edge not in {edge.id for edge in site.info.edges}:
        raise ProblemError(404, "unknown_edge", edge=asked.edge)
    source = f"{site.info.site}.{asked.edge}" if asked.edge else None
    if not asked.area and user.may_everywhere(action):
        return Scope(None, source)
    tree = site.assets
    return Scope(
        [
            name for name, each in site.alarms.items()
            if tree.within(each.asset, asked.area) and user.may(action, each.asset)
        ],
        source,
    )  # fmt: skip


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    [found] = parts_of(cursor, int)
    if not 0 <= found < 1_000_000:
        raise ProblemError(400, "bad_cursor")
    return found


def _name(site: Site, alarm: str) -> Text:
    known = site.alarms.get(alarm)
    return Text(zh=known.name.zh, en=known.name.en) if known else Text(zh=alarm, en=alarm)


def _asset(site: Site, alarm: str) -> str | None:
    known = site.alarms.get(alarm)
    return known.asset if known else None


def _report(site: Site, figures: Figures) -> KpiReport:
    told = report(figures)
    for each in told["diagnostic"]["top"]:
        each["name"] = _name(site, each["alarm"])
    told["series"] = series(figures)
    return KpiReport.model_validate(told)


def _limits(limits: KpiLimits) -> KpiLimitsOut:
    return KpiLimitsOut(
        window_s=limits.window_ms / 1000, flood_over=limits.flood_over,
        flood_below=limits.flood_below, chatter_count=limits.chatter_count,
        chatter_s=limits.chatter_ms / 1000, fleeting_s=limits.fleeting_ms / 1000,
        stale_s=limits.stale_ms / 1000, resolution_s=limits.resolution_ms / 1000,
    )  # fmt: skip


async def _csv(parts: KpiParts, since: int, until: int, scope: Scope) -> AsyncIterator[bytes]:
    """First what led up to the period (before its start), then the period; see the reading end."""
    site, limits = parts.site, parts.site.kpi.limits()
    names = {alarm: f"{each.name.zh} / {each.name.en}" for alarm, each in site.alarms.items()}
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(HEADER)
    number = 0
    before = await parts.journal.before(since, limits, scope)
    for entry in before:
        out.writerow(_line(entry, number, names))
        number += 1
    yield _drained(text)
    async for batch in parts.journal.entries(since, until, limits, scope):
        for entry in batch:
            out.writerow(_line(entry, number, names))
            number += 1
        yield _drained(text)


def _drained(text: io.StringIO) -> bytes:
    data = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return data


def _line(entry: Entry, number: int, names: Mapping[str, str]) -> tuple[object, ...]:
    record = entry.record
    at = datetime.fromtimestamp(entry.time // 1000, UTC)
    suffix = SUFFIX_OF.get(record.kind)
    return (
        number, f"{at:%Y-%m-%d %H:%M:%S}.{entry.time % 1000:03d}", entry.tag,
        f"{entry.side} {suffix}" if suffix else entry.side, names.get(record.alarm, ""),
        record.alarm, record.priority, entry.source.partition(".")[2], entry.occurrence,
    )  # fmt: skip
