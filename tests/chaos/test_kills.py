"""SIGKILL at every point around the edge's writes: 0 lost, 0 doubled, order kept, counters true."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.conftest import SEED, WHOLE
from tests.support.chaos_edge import conserved
from tests.support.chaos_report import ChaosReport
from tests.support.chaos_world import Factory, faults_of

pytestmark = pytest.mark.chaos
KILLS = 1050 if WHOLE else 24
WRITES = 10
FALLBACK_POINTS = 400
STRIDE = 1 if WHOLE else 17


class Nursery:
    """The process that forks lives."""

    def __init__(self, folder: Path, upper: Factory) -> None:
        self.folder, self._upper = folder, upper
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.chaos_edge",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def life(
        self, run: int, kill_at: int | None, from_start: bool, after_s: float | None = None
    ) -> tuple[int, list[str]]:
        """(signal that ended it, its ledger)."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        order: dict[str, Any] = {
            "run": run, "kill_at": kill_at, "from_start": from_start, "seed": SEED,
            "writes": WRITES, "folder": str(self.folder), "url": self._upper.nats.url,
            "password": self._upper.nats.password, "kill_after_s": after_s,
        }  # fmt: skip
        process.stdin.write(json.dumps(order).encode() + b"\n")
        await process.stdin.drain()
        while True:
            line = await asyncio.wait_for(process.stdout.readline(), 60)
            assert line, "the nursery has ended"
            if line.startswith(b'{"run"'):
                break
        file = self.folder / f"ledger-{run}"
        ledger = file.read_text().split("\n") if file.exists() else []
        return json.loads(line)["status"] & 0x7F, ledger

    async def stop(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await asyncio.wait_for(self._process.wait(), 20)


def _numbers(ledger: list[str], mark: str) -> set[int]:
    return {int(line[2:]) for line in ledger if line.startswith(mark + " ")}


@pytest.mark.timeout(1800 if WHOLE else 120)
async def test_a_kill_at_any_point_loses_nothing_and_doubles_nothing(
    upper: Factory, tmp_path: Path, chaos_report: ChaosReport
) -> None:
    began, chance = time.monotonic(), random.Random(SEED)
    folder = tmp_path / "edge"
    folder.mkdir()
    nursery = Nursery(folder, upper)
    await nursery.start()
    points, at, run, kills, written, outside = FALLBACK_POINTS, 0, 0, 0, 0, 0
    seen: set[tuple[bool, int]] = set()
    left: dict[int, list[str]] = {}
    try:
        while kills < KILLS or left:
            last = kills >= KILLS
            from_start = not last and run % 2 == 1
            at = at % points + (STRIDE if WHOLE else 1 + chance.randrange(STRIDE))
            kill_at = None if last else at
            run += 1
            if not last and run % 6 == 0:  # from outside, at a moment that nobody chose
                pause = chance.random() * 0.15
                ended, ledger = await nursery.life(run, None, from_start, pause)
                kills, outside = kills + (ended == 9), outside + (ended == 9)
                left[run] = ledger
                at -= 1
                continue
            ended, ledger = await nursery.life(run, kill_at, from_start)
            assert ended in (0, 9), f"run {run} at point {kill_at} ended by signal {ended}"
            assert not [line for line in ledger if line.startswith("x")], ledger
            if ended == 9:
                kills += 1
                seen.add((from_start, at))
            else:  # it lived through all its points: the sweep begins anew
                assert last or any(line.startswith("end") for line in ledger), ledger
                points, at = max(20, at), 0
            left[run] = ledger
            if "drained" in ledger or ended == 0:
                # All that earlier lives stored has been confirmed to the file's new owner.
                done = [n for n in left if n < run or ended == 0]
                for number in done:
                    old = left.pop(number)
                    intended, stored = _numbers(old, "i"), _numbers(old, "a")
                    found = faults_of(await upper.arrived(number), intended, stored)
                    assert not found, f"run {number}: {found} {old}"
                    written += len(stored)
    finally:
        await nursery.stop()
    holds, lanes = conserved(folder / "edge.db")
    assert holds
    assert await upper.count("gap") == await upper.count("quarantined") == 0
    assert sum(c.produced for c in lanes.values()) == len(await upper.arrived())
    assert not upper.forged
    chaos_report.add(
        "SIGKILL around writes", began, kills=kills, of_them_from_outside=outside,
        points=len(seen), lives=run, stored=written, arrived=len(await upper.arrived()),
        lost=0, doubled=0,
    )  # fmt: skip
