"""What the local page looks up: bounded lists, and trends in this edge's own time."""

from __future__ import annotations

import json
from typing import Any

from edge_node.application.board import Board
from edge_node.application.history import History
from edge_node.application.ipc import PageQuery
from edge_node.application.lookups import MOST_ROWS, Lookups
from edge_node.application.status import Names
from edge_node.domain.annunciation import Annunciation
from tests.support.edge_script import START, Script, columns, limit

HOUR = 3_600_000


def lookups_of(script: Script) -> tuple[Lookups, History]:
    history = History(script.tags, script.clock, 1 << 20, 10**9, None)
    board = Board("f1", "e1", Names(), script.book, Annunciation(boot="b"), script.clock)
    return Lookups(board, script.book, script.tags, history, script.clock), history


async def asked(lookups: Lookups, what: str, **args: Any) -> Any:
    answer = await lookups.answer(PageQuery(id="q", what=what, args=args))
    return answer.code or json.loads(answer.json)


async def test_lists_are_bounded_and_can_be_searched() -> None:
    script = Script([f"T{i}" for i in range(MOST_ROWS + 500)], [limit("A", "T1", "HI", 100.0)])
    lookups, history = lookups_of(script)
    assert len(await asked(lookups, "tags")) == MOST_ROWS
    found = await asked(lookups, "tags", find="t249")
    assert [row["tag"] for row in found] == ["T249", *(f"T249{i}" for i in range(10))]
    assert [row["alarm"] for row in await asked(lookups, "alarms")] == ["A"]
    assert await asked(lookups, "alarms", find="zz") == []
    assert await asked(lookups, "secrets") == "unknown_query"
    await history.close()


async def test_a_trend_is_in_the_edge_s_time_whatever_the_device_s_clock_says() -> None:
    script = Script(["T", "text:M"], [limit("A", "T", "HI", 100.0), limit("B", "T", "LO", 5.0)])
    lookups, history = lookups_of(script)
    behind = START - HOUR
    batch = columns([(0, behind - 10, 50.0, 0), (0, behind - 5, 60.0, 2), (0, behind, 120.0, 0)])
    script.pipeline.take("s1", batch)
    history.add("s1", batch, behind - 10, behind)
    trend = await asked(lookups, "trend", alarm="A", since=START - 1000, until=START + 1000)
    assert (trend["tag"], trend["rows"]) == ("T", 3)
    assert (trend["t"], trend["v"]) == ([START - 10, START - 5, START], [50.0, None, 120.0])
    lines = {line["alarm"]: line for line in trend["limits"]}
    assert (lines["A"]["limit"], lines["A"]["raised_at"]) == (100.0, START)
    assert (lines["B"]["side"], lines["B"]["raised_at"]) == ("LO", None)
    assert await asked(lookups, "trend", tag="X") == "unknown_tag"
    assert await asked(lookups, "trend", tag="M") == "not_a_number"
    assert await asked(lookups, "trend", tag="T", since=START, until=START) == "bad_span"
    await history.close()
