"""`andon bench playbooks`: what the playbook engine holds, each figure beside its target.

Found by the entry-point group `andon.bench`; starts its own PostgreSQL, NATS, engine and edge.
"""

from __future__ import annotations

import asyncio
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

ShortOption = Annotated[
    bool, typer.Option("--short", help="各项只测片刻 / every part for a moment only")
]
JsonOption = Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")]
TARGETS: dict[str, tuple[str, float]] = {
    "commands.actions_per_s": (">=", 300), "furnace.runs_per_s": (">=", 25),
    "paced.p99_ms": ("<=", 250), "timers.p99_ms": ("<=", 250), "waiting.rss_mb": ("<=", 30),
    "waiting.idle_cpu_percent": ("<=", 2), "waiting.kill.first_command_s": ("<=", 2),
    "waiting.kill.all_resumable_s": ("<=", 2), "brain.first_command_s": ("<=", 2),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    furnaces: int = 1000
    commands: int = 200
    notices: int = 200
    furnace_runs: int = 400
    pace: float = 50.0
    paced_s: float = 12.0
    timers: int = 1000
    timer_lead_s: float = 8.0
    waiting: int = 10_000
    idle_s: float = 20.0
    news: int = 50
    limit_s: float = 4.0
    fresh: bool = True
    kills: int = 5
    """Of a whole brain; none: that part is left out."""


SHORT = Sizes(
    furnaces=20, commands=4, notices=4, furnace_runs=4, pace=20, paced_s=0.5, timers=20,
    timer_lead_s=0.7, waiting=30, idle_s=0.3, news=3, limit_s=0.2, fresh=False, kills=0,
)  # fmt: skip


def playbooks(short: ShortOption = False, as_json: JsonOption = False) -> None:
    """动作、预案、首条命令、等待与定时 / actions, runs, first commands, waits and timers."""
    console = Console(stderr=True, highlight=False)
    sizes = SHORT if short else Sizes()
    try:
        figures = asyncio.run(run(sizes, lambda text: console.print(f"  {text}")))
    except AndonError as error:
        console.print(f"andon bench: {error}")
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps(figures, indent=1))
        return
    table = Table("", "", "目标 / target")
    for name, value in _flat("", {k: v for k, v in figures.items() if k != "targets"}):
        word, target = TARGETS.get(name, ("", None))
        mark = "" if target is None else f"{word} {target:,}"
        holds = figures["targets"].get(name, {}).get("holds", True)
        shown = f"{value:,}" if isinstance(value, int) else str(value)
        table.add_row(name, shown, mark if holds else f"[red]{mark}[/red]")
    Console().print(table)


async def run(sizes: Sizes, say: Callable[[str], None]) -> dict[str, Any]:
    """All figures, one part after the other."""
    from factory_brain.bench import playbook_loads as loads
    from factory_brain.bench.playbook_brain import whole_brain
    from factory_brain.bench.playbook_limits import commits, fsyncs
    from factory_brain.bench.playbook_site import COMMANDS, FURNACE, NOTICES
    from factory_brain.bench.playbook_waiting import waiting
    from factory_brain.bench.playbook_world import playbook_world
    from factory_brain.bench.servers import bench_folder, nats, postgres

    figures: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(), "python": platform.python_version(),
            "load_average_before": round(os.getloadavg()[0], 1),
        }
    }  # fmt: skip

    async def part(name: str, work: Awaitable[Any]) -> Any:
        began = time.monotonic()
        figures[name] = await work
        say(f"{name}: {time.monotonic() - began:.1f} s")
        return figures[name]

    async with (
        bench_folder() as folder, postgres(folder) as server, nats(folder) as bus,
        playbook_world(folder, server, bus, sizes.furnaces) as world,
    ):  # fmt: skip
        say("started")
        await loads.at_once(world, FURNACE, 2)  # the first one of all loads what it needs
        done = await part("commands", loads.at_once(world, COMMANDS, sizes.commands))
        await part("notices", loads.at_once(world, NOTICES, sizes.notices))
        await part("furnace", loads.at_once(world, FURNACE, sizes.furnace_runs))
        await part("paced", loads.paced(world, sizes.pace, sizes.paced_s))
        await part("timers", loads.timers(world, sizes.timers, sizes.timer_lead_s))
        rows = max(round(done["journal_rows"] / max(done["journal_commits"], 1)), 1)
        limit = await part("limit", commits(world, rows, sizes.limit_s))
        limit["disk_fsyncs_per_s"] = await asyncio.to_thread(fsyncs, folder, sizes.limit_s / 4)
        load = (sizes.waiting, sizes.idle_s, sizes.news, sizes.fresh)
        await part("waiting", waiting(world, *load))
        figures["commands_repeated"] = world.repeated()
        if sizes.kills:
            await world.kill()
            await part("brain", whole_brain(folder, server, sizes.waiting, sizes.kills))
    figures["machine"]["load_average_after"] = round(os.getloadavg()[0], 1)
    figures["targets"] = {
        name: _judged(figures, name) for name in TARGETS if name.partition(".")[0] in figures
    }
    return figures


def _judged(figures: dict[str, Any], name: str) -> dict[str, Any]:
    value: Any = figures
    for word in name.split("."):
        value = value[word]
    word, target = TARGETS[name]
    holds = value is not None and (value >= target if word == ">=" else value <= target)
    return {"value": value, "target": f"{word} {target:g}", "holds": holds}


def _flat(prefix: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(prefix, value)]
    return [
        row
        for name, inner in value.items()
        for row in _flat(f"{prefix}.{name}" if prefix else name, inner)
    ]
