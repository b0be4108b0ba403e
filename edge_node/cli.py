"""`andon edge …`: runs one edge node.

Registered as a verb of the `andon` command; owns nothing but the exit code and its one clear line.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Edge node: rules, reflexes, store and forward.", no_args_is_help=True)
CANNOT_RUN = 2


@app.callback()
def edge() -> None:
    """Edge node."""


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="Settings file (YAML).")],
    as_json: Annotated[bool, typer.Option("--json", help="Faults as JSON.")] = False,
) -> None:
    """Run one edge until SIGTERM or Ctrl-C."""
    from edge_node.bootstrap import Edge
    from edge_node.settings import load_settings
    from shared.errors import ConfigError
    from shared.service import Service
    from shared.telemetry import setup_logs

    try:
        settings = load_settings(config)
        setup_logs(settings.log_level)
        edge_node = Edge(settings)
    except ConfigError as error:
        line = json.dumps({"error": str(error)}, ensure_ascii=False) if as_json else str(error)
        typer.echo(f"andon edge: {line}" if not as_json else line, err=True)
        raise typer.Exit(CANNOT_RUN) from None

    async def serve() -> None:
        await edge_node.run(Service())

    asyncio.run(serve())


@app.command()
def check(
    config: Annotated[Path, typer.Option(help="Settings file (YAML).")],
    as_json: Annotated[bool, typer.Option("--json", help="Result as JSON.")] = False,
) -> None:
    """Check the settings and this edge's part of the site without running anything."""
    from edge_node.rules import compile_site
    from edge_node.settings import load_settings
    from shared.clock import SystemClock
    from shared.errors import ConfigError

    try:
        settings = load_settings(config)
        rules = compile_site(settings.site_dir, settings.edge, SystemClock())
    except ConfigError as error:
        typer.echo(json.dumps({"ok": False, "error": str(error)}) if as_json else str(error))
        raise typer.Exit(1) from None
    counts = {
        "tags": len(list(rules.tags)), "alarms": len(rules.book.units),
        "reflexes": len(rules.site.reflexes), "sources": len(rules.tags.sources),
    }  # fmt: skip
    typer.echo(json.dumps({"ok": True, **counts}) if as_json else f"good: {counts}")
