"""Runs a tier's process: logs set up, faults at start as one clear line and exit code 2."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress

import typer

from shared.errors import AndonError
from shared.telemetry import setup_logs

_M_MMAP_THRESHOLD = -3


def _give_back_freed_memory() -> None:
    """Let glibc return big freed blocks: else one password hash (19 MiB) stays for ever."""
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def run_process(main: Callable[[], None], level: str = "info") -> None:
    """Run `main`; a ConfigError or other known fault ends the process with code 2."""
    setup_logs(level)
    _give_back_freed_memory()
    try:
        main()
    except AndonError as error:
        typer.echo(f"andon: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
