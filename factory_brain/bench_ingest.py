"""`andon bench ingest`: what the brain's event store and its web side hold, beside their limits.

Found by the entry-point group `andon.bench`; starts its own PostgreSQL, NATS and brain.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import platform
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from shared.errors import AndonError

QuickOption = Annotated[
    bool, typer.Option("--quick", help="各项只测片刻 / every part for a moment only")
]
JsonOption = Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")]
TARGETS = {
    "events.rows_per_s": 100_000, "events.commit_lag_p99_s": 0.5, "samples.rows_per_s": 400_000,
    "memory_mb": 300, "alarm_list.app_cpu_ms": 2.0, "viewers.cores": 0.5,
}  # fmt: skip
MOST = ("events.commit_lag_p99_s", "memory_mb", "alarm_list.app_cpu_ms", "viewers.cores")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    paced_s: float = 20.0
    unpaced: int = 1_000_000
    transitions: int = 60_000
    samples: int = 4_000_000
    alarms: int = 10_000
    asked: int = 200
    viewers: int = 1000
    watched_s: float = 20.0
    days: int = 365
    a_day: int = 2000


QUICK = Sizes(
    paced_s=0.5, unpaced=10_000, transitions=1500, samples=100_000, alarms=300, asked=10,
    viewers=20, watched_s=1.0, days=10, a_day=200,
)  # fmt: skip


def ingest(quick: QuickOption = False, as_json: JsonOption = False) -> None:
    """事件、样本、内存、列表与观看者 / events, samples, memory, list and viewers of a brain."""
    console = Console(stderr=True, highlight=False)
    sizes = QUICK if quick else Sizes()
    try:
        figures = asyncio.run(run(sizes, lambda text: console.print(f"  {text}")))
    except AndonError as error:
        console.print(f"andon bench: {error}")
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps(figures, indent=1))
        return
    table = Table("", "", "目标 / target")
    for name, value in _flat("", figures):
        shown = f"{value:,}" if isinstance(value, int) else str(value)
        target = TARGETS.get(name)
        mark = "" if target is None else f"{'<=' if name in MOST else '>='} {target:,}"
        table.add_row(name, shown, mark)
    Console().print(table)


async def run(sizes: Sizes, say: Callable[[str], None]) -> dict[str, Any]:
    """All figures, one part after the other."""
    from factory_brain.bench import brain_loads, store_loads
    from factory_brain.bench.servers import bench_folder, nats, postgres
    from factory_brain.bench.year_load import year

    figures: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(), "python": platform.python_version(),
            "load_average_before": round(os.getloadavg()[0], 1),
        }
    }  # fmt: skip

    async def part(name: str, work: Awaitable[Any]) -> None:
        began = time.monotonic()
        figures[name] = await work
        say(f"{name}: {time.monotonic() - began:.1f} s")

    gc.collect()
    gc.freeze()  # as the brain itself does: a flood must not make the collector walk over all
    gc.set_threshold(20_000, 20, 50)
    async with bench_folder() as folder, postgres(folder) as server:
        world = await store_loads.World.open(server, "store")
        try:
            await part("events", store_loads.events(world, sizes.paced_s))
            await part("events_unpaced", store_loads.unpaced(world, sizes.unpaced))
            await part("transitions", store_loads.transitions(world, sizes.transitions))
            await part("samples", store_loads.samples(world, sizes.samples))
            await part("year", year(world, sizes.days, sizes.a_day))
        finally:
            await world.pool.close()
        async with nats(folder) as bus, brain_loads.brain(folder, server, bus) as brain:
            await brain.raise_alarms(0, 99)
            await part("alarm_list", brain_loads.alarm_list(brain, sizes.asked))
            await part("viewers", brain_loads.viewers(brain, sizes.viewers, sizes.watched_s))
            await brain.raise_alarms(100, sizes.alarms - 1)
            figures["active_alarms"] = sizes.alarms
            figures["memory_mb"] = brain.memory_mb()
    figures["machine"]["load_average_after"] = round(os.getloadavg()[0], 1)
    figures["targets"] = {name: _holds(figures, name) for name in TARGETS}
    return figures


def _holds(figures: dict[str, Any], name: str) -> bool:
    value: Any = figures
    for word in name.split("."):
        value = value[word]
    if name == "events.rows_per_s":  # paced: what is asked for is what can be reached
        return value >= 0.98 * TARGETS[name]
    return value <= TARGETS[name] if name in MOST else value >= TARGETS[name]


def _flat(prefix: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(prefix, value)]
    return [
        row
        for name, inner in value.items()
        for row in _flat(f"{prefix}.{name}" if prefix else name, inner)
    ]
