"""`andon brain …`"""

from __future__ import annotations

import asyncio
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
        from factory_brain.bootstrap import run_brain
        from factory_brain.settings import BrainSettings
        from shared.config import load_settings

        settings = load_settings(BrainSettings, config)
        asyncio.run(run_brain(settings))

    run_process(main)
