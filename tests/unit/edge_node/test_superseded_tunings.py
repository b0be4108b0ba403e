"""What people rewrote in the site's files since it was tuned: theirs runs, and it is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_node.application.directive_handler import SETTINGS
from edge_node.application.records import Emit, PutMeta
from edge_node.domain.alarm_book import AlarmBook
from shared.messages.bodies import DirectiveReport
from shared.messages.directives import superseded_alarms
from tests.support.directive_bench import HI, Bench, order, sealed
from tests.support.rollout_world import SITES


@pytest.fixture
async def bench() -> Bench:
    """An edge that runs a directive."""
    bench = Bench()
    assert await bench.from_group(sealed(order())) == ""
    await bench.edge.look()
    assert bench.edge.limits()[HI] == 1236.0
    return bench


def engineer_writes(monkeypatch: pytest.MonkeyPatch, limit: float) -> None:
    plain = SITES["f1"].alarms[HI]
    monkeypatch.setitem(
        SITES["f1"].alarms, HI, replace(plain, setting=replace(plain.setting, limit=limit))
    )


def told(reports: list[DirectiveReport]) -> list[tuple[str, int, int, list[str]]]:
    return [
        (each.directive, each.counter, each.settings_version, superseded_alarms(each.params))
        for each in reports if each.status == "superseded"
    ]  # fmt: skip


async def test_a_start_with_the_engineers_own_number_says_so_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.edge.start()
    assert told(bench.edge.reports) == []
    engineer_writes(monkeypatch, 1232.0)
    for _ in range(2):
        bench.edge.start()
        assert bench.edge.limits()[HI] == 1232.0
        assert told(bench.edge.reports) == [("d-1", 1, 1, [HI])]
    monkeypatch.undo()  # the old number again: a number that people wrote, not the tuning
    bench.edge.start()
    assert bench.edge.limits()[HI] == 1230.0


async def test_a_reload_says_so_in_the_transaction_that_forgets_the_tuning(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    engineer_writes(monkeypatch, 1232.0)
    alarms = [a for a in SITES["f1"].alarms.values() if a.edge == "e1"]
    rows = bench.edge.handler.use(bench.edge.handler.prepare(AlarmBook(alarms, str)))
    reports = [
        row.event.body for row in rows
        if isinstance(row, Emit) and isinstance(row.event.body, DirectiveReport)
    ]  # fmt: skip
    assert told(reports) == [("d-1", 1, 1, [HI])]
    assert [row.key for row in rows if isinstance(row, PutMeta)] == [SETTINGS]
    bench.edge.disk.keep(rows)
    bench.edge.start()
    assert len(told(bench.edge.reports)) == 1
