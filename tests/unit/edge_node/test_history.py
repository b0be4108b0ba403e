"""The edge's own history: the ring, its disk, what survives and what is left out."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from edge_node.adapters.history_files import HistoryFiles
from edge_node.application.history import ROWS, Disk, History
from edge_node.application.ipc import Samples
from edge_node.kernel.history import Curve
from shared.clock import ManualClock
from tests.support.edge_script import START, Script, columns

HOUR = 3_600_000


def ring(
    script: Script, disk: Disk | None = None, mb: float = 64, age_ms: int = 24 * HOUR
) -> History:
    return History(script.tags, script.clock, int(mb * 2**20), age_ms, disk)


def files(folder: Path, clock: ManualClock, mb: float = 16, keep_free: int = 0) -> HistoryFiles:
    return HistoryFiles(folder, clock, int(mb * 2**20), 24 * HOUR, keep_free)


def put(history: History, *rows: tuple[int, int, float, int]) -> None:
    times = [row[1] for row in rows]
    history.add("s1", columns(rows), min(times), max(times))


def run_of(tag: int, first: int, count: int) -> Samples:
    return columns((tag, first + i, float(i), 0) for i in range(count))


def times(curve: Curve) -> list[int]:
    return list(struct.unpack(f"<{len(curve[2])}q", curve[0]))


async def test_rows_come_back_at_full_rate_in_order_also_while_they_gather() -> None:
    history = ring(Script(["A", "B"], []))
    put(history, (0, 5, 1.0, 0), (1, 6, 2.0, 0))
    put(history, (0, 4, 3.0, 2))
    history.add("s1", run_of(0, 10, ROWS), 10, 10 + ROWS - 1)
    put(history, (0, 9, 7.0, 0))
    found = await history.read(["A", "B"], 0, 12)
    assert times(found["A"]) == [4, 5, 9, 10, 11, 12]
    assert found["A"][2] == bytes([2, 0, 0, 0, 0, 0])
    assert times(found["B"]) == [6]
    await history.close()


async def test_memory_is_bounded_in_bytes_and_in_age() -> None:
    script = Script(["A"], [])
    history = ring(script, mb=0.5, age_ms=HOUR)
    for n in range(20):
        history.add("s1", run_of(0, n * ROWS, ROWS), n * ROWS, n * ROWS + ROWS - 1)
        assert history.bytes <= 2**19
    kept = times((await history.read(["A"], 0, 10**9))["A"])
    assert kept == list(range(kept[0], 20 * ROWS))
    put(history, (0, 10**6, 1.0, 0))
    script.clock.advance(HOUR + 1)
    history.tick()
    assert times((await history.read(["A"], 0, 10**9))["A"]) == [10**6]  # closed only now
    script.clock.advance(HOUR + 1)
    history.tick()
    assert history.bytes == 0
    await history.close()


async def test_the_disk_outlives_the_run_and_nothing_comes_twice(tmp_path: Path) -> None:
    script = Script(["A", "B"], [])
    history = ring(script, files(tmp_path, script.clock))
    history.add("s1", run_of(1, START, ROWS), START, START + ROWS - 1)
    put(history, (0, START + 5, 1.5, 0))
    assert len(times((await history.read(["B"], START, START + 10**6))["B"])) == ROWS
    await history.close()

    later = Script(["B", "C"], [])  # the site has changed: B is at another place now
    again = ring(later, files(tmp_path, later.clock))
    put(again, (0, START + 10**5, 9.0, 0))
    found = await again.read(["B"], START, START + 10**6)
    assert times(found["B"]) == [*range(START, START + ROWS), START + 10**5]
    await again.close()


async def test_torn_and_damaged_blocks_are_left_out(tmp_path: Path) -> None:
    script = Script(["A"], [])
    history = ring(script, files(tmp_path, script.clock))
    for n in range(3):
        history.add("s1", run_of(0, n * ROWS, ROWS), n * ROWS, n * ROWS + ROWS - 1)
    await history.close()
    (path,) = tmp_path.glob("*.seg")
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 0xFF
    path.write_bytes(body[:-7])  # and the last block is torn
    again = files(tmp_path, script.clock)
    kept = times((await ring(script, again).read(["A"], 0, 10**9))["A"])
    assert kept == list(range(ROWS))
    assert again.damaged == 1


def test_the_disk_is_bounded_and_the_oldest_goes(tmp_path: Path) -> None:
    clock = ManualClock(START)
    disk = files(tmp_path, clock, mb=1)
    history_of = Script(["A"], [])
    import asyncio

    async def fill() -> None:
        history = ring(history_of, disk)
        for n in range(60):
            rows = [(0, n * ROWS + i, (i * 7919 % 65_521) * 1.7, 0) for i in range(ROWS)]
            history.add("s1", columns(rows), n * ROWS, n * ROWS + ROWS - 1)
            await history.read(["A"], 0, 0)  # on the same thread: the disk has caught up
        await history.close()

    asyncio.run(fill())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1.1 * 2**20
    assert "00000001.seg" not in {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("trouble", ["no folder", "no space"])
async def test_a_disk_that_refuses_turns_only_itself_off_and_says_so(
    tmp_path: Path, trouble: str
) -> None:
    script, told = Script(["A"], []), list[str]()
    if trouble == "no folder":
        (tmp_path / "history").write_text("a file stands where the folder should be")
    disk = files(
        tmp_path / "history", script.clock, keep_free=2**62 if trouble == "no space" else 0
    )
    history = ring(script, disk)
    history.on_disk = told.append
    for n in range(3):
        history.add("s1", run_of(0, n * ROWS, ROWS), n * ROWS, n * ROWS + ROWS - 1)
    assert len(times((await history.read(["A"], 0, 10**9))["A"])) == 3 * ROWS
    await history.read(["A"], 0, 0)
    assert len(told) == 1
    assert str(tmp_path) in told[0]
    assert history.unspilled == 3
    assert history.disk_state == told[0]
    if trouble == "no folder":
        (tmp_path / "history").unlink()
        history.add("s1", run_of(0, 10**6, ROWS), 10**6, 10**6 + ROWS)
        await history.read(["A"], 0, 0)
        await history.read(["A"], 0, 0)
        assert told[1:] == [""]
        assert history.disk_state == "on"
    await history.close()
