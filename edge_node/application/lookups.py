"""What the local page looks up beside the status: a trend, every alarm, every tag.

Asked by the page through the engine; answers from memory and the edge's own history. Changes
nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from edge_node.application.board import Board
from edge_node.application.history import History, taken
from edge_node.application.ipc import PageAnswer, PageQuery
from edge_node.application.served import list_served
from edge_node.application.status import AlarmStatus, Names
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.tags import TagTable
from edge_node.kernel.history import Curve, thin
from shared.clock import Clock
from shared.errors import Rejected
from shared.site.assets import AssetTree
from shared.site.model import TagSpec

MOST_POINTS = 3_000
MOST_ROWS = 2_000
AT_ONCE = 100
LONGEST_MS = 31 * 86_400_000
_encode = msgspec.json.Encoder().encode


class LimitLine(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm's limit in a trend, with its last raise in this edge's time."""

    alarm: str
    name: Names
    priority: int
    side: str
    limit: float | None
    raised_at: int | None
    active: bool
    filter: str = "raw"
    """What the limit is held against."""
    filling: bool = False
    """Its window is not known yet: the limit is the engineer's, for the samples themselves."""


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """A tag's curve in this edge's time; a bad sample has no value."""

    tag: str
    name: Names
    unit: str
    since: int
    until: int
    rows: int
    """Samples at full rate that the curve stands for."""
    t: list[int]
    v: list[float | None]
    limits: list[LimitLine]


class TagStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One tag now."""

    tag: str
    name: Names
    unit: str
    asset: str
    source: str
    type: str
    value: float | bool | str | None
    good: bool
    age_s: float | None


class Lookups:
    """Answers the page's questions."""

    def __init__(
        self, board: Board, book: AlarmBook, tags: TagTable, history: History, clock: Clock
    ) -> None:
        self._board, self._book, self._tags = board, book, tags
        self._history, self._clock = history, clock
        self.assets: Callable[[], AssetTree] = lambda: AssetTree("")
        """The asset tree of the site that runs."""

    def use(self, book: AlarmBook, tags: TagTable) -> None:
        """Go on with another version of the site."""
        self._book, self._tags = book, tags

    async def answer(self, query: PageQuery) -> PageAnswer:
        """The answer as JSON, or why there is none."""
        found = await self._find(query)
        if isinstance(found, Rejected):
            return PageAnswer(id=query.id, code=found.code, params=found.params)
        return PageAnswer(id=query.id, json=found)

    async def _find(self, query: PageQuery) -> bytes | Rejected:
        wanted = str(query.args.get("find") or "").strip().lower()
        match query.what:
            case "trend":
                found = await self.trend(query.args)
                return found if isinstance(found, Rejected) else _encode(found)
            case "alarms":
                return await _rows(self._alarm_rows(wanted))
            case "alarm":
                row = self._board.any_row(str(query.args.get("alarm") or ""))
                return _encode(row) if row is not None else Rejected("unknown_alarm")
            case "served":
                version = self._board.around.versions.site
                return await list_served(version, self._book.units.values(), self.assets())
            case "tags":
                return await _rows(self._tag_rows(wanted))
        return Rejected("unknown_query", {"what": query.what})

    def _alarm_rows(self, wanted: str) -> Iterator[AlarmStatus | None]:
        for alarm in sorted(self._book.units):
            row = self._board.any_row(alarm)
            if row is not None and not _fits(wanted, alarm, row.tag, row.asset, row.name):
                row = None
            yield row

    def _tag_rows(self, wanted: str) -> Iterator[TagStatus | None]:
        tags = self._tags  # another site may take its place meanwhile
        for name in tags:
            source, index = tags.place(name)
            spec = source.tags[index]
            fits = _fits(wanted, name, spec.source, spec.asset, _names(spec))
            yield _tag(tags, name) if fits else None

    async def trend(self, args: dict[str, Any]) -> Trend | Rejected:
        """A tag's curve in [since, until] of this edge's time, at most `most` points."""
        name = str(args.get("tag") or "")
        if (unit := self._book.units.get(str(args.get("alarm") or ""))) is not None:
            name = unit.definition.tag
        if name not in self._tags:
            return Rejected("unknown_tag", {"tag": name})
        source, index = self._tags.place(name)
        spec, offset = source.tags[index], source.time.offset
        if spec.type == "string":
            return Rejected("not_a_number", {"tag": name})
        until = int(args.get("until") or self._clock.now_ms())
        since = int(args.get("since") or until - 600_000)
        if not until - LONGEST_MS <= since < until:
            return Rejected("bad_span", {"since": since, "until": until})
        most = max(30, min(int(args.get("most") or 1_000), MOST_POINTS))
        found = await self._history.read([name], since - offset, until - offset)
        curve = found[name]
        # Off the loop: a day of one fast tag is a million rows.
        kept = await asyncio.to_thread(thin, *curve, since - offset, until - offset, most)
        times, values = _points(taken(curve, kept), offset)
        return Trend(
            tag=name, name=_names(spec), unit=spec.unit, since=since, until=until,
            rows=len(curve[2]), t=times, v=values, limits=self._limits(name),
        )  # fmt: skip

    def _limits(self, tag: str) -> list[LimitLine]:
        lines: list[LimitLine] = []
        for unit in self._book.units.values():
            definition = unit.definition
            if definition.tag != tag:
                continue
            raised = unit.raised_at + self._book.offset_of(unit) if unit.raised_at else None
            lines.append(
                LimitLine(
                    alarm=unit.id, name=Names(definition.name.zh, definition.name.en),
                    priority=definition.priority, side=definition.side or "",
                    limit=unit.running.limit if definition.kind == "limit" else None,
                    filter=definition.setting.filter, filling=unit.filling,
                    raised_at=raised, active=unit.state.active,
                )
            )  # fmt: skip
        return lines


def _tag(tags: TagTable, name: str) -> TagStatus:
    source, index = tags.place(name)
    spec, reading = source.tags[index], tags.tag(name)
    value = reading.value if reading is not None else None
    if isinstance(value, float) and not math.isfinite(value):
        value = None
    return TagStatus(
        tag=name, name=_names(spec), unit=spec.unit, asset=spec.asset, source=spec.source,
        type=spec.type, value=value if isinstance(value, bool | float | int | str) else None,
        good=reading is not None and reading.good,
        age_s=reading.age_s if reading is not None else None,
    )  # fmt: skip


def _fits(wanted: str, name: str, more: str, asset: str, names: Names) -> bool:
    text = f"{name} {more} {asset} {names.zh} {names.en}"
    return not wanted or wanted in text.lower()


async def _rows(found: Iterator[msgspec.Struct | None]) -> bytes:
    """Rows as a JSON list of bounded length, made a few at a time: the live loop goes on."""
    parts: list[bytes] = []
    for looked_at, row in enumerate(found):
        if row is not None:
            parts.append(_encode(row))
        if len(parts) >= MOST_ROWS:
            break
        if looked_at % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
    return b"[" + b",".join(parts) + b"]"


def _names(spec: TagSpec) -> Names:
    return Names(spec.name.zh, spec.name.en)


def _points(curve: Curve, offset: int) -> tuple[list[int], list[float | None]]:
    times = [at + offset for at in memoryview(curve[0]).cast("q")]
    values = [
        value if not grade and math.isfinite(value) else None
        for value, grade in zip(memoryview(curve[1]).cast("d"), curve[2], strict=True)
    ]
    return times, values
