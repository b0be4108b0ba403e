"""When Andon complains about itself: limits, hysteresis, patience; words in both languages."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, cast

import pytest

from factory_brain.application.health import UNTOLD_MS, WATCHES, Health, Reading, untold_probe
from factory_brain.application.system_alarms import Condition, SystemAlarms
from factory_brain.domain.system_words import SYSTEM_WORDS, alarm_of, is_system, sheet_of, title
from factory_brain.domain.watches import Watch, Watched, look
from shared.clock import ManualClock
from shared.errors import StoreError

ROOT = Path(__file__).parents[3]
WATCH = Watch("x", 100, 50, 1000)


def test_a_figure_must_stay_bad_and_then_come_well_back() -> None:
    now, state, told = 0, Watched(), []
    for value, step in ((120, 0), (120, 999), (120, 1), (60, 10), (120, 10), (50, 10), (99, 10)):
        now += step
        state = look(WATCH, state, value, now)
        told.append(state.active)
    assert told == [False, False, True, True, True, False, False]


def test_a_short_peak_starts_the_patience_anew_and_an_unread_figure_changes_nothing() -> None:
    state = look(WATCH, Watched(), 120, 0)
    state = look(WATCH, look(WATCH, state, 99, 500), 120, 1000)
    assert not look(WATCH, state, None, 5000).active
    assert look(WATCH, state, 120, 2000).active


async def test_conditions_are_switched_once_each_way_and_a_stuck_probe_stops_nobody() -> None:
    clock, told = ManualClock(), []
    values = iter([0.0, 97.0, 97.0, 93.0, 92.0])

    async def disk() -> list[Reading]:
        return [Reading("f1.brain", "disk_full", next(values), {"free_gb": 1})]

    async def stuck() -> list[Reading]:
        raise TimeoutError

    async def switch(source: str, code: str, active: bool, params: dict[str, Any]) -> None:
        told.append((source, code, active, params["value"]))

    health = Health(clock, [stuck, disk], switch)
    for _ in range(5):
        await health.once()
        clock.advance(5000)
    assert told == [
        ("f1.brain", "disk_full", False, 0.0),
        ("f1.brain", "disk_full", True, 97.0),
        ("f1.brain", "disk_full", False, 92.0),
    ]


async def test_who_leads_anew_judges_anew_and_what_is_bad_again_does_not_come_twice() -> None:
    clock, told, value = ManualClock(), [], 0.0

    async def database() -> list[Reading]:
        return [Reading("f1.brain", "database_slow", value)]

    async def switch(source: str, code: str, active: bool, params: dict[str, Any]) -> None:
        told.append(active)

    health = Health(clock, [database], switch)

    async def lead() -> None:
        leading = asyncio.ensure_future(health.run())
        for _ in range(20):
            await asyncio.sleep(0)
        leading.cancel()
        await asyncio.wait({leading})

    await lead()
    assert told == [False]
    # Another brain led, found it slow and said so; meanwhile it is over: it must be taken back.
    await lead()
    assert told == [False, False]
    # It is slow while the lead changes: taking it back only to raise it again would sound twice.
    value = 5_000.0
    await lead()
    assert told == [False, False]
    clock.advance(10_000)
    await health.once()
    assert told == [False, False, True]


async def test_what_the_site_no_longer_has_is_taken_back() -> None:
    told = []

    async def switch(source: str, code: str, active: bool, params: dict[str, Any]) -> None:
        told.append((source, code, active))

    gone = [("f1.person-li", "notification_failed")]
    await Health(ManualClock(), [], switch, lambda: gone).once()
    assert told == [("f1.person-li", "notification_failed", False)]


class Stored:
    """What the database says, or that it does not."""

    def __init__(self) -> None:
        self.down = True

    async def read(self) -> list[Condition]:
        if self.down:
            raise StoreError("down")
        return []

    async def put(self, *_: Any) -> None:
        raise StoreError("down")

    async def acknowledge(self, *_: Any) -> bool:
        return False


class Shown:
    """The list."""

    def __init__(self) -> None:
        self.titles: list[Any] = []

    async def on_occurrence(self, *_: Any) -> None:
        return None

    def set_system(self, titles: list[Any]) -> None:
        self.titles = titles


async def test_what_could_not_be_stored_is_shown_until_another_brain_judges() -> None:
    store, live, elsewhere = Stored(), Shown(), False
    system = SystemAlarms("f1", ManualClock(), cast(Any, store), cast(Any, None), cast(Any, live))
    system.judged_elsewhere = lambda: elsewhere
    await system.set("f1.brain", "database_unwritable", True, {})
    assert len(live.titles) == 1
    store.down = False
    await system.refresh()
    assert len(live.titles) == 1  # it can be read and not written: nobody else says so
    elsewhere = True
    await system.refresh()
    assert live.titles == []


@pytest.mark.parametrize("watch", WATCHES.values(), ids=list(WATCHES))
def test_every_watch_has_hysteresis_and_words(watch: Watch) -> None:
    assert watch.low < watch.high
    assert watch.code in SYSTEM_WORDS


def test_every_code_that_is_reported_has_words_in_both_languages() -> None:
    for code, words in SYSTEM_WORDS.items():
        for said in (words.name, words.cause, words.action, words.sheet.consequence):
            assert said.zh, code
            assert said.en, code
            assert re.search("[\u4e00-\u9fff]", said.zh), code
        assert 1 <= words.priority <= 4
    reported = set()
    for path in [*(ROOT / "factory_brain").rglob("*.py"), *(ROOT / "edge_node").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        reported |= set(re.findall(r'set_system\(\s*tx, [^,]+, "([a-z_]+)", True', text))
        reported |= set(re.findall(r'SystemEvent\(\s*code="([a-z_]+)"', text))
    assert "frame_forged" in reported
    assert reported <= SYSTEM_WORDS.keys()


def test_names_and_sheets_are_found_by_the_row() -> None:
    alarm = alarm_of("f1.e1", "driver_failed")
    assert is_system(alarm)
    sheet = sheet_of(alarm)
    assert sheet is not None
    assert "driver" in sheet.action.en
    assert sheet_of("FUR-01.TT-101.HIHI") is None
    assert title("f1.e1", "driver_failed", {"subject": "plc"}).en == (
        "f1.e1: data source failed (plc)"
    )


async def test_a_change_that_was_not_told_on_is_shown_for_some_time() -> None:
    clock, untold, told = ManualClock(), 0, []

    async def switch(source: str, code: str, active: bool, params: dict[str, Any]) -> None:
        told.append((source, code, active))

    watch = Health(clock, (untold_probe("f1", lambda: untold, clock),), switch)
    await watch.once()
    untold = 1
    for passed in (0, UNTOLD_MS - 1, 1):
        clock.advance(passed)
        await watch.once()
    where = ("f1.brain", "change_untold")
    assert told == [(*where, False), (*where, True), (*where, False)]
