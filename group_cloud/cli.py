"""`andon cloud …`"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from shared.cli.process import run_process

app = typer.Typer(help="集团云 · The group cloud", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `run` a verb of its own."""


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="设置文件 · settings file (YAML)")],
) -> None:
    """Run the group's cloud until SIGTERM."""

    def main() -> None:
        from group_cloud.bootstrap import run_cloud
        from group_cloud.settings import CloudSettings
        from shared.config import load_settings

        asyncio.run(run_cloud(load_settings(CloudSettings, config)))

    run_process(main)
