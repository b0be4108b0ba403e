"""`andon bench e2e`: latencies and resume of a whole running system.

Found by the entry-point group `andon.bench`.
"""

from __future__ import annotations

import json
import os
import platform
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from shared.errors import AndonError


def e2e(
    trials: Annotated[int, typer.Option(min=10, max=5000, help="次数 / trials")] = 200,
    backlog: Annotated[int, typer.Option(min=100, max=200_000, help="积压 / backlog")] = 5000,
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """Sample to local action, sample to console, resume rate after an outage."""
    from simulators import bench_e2e

    console = Console(stderr=True, highlight=False)
    try:
        result = bench_e2e.run(trials, backlog, lambda text: console.print(f"  {text}"))
    except AndonError as error:
        console.print(f"andon bench: {error}")
        raise typer.Exit(2) from error
    result["machine"] = {"cores": os.cpu_count(), "python": platform.python_version()}
    if as_json:
        typer.echo(json.dumps(result, indent=1))
        return
    table = Table("", "n", "p50 ms", "p99 ms", "max ms")
    for name in ("sample_to_action", "sample_to_console"):
        row = result[name]
        table.add_row(name, *(str(row[k]) for k in ("n", "p50_ms", "p99_ms", "max_ms")))
    out = Console()
    out.print(table)
    out.print(result["resume"])
