"""Runs a tier's process: logs set up, faults at start as one clear line and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from shared.errors import AndonError
from shared.telemetry import setup_logs


def run_process(main: Callable[[], None], level: str = "info") -> None:
    """Run `main`; a ConfigError or other known fault ends the process with code 2."""
    setup_logs(level)
    try:
        main()
    except AndonError as error:
        typer.echo(f"andon: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
