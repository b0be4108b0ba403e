"""`andon brain …`"""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Annotated

import typer

from shared.cli.process import run_process

app = typer.Typer(help="工厂大脑 · The factory brain", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `run` a verb of its own."""


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="设置文件 · settings file (YAML)")],
) -> None:
    """Run one factory's brain until SIGTERM."""

    def main() -> None:
        gc.disable()  # until it has started: what is loaded is kept
        from factory_brain.bootstrap import run_brain
        from factory_brain.settings import BrainSettings
        from shared.config import load_settings

        settings = load_settings(BrainSettings, config)
        asyncio.run(run_brain(settings))

    run_process(main)


@app.command()
def rebuild(
    config: Annotated[Path, typer.Option(help="设置文件 · settings file (YAML)")],
    check: Annotated[bool, typer.Option("--check", help="只比较 · compare only")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON 输出 · JSON output")] = False,
) -> None:
    """Fold the current state anew from the journal; 0 equal (or mended), 1 not.

    With --check nothing is written. Without it, rows that differ are written anew: stop the brain
    first.
    """

    def main() -> None:
        from factory_brain.rebuild_cli import run_rebuild
        from factory_brain.settings import BrainSettings
        from shared.config import load_settings

        settings = load_settings(BrainSettings, config)
        raise typer.Exit(asyncio.run(run_rebuild(settings.database_url, check, as_json)))

    run_process(main)
