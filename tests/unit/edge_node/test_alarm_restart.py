"""What people have said about alarms survives a kill: through the real store, and over hours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_node.adapters.sqlite_store import SqliteStore
from edge_node.application.alarm_service import AlarmService
from edge_node.application.ipc import OperatorAction
from edge_node.application.pipeline import Pipeline
from edge_node.application.records import AlarmRecord, PutAlarm
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import AlarmUnit, Transition
from edge_node.domain.tags import TagTable
from shared.clock import ManualClock
from shared.messages.bodies import GapRecord
from shared.messages.envelope import Event
from shared.messages.subjects import LIVE
from shared.site.model import SourceSpec
from tests.support.edge_script import START, _tag, columns, limit

ALARMS = [
    limit("T.HI", "T", "HI", 100, first_out="LINE", suppressed_when='tag("P").value < 1'),
    limit("S.HI", "S", "HI", 100, first_out="LINE", suppressed_in=("M:idle",)),
    limit("P.HI", "P", "HI", 100, re_alarm_ms=3_600_000),
]
TAGS = ("T", "S", "P")


def _gap(gap: GapRecord) -> Event:
    return Event(id=f"gap-{gap.first}", type="outbox.gap", time=START, body=gap)


class Edge:
    """The alarms' part of an edge over one database file; made again after a kill."""

    def __init__(self, path: Path, now: int) -> None:
        self.clock = ManualClock(now)
        self.store = SqliteStore(path / "edge.db", f"e{now}", lambda _: LIVE, _gap)
        snapshot = self.store.load()
        source = SourceSpec(id="s1", edge="e1", driver="opcua", url="opc.tcp://x")
        tags = TagTable([source], [_tag(name) for name in TAGS])
        tags.sources["s1"].up = True
        self.count = now
        self.book = AlarmBook(ALARMS, lambda: self.name("o"))
        for record in snapshot.alarms.values():
            record.restore(self.book.units[record.alarm])
            self.book.suppression.restore(self.book.units[record.alarm], tuple(record.causes))
        self.pipeline = Pipeline(tags, self.book, self.clock)
        self.service = AlarmService(
            self.book, self.clock, self.pipeline.steady, snapshot.facts, snapshot.marks,
            snapshot.last_hlc,
        )  # fmt: skip
        self.log: list[Transition] = []
        self.keep([], self.pipeline.start())
        self.keep([], self.pipeline.tick())

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def keep(self, rows: list[Any], transitions: list[Transition]) -> None:
        self.log += transitions
        records = [PutAlarm(AlarmRecord.of_transition(t)) for t in transitions]
        self.store.commit([[*rows, *records]], self.clock.now_ms())

    def sample(self, tag: str, value: float) -> None:
        self.clock.advance(1000)
        row = (TAGS.index(tag), self.clock.now_ms(), value, 0)
        self.keep([], self.pipeline.take("s1", columns([row])))

    def do(self, alarm: str, action: str, **args: Any) -> str:
        unit = self.book.units[alarm]
        rows, result = self.service.act(
            OperatorAction(
                id=self.name("a"), action=action, alarm=alarm, occurrence=unit.occurrence,
                version=unit.version, actor="li", args=args,
            )
        )  # fmt: skip
        self.keep(rows, self.pipeline.settle())
        return result.code

    def unit(self, alarm: str = "T.HI") -> AlarmUnit:
        return self.book.units[alarm]


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Any]:
    open_stores: list[Edge] = []

    def boot(hours: float = 0) -> Edge:
        for old in open_stores:  # a kill: nothing is written at the end
            old.store.close()
        last = open_stores[-1].clock.now_ms() if open_stores else START
        open_stores[:] = [Edge(tmp_path, last + round(hours * 3_600_000))]
        return open_stores[-1]

    yield boot
    for old in open_stores:
        old.store.close()


def test_an_acknowledgement_and_the_first_out_mark_survive(edge: Any) -> None:
    before = edge()
    before.sample("T", 110)
    before.sample("S", 110)
    assert before.do("T.HI", "acknowledge") == "ok"
    after = edge()
    assert after.unit().state == before.unit().state
    assert (after.unit().first_out, after.unit("S.HI").first_out) == (True, False)
    assert after.log == []
    after.sample("S", 90)
    assert after.do("T.HI", "acknowledge") == "Bad_ConditionBranchAlreadyAcked"
    assert after.do("S.HI", "acknowledge") == "ok"


def test_a_shelf_survives_with_who_and_why_and_ends_when_it_was_to_end(edge: Any) -> None:
    before = edge()
    before.sample("T", 110)
    assert before.do("T.HI", "shelve", minutes=60, reason="noisy sensor") == "ok"
    until = before.unit().state.shelved_until
    after = edge(hours=0.5)
    assert (after.unit().state.shelf, after.unit().state.shelved_until) == ("T", until)
    assert (after.unit().notes["shelf"].actor, after.unit().notes["shelf"].reason) == (
        "li", "noisy sensor",
    )  # fmt: skip
    after.clock.advance(until - after.clock.now_ms())
    after.keep([], after.pipeline.tick())
    assert [t.body.kind for t in after.log] == ["unshelved"]
    assert after.log[0].body.annunciate


def test_a_shelf_that_ended_while_nobody_ran_ends_at_the_start_with_one_sound(edge: Any) -> None:
    before = edge()
    before.sample("T", 110)
    before.do("T.HI", "shelve", minutes=10, reason="noisy")
    after = edge(hours=5)
    assert [(t.body.kind, t.body.annunciate) for t in after.log] == [("unshelved", True)]
    again = edge(hours=1)
    assert again.log == []


@pytest.mark.parametrize(("down", "rest"), [(0.5, 30), (0.9, 6), (3.0, 0)])
def test_the_time_until_an_alarm_sounds_again_goes_on_over_a_restart(
    edge: Any, down: float, rest: int
) -> None:
    edge().sample("P", 110)
    after = edge(hours=down)
    assert [t.body.kind for t in after.log] == ([] if rest else ["re_alarmed"])
    for _ in range(rest):
        after.clock.advance(60_000)
        after.keep([], after.pipeline.tick())
    assert [t.body.kind for t in after.log] == ["re_alarmed"]
    again = edge(hours=0.5)  # and runs from the last sound, not from the first
    assert again.log == []
    again.clock.advance(1_800_000)
    again.keep([], again.pipeline.tick())
    assert [t.body.kind for t in again.log] == ["re_alarmed"]


def test_what_people_and_conditions_keep_from_people_stays_kept(edge: Any) -> None:
    before = edge()
    before.sample("P", 0)  # suppressed while at rest: stored though nobody above hears of it
    assert before.do("T.HI", "suppress", reason="test run") == "ok"
    before.book.enter_states(frozenset({"M:idle"}), before.book.now)
    before.keep([], before.pipeline.settle())
    after = edge()
    assert after.unit().causes == ("when", "operator")
    assert after.unit("S.HI").causes == ("state",)  # the state is not known yet: what was, stays
    after.sample("T", 110)
    after.sample("S", 110)
    assert not any(t.body.annunciate for t in after.log)
    assert after.do("T.HI", "unsuppress") == "ok"
    assert after.unit().state.suppressed  # the condition is not known yet either
    after.sample("P", 5)
    after.book.enter_states(frozenset({"M:run"}), after.book.now)
    after.keep([], after.pipeline.settle())
    assert [t.body.alarm for t in after.log if t.body.annunciate] == ["T.HI", "S.HI"]


@pytest.mark.parametrize(
    ("action", "back", "state"),
    [("out_of_service", "in_service", "out_of_service"), ("disable", "enable", "disabled")],
)
def test_out_of_service_and_disabled_survive(edge: Any, action: str, back: str, state: str) -> None:
    before = edge()
    assert before.do("T.HI", action, reason="calibration", permit="W-7") == "ok"
    after = edge(hours=24)
    assert after.unit().state.name == state
    assert after.unit().notes[state].permit == "W-7"
    after.sample("T", 110)
    assert not any(t.body.annunciate for t in after.log)
    last = edge()
    assert last.do("T.HI", back) == "ok"
    assert [t.body.annunciate for t in last.log] == [True]


def test_a_shelf_whose_end_is_not_known_is_no_shelf(edge: Any) -> None:
    before = edge()
    before.sample("T", 110)
    record = AlarmRecord.of(before.unit())
    broken = {**record.state, "shelf": "T", "shelved_until": None}
    before.store.commit([[PutAlarm(_with_state(record, broken))]], before.clock.now_ms())
    after = edge()
    assert after.unit().state.shelf == "U"


def _with_state(record: AlarmRecord, state: dict[str, Any]) -> AlarmRecord:
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    return AlarmRecord(**{**fields, "state": state})
