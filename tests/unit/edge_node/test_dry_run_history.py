"""A dry run looks back in short windows and stops at the newest samples that it needs."""

from __future__ import annotations

from typing import Any

import pytest

from edge_node.application import dry_run, history
from edge_node.application.dry_run import DryRun
from edge_node.application.history import Chunk, History
from shared.alarm.definition import Bounds
from shared.alarm.point import Setting
from tests.support.edge_script import Script, columns, limit

TAG = "A"
DAY_ROWS = 86_400


class Recorded:
    """A disk of seven days, a row a second of one tag; remembers how much one call handed out."""

    def __init__(self, until: int) -> None:
        self.until, self.most, self.rows = until, 0, 0

    def write(self, chunk: Chunk) -> None:
        """Kept elsewhere."""

    def read(self, source: str, since: int, until: int, skip: set[int]) -> list[Chunk]:
        """Made as it is asked for."""
        since, until = max(since, self.until - 7 * DAY_ROWS * 1000), min(until, self.until)
        first = -(-since // 1000) * 1000
        rows = [(0, at, at / 1000 % 50, at // 1000 % 2) for at in range(first, until + 1, 1000)]
        self.most, self.rows = max(self.most, len(rows)), self.rows + len(rows)
        if not rows:
            return []
        made = columns(rows)
        return [Chunk(0, source, (TAG,), first, rows[-1][1], made.tags, made.times, made.values,
                      made.qualities)]  # fmt: skip

    def close(self) -> None:
        """Nothing is open."""


async def test_a_dry_run_reads_no_more_than_it_replays(monkeypatch: Any) -> None:
    monkeypatch.setattr(dry_run, "MOST_SAMPLES", 5_000)
    script = Script([TAG], [])
    until = script.clock.now_ms()
    disk = Recorded(until)
    kept = History(script.tags, script.clock, 1 << 20, 3_600_000, disk)
    looked = DryRun(lambda: script.tags, kept, script.clock)
    times, values = await looked.newest(TAG, until - dry_run.BACK_MS, until)
    # Every second row is bad; what is kept is the newest, whole and in the order of time.
    assert (len(times), len(values)) == (5_000, 5_000)
    newest = [at for at in range(until // 1000 * 1000, until - 20_000_000, -1000)
              if at // 1000 % 2 == 0][:5_000]  # fmt: skip
    assert times == newest[::-1]
    assert disk.rows < 25_000  # of 604,800 that lie there
    await kept.close()


class Short(Recorded):
    """Three hours of it."""

    def read(self, source: str, since: int, until: int, skip: set[int]) -> list[Chunk]:
        """What is older is lost."""
        return super().read(source, max(since, self.until - 10_800_000), until, skip)


async def test_a_filter_of_a_day_is_tried_where_it_is_filled_and_nowhere_else(
    monkeypatch: Any,
) -> None:
    """A fast tag's day is summed up, not cut; time in which no filter ran does not count."""
    monkeypatch.setattr(dry_run, "MOST_SAMPLES", 3_000)
    bounds = Bounds(0, 60, filters=("day",), centre=24.0)
    script = Script([TAG], [limit("A.HI", TAG, "HI", 40.5, bounds=bounds)])
    until, wanted = script.clock.now_ms(), {"A.HI": Setting(40.5, filter="day")}
    whole = History(script.tags, script.clock, 1 << 20, 3_600_000, Recorded(until))
    found = await DryRun(lambda: script.tags, whole, script.clock).replay(script.book, wanted)
    told = found["alarms"]["A.HI"]
    # Every 50 s four samples of 42 and more; the mean of the day is the normal value.
    assert told["now"] == told["new"]
    assert told["now"][0] == pytest.approx(120, abs=1)
    assert told["coverage_s"] == 5_998.0
    short = History(script.tags, script.clock, 1 << 20, 3_600_000, Short(until))
    found = await DryRun(lambda: script.tags, short, script.clock).replay(script.book, wanted)
    told = found["alarms"]["A.HI"]
    assert (told["samples"], told["coverage_s"]) == (3_000, 0)
    assert told["now"] == told["new"] == [0, 0.0]
    await whole.close()
    await short.close()


def test_only_time_in_which_both_settings_ran_is_counted() -> None:
    """An alarm that began before is standing in it; one that began outside is none of it."""
    found = [(0, 15), (20, 30), (35, 38), (50, None)]
    assert dry_run._told(found, 60, None) == [4, 0.0]
    assert dry_run._told([(a * 1000, b and b * 1000) for a, b in found], 60_000,
                         [(10_000, 25_000), (37_000, 55_000)]) == [2, 16.0]  # fmt: skip


async def test_windows_shrink_where_there_is_much_and_grow_where_there_is_nothing(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(history, "MANY_ROWS", 400)
    script = Script([TAG], [])
    until = script.clock.now_ms()
    disk = Recorded(until)
    kept = History(script.tags, script.clock, 1 << 20, 3_600_000, disk)
    windows = [len(curve[2]) async for curve in kept.back(TAG, until - 3_600_000, until)]
    assert sum(windows) == 3_601
    assert disk.most <= 800
    empty = Recorded(until - 30 * 86_400_000)
    nothing = History(script.tags, script.clock, 1 << 20, 3_600_000, empty)
    assert 0 < len([0 async for _ in nothing.back(TAG, until - dry_run.BACK_MS, until)]) < 400
    await kept.close()
    await nothing.close()
