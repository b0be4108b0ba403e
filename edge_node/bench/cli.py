"""`andon bench edge`: all loads of the edge in turn, as JSON or as a table.

Found by the entry-point group `andon.bench`.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from shared.errors import AndonError

QuickOption = Annotated[
    bool, typer.Option("--quick", help="只测内核与生命周期 / kernel and life cycle only, 10 s")
]
JsonOption = Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")]
PUBLISHED = {
    "ekuiper": "300 rules x 500 msg/s = 150,000 evaluations/s, 90 % filtered: 2 cores at 50 %, "
    "95 MB (its authors' machine)",
    "neuron": "10,000 tags @ 100 ms: 21 % of 4 cores, 189 MB (its authors' machine)",
}


def edge(quick: QuickOption = False, as_json: JsonOption = False) -> None:
    """内核、节点与占用 / kernel, whole node and footprint, beside the machine's own limits."""
    console = Console(stderr=True, highlight=False)
    try:
        figures = run(quick, lambda text: console.print(f"  {text}"))
    except AndonError as error:
        console.print(f"andon bench: {error}")
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps(figures, indent=1))
        return
    table = Table("", "")
    for name, value in _flat("", figures):
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    Console().print(table)


def run(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """All figures; `quick` leaves the real processes out and measures briefly."""
    from edge_node.kernel import kernel_name

    figures: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(), "python": platform.python_version(),
            "load_average": round(os.getloadavg()[0], 1), "kernel": kernel_name(),
        }
    }  # fmt: skip
    parts = {**_kernel(quick), **({} if quick else _node())}
    for name, measure in parts.items():
        began = time.monotonic()
        figures[name] = measure()
        say(f"{name}: {time.monotonic() - began:.1f} s")
    if not quick:
        figures["published_by_others"] = PUBLISHED
    return figures


def _kernel(quick: bool) -> dict[str, Callable[[], Any]]:
    from edge_node.bench import kernel_loads, storm
    from edge_node.bench.measure import MIN_CPU_QUICK_S, MIN_CPU_S, copy_gb_per_s

    seconds = MIN_CPU_QUICK_S if quick else MIN_CPU_S
    sizes = (1_000, 100_000) if quick else (1_000, 100_000, 1_000_000)
    many = 10_000 if quick else 100_000
    parts: dict[str, Callable[[], Any]] = {
        "memory_copy_gb_per_s": lambda: round(copy_gb_per_s(seconds), 1)
    }
    for tags in sizes:
        parts[f"kernel_{tags}_tags"] = lambda tags=tags: kernel_loads.scans(tags, seconds)
    parts |= {
        "kernel_five_percent_excursions": lambda: kernel_loads.excursions(many, seconds),
        "kernel_storm": lambda: kernel_loads.storm(many, seconds),
        "kernel_one_tag_batch": lambda: kernel_loads.one_tag(10_000, seconds),
        "kernel_single_sample": lambda: kernel_loads.single_sample(5_000 if quick else 100_000),
        "pure_python_kernel": lambda: kernel_loads.fallback(seconds),
        "storm_life_cycle_events_per_s": lambda: storm.life_cycle(2_000, 2 * seconds),
        "storm_with_outbox": lambda: storm.with_outbox(2_000, 2 * seconds),
    }
    return parts


def _node() -> dict[str, Callable[[], Any]]:
    from edge_node.bench import node_loads as node
    from edge_node.bench.opcua_loads import notifications

    return {
        "node_mqtt_batches_1m_per_s": lambda: node.throughput(2_000, 1e6, 5, report=True),
        "node_mqtt_batches_not_reported": lambda: node.throughput(2_000, 1e6, 5, report=False),
        "node_sample_to_action_at_100k_per_s": lambda: node.latency(10_000, 1e5, 300, 0.02),
        "node_sample_to_action_all_reported": lambda: node.latency(
            10_000, 1e5, 300, 0.02, report=True
        ),
        "node_sample_to_action_preferred": lambda: node.latency(
            10_000, 1e5, 300, 0.02, prefer=True
        ),
        "node_sample_to_action_all_reported_preferred": lambda: node.latency(
            10_000, 1e5, 300, 0.02, report=True, prefer=True
        ),
        "node_sample_to_action_at_rest": lambda: node.latency(1_000, 1e3, 300, 0.02),
        "mqtt_message_to_transition": lambda: node.messages(4_000, 5),
        "opcua_notification_to_transition": lambda: notifications(1_000, 5_000, 5),
        "ekuiper_workload": lambda: node.rules_workload(10),
        "footprint": lambda: node.footprint(10_000, 10),
    }


def _flat(prefix: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(prefix, value)]
    return [
        row
        for name, inner in value.items()
        for row in _flat(f"{prefix}.{name}" if prefix else name, inner)
    ]
