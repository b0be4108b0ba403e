"""Exactly one tier sounds, whatever fails: random kills, cuts, faults and leaving people.

Simulated time, the product's own leases and rules at both ends; the short form is a sample.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.chaos.conftest import SEED, WHOLE
from tests.support.chaos_report import ChaosReport
from tests.support.horn_world import TTL_MS, HornWorld, SimulatedLoop

RUNS = 150 if WHOLE else 6
FAULTS = 60
STEP_S = 0.05
QUIET_S = 3 * TTL_MS / 1000


async def campaign(seed: int) -> HornWorld:
    """One seeded sequence of faults; every moment is looked at."""
    world = HornWorld(seed)
    for name in ("x", "y"):
        world.start(name)

    async def pass_by(seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(STEP_S)
            world.look(STEP_S)

    await pass_by(QUIET_S)
    for _ in range(FAULTS):
        await world.fault()
        await pass_by(world.random.choice((0.05, 0.5, 2.0, 6.0)))
    world.database.down.clear()
    world.cut.clear()
    world.lost_answers = 0.0
    for name in ("x", "y"):
        if name not in world.brains:
            world.start(name)
    world.brains["x"].attended = True
    await pass_by(QUIET_S)
    settled = dict(world.by_tier)
    await pass_by(QUIET_S)
    # Healed and attended: the factory sounds, alone.
    assert world.by_tier["edge"] == settled["edge"], world.by_tier
    assert world.by_tier["both"] == settled["both"], world.by_tier
    assert world.by_tier["none"] == settled["none"], world.by_tier
    await world.end()
    return world


@pytest.mark.chaos
def test_never_none_and_never_both_for_longer_than_a_lease(chaos_report: ChaosReport) -> None:
    began, longest, overlap, faults = time.monotonic(), 0.0, 0.0, 0
    moments: dict[str, int] = {"edge": 0, "factory": 0, "both": 0, "none": 0}
    for seed in range(SEED, SEED + RUNS):
        with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            world = runner.run(campaign(seed))
        assert world.longest <= TTL_MS / 1000 + 2 * STEP_S, (seed, world.longest)
        # A dead brain may have had the horn, and the other cannot hear the edge: half a lease more.
        assert world.overlap <= 1.5 * TTL_MS / 1000 + 2 * STEP_S, (seed, world.overlap)
        overlap = max(overlap, world.overlap)
        longest, faults = max(longest, world.longest), faults + world.faults
        moments = {tier: n + world.by_tier[tier] for tier, n in moments.items()}
    assert moments["factory"] > 0
    assert moments["edge"] > 0
    chaos_report.add(
        "annunciation of two brains", began, runs=RUNS, faults=faults,
        longest_silence_s=round(longest, 2), longest_overlap_s=round(overlap, 2),
        lease_s=TTL_MS / 1000,
    )  # fmt: skip
    print(
        f"{RUNS} runs, {faults} faults, silence {longest:.2f} s, overlap {overlap:.2f} s, {moments}"
    )
    assert longest > 0, "kills of who sounds leave a silence: none was seen, so none was looked at"
