"""Who does what among several brains, and that work ends with its lease."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from factory_brain.application.brains import Hold
from factory_brain.domain.shares import LEADER, SOURCE, Lease, holder_of, share


def lease(name: str, holder: str = "", left: int = 0) -> Lease:
    return Lease(name, holder, 1, left)


def test_a_brain_takes_its_part_and_no_more() -> None:
    free = [lease(LEADER), *(lease(f"{SOURCE}e{n}") for n in range(5))]
    assert share("x", "b", free, 1).take == (*(f"{SOURCE}e{n}" for n in range(5)), LEADER)
    assert len(share("x", "b", free, 2).take) == 3 + 1


def test_what_another_holds_is_left_also_to_a_twin_of_the_same_name() -> None:
    twin = holder_of("x", "other start")
    held = [lease(LEADER, holder_of("y", "b"), 50), lease(f"{SOURCE}e1", twin, 50)]
    found = share("x", "new", held, 2)
    assert found.take == found.renew == found.give == ()
    over = [lease(LEADER, twin, 0), lease(f"{SOURCE}e1", twin, 0)]
    assert share("x", "new", over, 1).take == (f"{SOURCE}e1", LEADER)


@given(st.integers(1, 9), st.integers(1, 4))
def test_rounds_end_with_fair_parts(sources: int, brains: int) -> None:
    names = [f"b{n}" for n in range(brains)]
    table = {f"{SOURCE}e{n}": holder_of("b0", "b") for n in range(sources)}
    for _ in range(2 * brains + 2):
        for name in names:
            leases = [lease(k, v, 9 if v else 0) for k, v in sorted(table.items())]
            found = share(name, "b", leases, brains)
            table |= dict.fromkeys(found.take, holder_of(name, "b"))
            table |= dict.fromkeys(found.give, "")
    parts = [list(table.values()).count(holder_of(name, "b")) for name in names]
    assert sum(parts) == sources
    assert max(parts) <= -(-sources // brains)


async def test_work_ends_with_its_lease_before_it_acts_again() -> None:
    loop, hold, acts = asyncio.get_running_loop(), Hold(LEADER), []
    wake = asyncio.Event()

    async def work() -> None:
        while True:
            await wake.wait()
            wake.clear()
            acts.append(hold.held)

    task = asyncio.create_task(hold.during(work))
    hold.renewed(1, loop.time() + 0.05)
    await asyncio.sleep(0)
    wake.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert acts == [True]
    end = loop.time() + 0.06
    while loop.time() < end:  # the process is held up: its time passes meanwhile
        pass
    wake.set()
    for _ in range(5):
        await asyncio.sleep(0.001)
    assert acts == [True]
    hold.renewed(2, loop.time() + 5)
    for _ in range(5):
        await asyncio.sleep(0)
    assert acts == [True, True]  # the lease is here anew, and so is the work
    hold.lost()
    task.cancel()
    await asyncio.wait({task})
