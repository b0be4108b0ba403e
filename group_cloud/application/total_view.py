"""The total set as people read it: pages of events, incidents and runs, figures, comparisons.

Called by the web, always within a scope; what it may show is decided by that scope alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

from group_cloud.domain.figures import DAY_MS
from group_cloud.domain.scope import Scope
from shared.clock import Clock
from shared.web import dto_total as dto
from shared.web.dto_base import Text

Row = Any
"""One row of an answer, by column."""
BAD_ACTORS = 10
HOUR_MS = 3_600_000
MOST_RUNS = 50


class TotalQuestions(Protocol):
    """See `adapters/postgres/total_reads.py`; each is asked within a scope."""

    async def sees(self, scope: Scope, site: str) -> bool: ...

    async def events(
        self, scope: Scope, limit: int, after: tuple[Any, ...] | None, only: dict[str, Any]
    ) -> Sequence[Row]: ...

    async def incidents(
        self, scope: Scope, limit: int, after: tuple[Any, ...] | None, site: str | None, state: str
    ) -> Sequence[Row]: ...

    async def incident(self, scope: Scope, site: str, name: str) -> Row | None: ...

    async def labels_of(self, scope: Scope, site: str, occurrences: list[str]) -> Sequence[Row]: ...

    async def runs(
        self, scope: Scope, limit: int, after: tuple[Any, ...] | None, only: dict[str, Any]
    ) -> Sequence[Row]: ...

    async def playbooks(self, scope: Scope, since: int, until: int) -> Sequence[Row]: ...

    async def by_priority(self, scope: Scope, since: int, until: int) -> Sequence[Row]: ...

    async def by_day(self, scope: Scope, since: int, until: int) -> Sequence[Row]: ...

    async def floods(self, scope: Scope, since: int, until: int) -> Sequence[Row]: ...

    async def bad_actors(
        self, scope: Scope, since: int, until: int, limit: int
    ) -> Sequence[Row]: ...

    async def standing(self, scope: Scope, now: int) -> Sequence[Row]: ...

    async def causes(self, scope: Scope, since_ms: int, until_ms: int) -> Sequence[Row]: ...

    async def compared(self, scope: Scope, by: str, since: int, until: int) -> Sequence[Row]: ...

    async def factories(self, scope: Scope) -> Sequence[Row]: ...


class TotalView:
    """Answers questions over factories."""

    def __init__(self, ask: TotalQuestions, clock: Clock) -> None:
        self._ask, self._clock = ask, clock

    def days(self, since: int | None, until: int | None) -> tuple[int, int]:
        """The days asked for; without any, the last thirty."""
        today = self._clock.now_ms() // DAY_MS
        last = today if until is None else until
        return (last - 29 if since is None else since), last

    async def events(
        self, scope: Scope, limit: int, after: tuple[Any, ...] | None, only: dict[str, Any]
    ) -> tuple[list[dto.GroupEvent], tuple[Any, ...] | None]:
        """A page of the journal and where the next one begins."""
        rows = await self._ask.events(scope, limit + 1, after, only)
        page = [
            dto.GroupEvent(**{name: row[name] for name in dto.GroupEvent.model_fields})
            for row in rows[:limit]
        ]
        keys = ("received_at", "source", "epoch", "lane", "seq")
        return page, _next(rows, limit, keys)

    async def incidents(
        self, scope: Scope, limit: int, after: tuple[Any, ...] | None, site: str | None, state: str
    ) -> tuple[list[dto.GroupIncident], tuple[Any, ...] | None]:
        """A page of incidents and where the next one begins."""
        rows = await self._ask.incidents(scope, limit + 1, after, site, state)
        return [incident_of(row) for row in rows[:limit]], _next(
            rows, limit, ("opened_at", "site", "id")
        )

    async def incident(self, scope: Scope, site: str, name: str) -> dto.GroupIncidentDetail | None:
        """One incident with what was said and run for it."""
        row = await self._ask.incident(scope, site, name)
        if row is None:
            return None
        body = row["body"]
        occurrences = body.get("occurrences", [])
        said = await self._ask.labels_of(scope, site, occurrences)
        runs: list[dto.GroupRun] = []
        for occurrence in occurrences[:MOST_RUNS]:
            only = {"site": site, "occurrence": occurrence}
            runs += [run_of(r) for r in await self._ask.runs(scope, MOST_RUNS, None, only)]
        return dto.GroupIncidentDetail(
            incident=incident_of(row), assets=body.get("assets", []),
            alarm_names=body.get("alarms", []), occurrences=occurrences,
            first_out=body.get("first_out", []),
            said=[dto.Said(label=r["label"], cause=r["cause"], count=r["count"]) for r in said],
            runs=runs[:MOST_RUNS],
        )  # fmt: skip

    async def runs(
        self, scope: Scope, limit: int, after: tuple[Any, ...] | None, only: dict[str, Any]
    ) -> tuple[list[dto.GroupRun], tuple[Any, ...] | None]:
        """A page of runs and where the next one begins."""
        rows = await self._ask.runs(scope, limit + 1, after, only)
        following = _next(rows, limit, ("ended_at", "site", "run"))
        return [run_of(row) for row in rows[:limit]], following

    async def playbooks(
        self, scope: Scope, since: int | None, until: int | None
    ) -> dto.PlaybookFiguresList:
        """How playbooks fared."""
        first, last = self.days(since, until)
        rows = await self._ask.playbooks(scope, first * DAY_MS, (last + 1) * DAY_MS)
        return dto.PlaybookFiguresList(items=[dto.PlaybookFigures(**dict(row)) for row in rows])

    async def statistics(
        self, scope: Scope, since: int | None, until: int | None
    ) -> dto.GroupStatistics:
        """The figures of each factory."""
        first, last = self.days(since, until)
        now = self._clock.now_ms()
        priorities = _by_site(await self._ask.by_priority(scope, first, last))
        days = _by_site(await self._ask.by_day(scope, first, last))
        floods = _by_site(await self._ask.floods(scope, first, last))
        worst = _by_site(await self._ask.bad_actors(scope, first, last, BAD_ACTORS))
        standing = _by_site(await self._ask.standing(scope, now))
        found = []
        for row in await self._ask.factories(scope):
            site = row["site"]
            told = sum(each["annunciated"] for each in days.get(site, []))
            flood = next(iter(floods.get(site, [])), {"hours": 0, "worst": 0})
            stands = next(iter(standing.get(site, [])), {"standing": 0, "stale": 0})
            found.append(
                dto.FactoryFigures(
                    site=site, name=text_of(row["names"]),
                    priorities=[_priority(each) for each in priorities.get(site, [])],
                    days=[
                        dto.DayCount(
                            day=d["day"], raised=d["raised"], annunciated=d["annunciated"]
                        )
                        for d in days.get(site, [])
                    ],
                    annunciated_per_day=round(told / max(1, last - first + 1), 2),
                    flood_hours=flood["hours"], worst_ten_minutes=flood["worst"],
                    standing=stands["standing"], stale=stands["stale"],
                    bad_actors=[_actor(each) for each in worst.get(site, [])],
                    uncounted=row["uncounted"],
                )
            )  # fmt: skip
        return dto.GroupStatistics(since_day=first, until_day=last, factories=found)

    async def causes(self, scope: Scope, since: int | None, until: int | None) -> dto.CauseList:
        """What people said was the cause."""
        first, last = self.days(since, until)
        rows = await self._ask.causes(scope, first * DAY_MS, (last + 1) * DAY_MS)
        return dto.CauseList(items=[dto.Cause(**dict(row)) for row in rows])

    async def compare(
        self, scope: Scope, by: str, since: int | None, until: int | None
    ) -> dto.Comparison:
        """Factories side by side, like with like."""
        first, last = self.days(since, until)
        rows = await self._ask.compared(scope, by, first, last)
        span = max(1, last - first + 1)
        kinds = [
            dto.Compared(kind=kind, factories=[_compared(row, span) for row in group])
            for kind, group in groupby(rows, key=lambda row: row["kind"])
        ]
        return dto.Comparison(by=by, since_day=first, until_day=last, kinds=kinds)


def text_of(names: Mapping[str, str]) -> Text:
    """A name in both languages."""
    return Text(zh=names.get("zh", ""), en=names.get("en", ""))


def incident_of(row: Row) -> dto.GroupIncident:
    """One incident."""
    given = {
        name: row[name] for name in dto.GroupIncident.model_fields
        if name not in ("site_name", "name")
    }  # fmt: skip
    return dto.GroupIncident(
        **given, site_name=text_of(row["site_names"]), name=text_of(row["body"].get("names", {}))
    )


def run_of(row: Row) -> dto.GroupRun:
    """One run."""
    given = {
        name: row[name] for name in dto.GroupRun.model_fields if name not in ("context", "metrics")
    }
    body = row["body"]
    return dto.GroupRun(**given, context=body.get("context", {}), metrics=body.get("metrics", {}))


def _next(rows: Sequence[Row], limit: int, keys: tuple[str, ...]) -> tuple[Any, ...] | None:
    return tuple(rows[limit - 1][key] for key in keys) if len(rows) > limit else None


def _by_site(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["site"], []).append(row)
    return found


def _priority(row: Row) -> dto.PriorityFigures:
    mean = round(row["ack_ms"] / row["acked"] / 1000, 1) if row["acked"] else None
    return dto.PriorityFigures(
        priority=row["priority"], raised=row["raised"], annunciated=row["annunciated"],
        acked=row["acked"], ack_mean_s=mean, acked_within_1m=row["acked_1m"],
        acked_within_10m=row["acked_10m"], returned=row["returned"],
        standing_h=round(row["standing_ms"] / HOUR_MS, 3),
    )  # fmt: skip


def _actor(row: Row) -> dto.BadActor:
    return dto.BadActor(
        alarm=row["alarm"], asset=row["asset"] or "", name=text_of(row["names"] or {}),
        annunciated=row["annunciated"], share=round(row["share"] or 0.0, 4),
        standing_h=round(row["standing_ms"] / HOUR_MS, 3),
    )  # fmt: skip


def _compared(row: Row, days: int) -> dto.ComparedFactory:
    return dto.ComparedFactory(
        site=row["site"], points=row["points"], raised=row["raised"],
        annunciated=row["annunciated"],
        per_point_and_day=round(row["annunciated"] / max(1, row["points"]) / days, 4),
        standing_h=round(row["standing_ms"] / HOUR_MS, 3), labelled=row["labelled"],
        nuisance=row["nuisance"],
    )  # fmt: skip
