"""`andon bench`: figures beside what limits them; each verb belongs to the part that it measures.

Finds the verbs by the entry-point group `andon.bench` (name -> a function with typer options) and
loads one when it is used.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

import typer
from typer.core import TyperGroup

ENTRY_POINTS = "andon.bench"


class Verbs(TyperGroup):
    """The verbs that are installed."""

    def _found(self) -> dict[str, importlib.metadata.EntryPoint]:
        return {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}

    def list_commands(self, ctx: Any) -> list[str]:
        """In alphabetical order."""
        return sorted(self._found())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb of this name."""
        point = self._found().get(cmd_name)
        if point is None:
            return None
        verb = typer.Typer(add_completion=False)
        verb.command(cmd_name)(point.load())
        command = typer.main.get_command(verb)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    help="基准 / benchmarks on the real servers",
)


@app.callback()
def group() -> None:
    """基准 / benchmarks on the real servers."""
