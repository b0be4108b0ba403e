"""Ten thousand waiting runs: what they cost, and how soon a killed engine's are taken up again.

A third waits for time, a third for a person, a third for the plant.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from factory_brain.adapters.postgres.run_store import PgRunStore
from factory_brain.bench.playbook_loads import at_once, create, percentiles
from factory_brain.bench.playbook_site import (
    ASKING,
    FIRST,
    WAITING,
    WATCHING,
    alarm,
    tag,
)
from factory_brain.bench.playbook_world import Figures, PlaybookWorld
from factory_brain.bench.servers import until
from shared.errors import AndonError

SETTLE_S = 1.0
PATIENCE_S = 20.0
"""So long a run may take to go on that has news; a brain that is up needs a moment."""
CRITICAL = 1
SHOWN_PER_S = 150
"""Of changed runs, at the least."""
_RESTING = (
    "SELECT count(*) FROM run WHERE playbook = ANY($1) AND status = 'waiting' AND owner IS NULL"
)


async def waiting(
    world: PlaybookWorld, count: int, idle_s: float, news: int, fresh: bool
) -> Figures:  # fmt: skip
    """Memory over an engine without runs, idle cost, and what a SIGKILL does to them.

    `fresh`: in a new process, so that no earlier load has left room in its memory.
    """
    if fresh:
        await world.kill()
        await world.start()
        await world.hello()
    await at_once(world, FIRST, min(20, world.furnaces))  # what is loaded once is loaded
    await asyncio.sleep(SETTLE_S)
    empty, began = world.memory_mb(), time.monotonic()
    kinds = [(WAITING[n % 3], n // 3 % world.furnaces, {"pause_s": 43_200}) for n in range(count)]
    await create(world, kinds)

    async def resting() -> bool:
        world.process  # noqa: B018
        return await world.pool.fetchval(_RESTING, list(WAITING)) >= count

    await until(f"{count} runs at rest", resting, 300)
    rest_s = time.monotonic() - began
    await _calm(world, count)
    full = world.memory_mb()
    idle = await _idle(world, idle_s)
    killed = await _killed(world, news)
    await asyncio.sleep(SETTLE_S)
    anew = world.memory_mb()
    return {
        "runs": count, "at_rest_s": round(rest_s, 1), "empty_mb": round(empty["rss"], 1),
        "rss_mb": round(full["rss"] - empty["rss"], 1),
        "pss_mb": round(full["pss"] - empty["pss"], 1),
        "rss_restarted_mb": round(anew["rss"] - empty["rss"], 1), **idle, "kill": killed,
    }  # fmt: skip


async def _calm(world: PlaybookWorld, count: int) -> None:
    """Until what has changed is shown to everybody, a few at a time: then it only waits."""
    first = (await _idle(world, SETTLE_S))["idle_cpu_percent"]
    end = time.monotonic() + count / SHOWN_PER_S
    while time.monotonic() < end:
        if (await _idle(world, 2 * SETTLE_S))["idle_cpu_percent"] < first / 2:
            return


async def _idle(world: PlaybookWorld, seconds: float) -> Figures:
    (own, theirs), began = world.cpu_s(), time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    own_after, theirs_after = world.cpu_s()
    return {
        "idle_s": round(took, 1), "idle_cpu_percent": round((own_after - own) / took * 100, 2),
        "idle_postgres_percent": round((theirs_after - theirs) / took * 100, 2),
    }  # fmt: skip


async def _killed(world: PlaybookWorld, news: int) -> Figures:
    """SIGKILL, news while it is down, and a new process at once."""
    number = world.furnaces - 1
    killed_at, stamped = world.clock.now_ms(), (world.folder / "stamps").stat().st_size
    await world.kill()
    await world.start()
    await world.send(world.horn.frame(FIRST, [number], CRITICAL))
    told = await _news(world, news)

    async def commanded() -> bool:
        world.process  # noqa: B018
        return await _run_of(world, number, killed_at) in world.arrivals()

    await until("the critical alarm's command", commanded, 60)
    first = world.arrivals()[await _run_of(world, number, killed_at)]
    with contextlib.suppress(AndonError):  # what does not go on is missing in the figures
        await until("the runs to go on", lambda: _over(world, told), PATIENCE_S)
    late = {book: await _late(world, runs, killed_at) for book, runs in told.items()}
    every = [each for found in late.values() for each in found]
    whole = len(every) == sum(map(len, told.values()))
    up = int((world.folder / "stamps").read_bytes()[stamped:].split()[1])
    return {
        "imported_s": round((up - killed_at) / 1000, 2),
        "first_command_s": round((first - killed_at) / 1000, 2),
        "all_resumable_s": round(max(every) / 1000, 2) if whole else None,
        "with_news": sum(map(len, told.values())), "resumed": len(every),
        "answered": percentiles(late[ASKING]), "plant_changed": percentiles(late[WATCHING]),
    }  # fmt: skip


async def _late(world: PlaybookWorld, runs: list[str], since: int) -> list[int]:
    rows = await world.pool.fetch(
        "SELECT ended_at FROM run WHERE id = ANY($1) AND ended_at IS NOT NULL", runs
    )
    return [row["ended_at"] - since for row in rows]


async def _run_of(world: PlaybookWorld, number: int, since: int) -> str:
    found = await world.pool.fetchval(
        "SELECT id FROM run WHERE playbook = $1 AND alarm = $2 AND started_at >= $3",
        FIRST, alarm(FIRST, number), since,
    )  # fmt: skip
    return found or ""


async def _news(world: PlaybookWorld, count: int) -> dict[str, list[str]]:
    """Some are answered, some find their furnace changed; document -> the runs."""
    store, now = PgRunStore(world.pool, world.clock), world.clock.now_ms()
    asked = await world.pool.fetch(
        "SELECT id FROM run WHERE playbook = $1 AND ended_at IS NULL ORDER BY id LIMIT $2",
        ASKING, count,
    )  # fmt: skip
    for row in asked:
        await store.answer(row["id"], "/steps/pause", {"answer": "go", "by": "li"}, now)
    names = [tag("TT", n) for n in range(min(count, world.furnaces))]
    await world.sample([(name, now, 900.0, 0) for name in names])
    watched = await world.pool.fetch(
        "SELECT DISTINCT ON (watch) id FROM run WHERE playbook = $1 AND ended_at IS NULL "
        "AND watch ?| $2::text[]",
        WATCHING, names,
    )  # fmt: skip
    return {ASKING: [r["id"] for r in asked], WATCHING: [r["id"] for r in watched]}


async def _over(world: PlaybookWorld, told: dict[str, list[str]]) -> bool:
    world.process  # noqa: B018
    runs = [run for each in told.values() for run in each]
    return not await world.pool.fetchval(
        "SELECT count(*) FROM run WHERE id = ANY($1) AND ended_at IS NULL", runs
    )
