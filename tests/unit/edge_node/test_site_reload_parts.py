"""What a reload owes the disk, the board and the settings from above, part by part."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_node.adapters import site_watch
from edge_node.adapters.children import Drivers
from edge_node.adapters.site_copy import Candidate
from edge_node.adapters.site_watch import SiteWatch
from edge_node.application import reflexes
from edge_node.application.actuation import Order, Outcome
from edge_node.application.board import Board
from edge_node.application.directive_handler import DirectiveHandler, Tuned
from edge_node.application.engine import Engine
from edge_node.application.ipc import Configure
from edge_node.application.records import AlarmRecord, Emit, PutAlarm
from edge_node.application.reflexes import Reflexes
from edge_node.application.status import Names
from edge_node.bootstrap import _retire
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.annunciation import Annunciation
from edge_node.fleet import Fleet
from edge_node.reload import Reload
from shared.alarm.definition import Bounds
from shared.alarm.machine import AlarmEvent, Trigger
from shared.alarm.states import AlarmState
from shared.clock import ManualClock
from shared.errors import StoreError
from shared.messages.bodies import AlarmTransition
from shared.messages.subjects import Node
from shared.site.model import ReflexSpec
from tests.support.edge_script import Script, limit

HOT = limit("T.HI", "T", "HI", 100, bounds=Bounds(80, 120))


async def test_a_change_that_the_disk_did_not_take_is_tried_again_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "site.yaml").write_text("site: f1\n")
    monkeypatch.setattr(site_watch, "POLL_S", 0.02)
    monkeypatch.setattr(SiteWatch, "_check", lambda self, folder: [])
    answers, seen = [False, False, True], []

    async def take(found: Candidate) -> bool:
        seen.append(found.desired)
        return answers.pop(0)

    watch = SiteWatch(tmp_path / "site", tmp_path / "state", "e1", "another version")
    watch.retry_s = 0.02
    task = asyncio.create_task(watch.run(take))
    async with asyncio.timeout(10):
        while answers:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)  # taken: not a fourth time
    task.cancel()
    assert len(seen) == 3


@pytest.mark.parametrize("trigger", [Trigger.DISABLE, Trigger.OUT_OF_SERVICE])
def test_a_hidden_alarm_whose_definition_goes_does_not_come_back_hidden(trigger: Trigger) -> None:
    script = Script(["T"], [HOT])
    script.do("T.HI", trigger)
    rows = _retire(AlarmRecord.of(script.book.units["T.HI"]), script.clock)
    kept, told = rows
    assert isinstance(kept, PutAlarm)
    assert AlarmState.from_dict(kept.record.state) == AlarmState()
    assert isinstance(told, Emit)
    assert isinstance(told.event.body, AlarmTransition)
    assert (told.event.body.kind, told.event.body.version) == ("retired", kept.record.version)
    quiet = _retire(AlarmRecord.of(Script(["T"], [HOT]).book.units["T.HI"]), script.clock)
    assert [type(row) for row in quiet] == [PutAlarm]  # what was at rest is nothing to tell


def test_a_tuned_setting_goes_with_the_condition_that_it_was_for() -> None:
    book = AlarmBook([HOT], str)
    handler = DirectiveHandler(Node("f1", "e1"), None, book, SimpleNamespace(), ManualClock())  # type: ignore[arg-type]
    handler._tuned = {"T.HI": Tuned([90.0, 0.0, 0, 0], 3, [100.0, 0.0, 0, 0])}
    same = handler.prepare(AlarmBook([HOT], str))
    assert (set(same.kept), handler.use(same)) == ({"T.HI"}, [])
    other = handler.prepare(AlarmBook([limit("T.HI", "P", "HI", 100)], str), ["T.HI"])
    assert (other.kept, set(handler._tuned)) == ({}, {"T.HI"})  # nothing is changed yet
    assert len(handler.use(other)) == 2  # what is stored, and what the tiers above are told
    assert handler._tuned == {}


async def test_what_was_queued_before_everything_was_shown_never_shows_over_it() -> None:
    script = Script(["T"], [HOT])
    board = Board("f1", "e1", Names(), script.book, Annunciation(), script.clock)
    nothing: Any = SimpleNamespace()
    journal = SimpleNamespace(degraded=False, on_health=None)
    parts = SimpleNamespace(
        pipeline=script.pipeline, journal=journal, board=board, reflexes=SimpleNamespace(),
        system=SimpleNamespace(set=lambda *a, **k: None),
        actuation=SimpleNamespace(devices_of_type=lambda kind: []), telemetry=nothing,
    )  # fmt: skip
    engine = Engine(parts, script.clock)  # type: ignore[arg-type]
    script.at(1).sample("T", 110)
    raised = AlarmRecord.of(script.book.units["T.HI"])
    hangs: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    engine._show([raised], hangs)  # the disk hangs with the raise in its hands
    journal.degraded = True
    engine._on_journal_health(True, "slow")
    assert board.horn
    script.at(2).sample("T", 50)
    script.book.trigger(script.book.units["T.HI"], AlarmEvent(Trigger.ACKNOWLEDGE), 0)
    engine._show([AlarmRecord.of(script.book.units["T.HI"])], hangs)
    assert not board.horn
    hangs.set_result(None)  # as the journal does it: all at once, then it says that it is well
    journal.degraded = False
    engine._on_journal_health(False, "")
    await asyncio.sleep(0)
    assert not board.horn


@pytest.mark.parametrize(
    ("error", "taken"),
    [(StoreError("full"), False), (RuntimeError("a fault of Andon's own"), True)],
)
async def test_a_change_that_fails_touches_nothing_and_is_said(
    tmp_path: Path, error: Exception, taken: bool
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "site.yaml").write_text("site: f1\n")
    said: list[tuple[Any, ...]] = []

    def prepare(book: object, rebuilt: object) -> None:
        raise error

    # Whatever else a swap would touch is not there: touching it would be another error.
    live: Any = SimpleNamespace(
        engine=SimpleNamespace(store=lambda rows: None, dirty=lambda: None),
        fleet=SimpleNamespace(wanted=lambda rules: {}),
        directives=SimpleNamespace(prepare=prepare),
        system=SimpleNamespace(set=lambda *what, **more: said.append((*what, more))),
        board=SimpleNamespace(site=lambda *what: said.append(what)),
    )
    old: Any = SimpleNamespace(version="old", site=SimpleNamespace(alarms={}))
    new: Any = SimpleNamespace(version="new", site=SimpleNamespace(alarms={}), book=None)
    reload = Reload(live, old, tmp_path / "state", lambda folder: new, lambda record: [])
    found = Candidate("new", "new", tmp_path / "new")
    assert await reload.take(found) is taken
    assert reload.rules is old
    assert said[1][:2] == ("site_refused", True)
    assert said[-1][:2] == ("old", "new")


async def test_a_reflex_that_the_site_no_longer_has_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reflexes, "RETRY_S", (0.0,) * 50)
    tried: list[Order] = []

    async def perform(order: Order) -> Outcome:
        tried.append(order)
        if len(tried) == 3:
            acting.use([cool.model_copy(update={"args": {"pct": 60}})], script.book)
        return Outcome("failed", "write_failed")

    async def durable(stored: object, timeout_s: float) -> bool:
        return True

    cool = ReflexSpec.model_validate(
        {"id": "cool", "alarm": "T.HI", "device": "X-1/burner", "operation": "set",
         "args": {"pct": 40}, "safe_direction": True}
    )  # fmt: skip
    script = Script(["T"], [HOT])
    actuation: Any = SimpleNamespace(perform=perform, test=lambda text, what: None)
    journal: Any = SimpleNamespace(durable=durable, write=lambda *a, **k: None)
    acting = Reflexes([cool], actuation, journal, script.book, script.clock, "boot")
    script.at(1).sample("T", 110)
    ((spec, order, entry),) = acting.intents(script.log[-1], 0.0)
    acting.start(spec, order, entry, asyncio.get_running_loop().create_future())
    async with asyncio.timeout(10):
        while acting._tasks:
            await asyncio.sleep(0)
    assert [order.args for order in tried] == [{"pct": 40}] * 3


async def test_a_child_that_goes_on_reads_the_site_in_force_when_it_starts_again() -> None:
    """A computed source loads the plant's functions that were checked, not what lies about."""

    def told(folder: str, functions: str = "f1") -> dict[str, Configure]:
        settings = {"site_dir": folder, "functions": functions}
        configure = Configure(
            source={"id": "calc"}, tags=[], settings=settings, inputs=[{"id": "T"}]
        )
        return {"calc": configure}

    begun: list[Any] = []

    def start(child: Any) -> asyncio.Task[None]:
        begun.append(child)
        return asyncio.create_task(asyncio.sleep(0))

    settings: Any = SimpleNamespace(driver_command=["driver"])
    rules: Any = SimpleNamespace(drivers=Drivers(), relay=SimpleNamespace(snapshot=lambda of: None))
    fleet = Fleet(settings, lambda source, message: None, start)
    fleet.apply(rules, told("/site"))
    fleet.apply(rules, told("/state/site-last-good"))
    assert [child._first().settings["site_dir"] for child in begun] == ["/state/site-last-good"]
    fleet.apply(rules, told("/state/site-last-good", "f2"))  # other functions: another child
    assert len(begun) == 2
