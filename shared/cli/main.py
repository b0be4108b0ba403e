"""The `andon` command: the verbs of shared/, and each tier's own by entry point.

Called as the console script; never imports a tier until its verb is used, so that one broken tier
never takes the others (nor `andon doctor`) with it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from shared.errors import AndonError

ENTRY_POINTS = "andon.commands"
OWN = {
    "up": ("shared.cli.up", "up", ""),
    "doctor": ("shared.cli.doctor", "doctor", ""),
    "trace": ("shared.cli.trace", "trace", ""),
    "gen": ("shared.cli.gen", "app", "生成文件 / generate files"),
}
"""Verb -> module, what of it, help. Loaded when used too: a tier's process starts through here."""


class LazyGroup(TyperGroup):
    """A group whose further commands are entry points, loaded when they are used."""

    def _found(self) -> dict[str, importlib.metadata.EntryPoint]:
        return {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}

    def list_commands(self, ctx: Any) -> list[str]:
        """Our own commands first, then the tiers' in alphabetical order."""
        own = [*super().list_commands(ctx), *OWN]
        return [*own, *sorted(set(self._found()) - set(own))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or one that says why it cannot be loaded."""
        if cmd_name in OWN:
            return _own(cmd_name)
        own = super().get_command(ctx, cmd_name)
        point = self._found().get(cmd_name)
        if own is not None or point is None:
            return own
        try:
            loaded = point.load()
            command = typer.main.get_command(loaded)
        except Exception as error:  # anything a broken tier does at import
            return _broken(cmd_name, error)
        command.name = cmd_name
        return command


def _own(name: str) -> Any:
    module, attribute, told = OWN[name]
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        found = alone
    command = typer.main.get_command(found)
    command.name = name
    command.help = told or command.help
    return command


def _broken(name: str, error: Exception) -> Any:
    """A stand-in command that reports why `name` cannot be loaded."""
    stand_in = typer.Typer(add_completion=False)
    settings = {"ignore_unknown_options": True, "allow_extra_args": True}

    @stand_in.command(
        name,
        help=f"不可用 / unavailable: {type(error).__name__}: {error}",
        context_settings=settings,
    )
    def explain() -> None:
        typer.echo(
            f"andon {name} 无法加载 / cannot be loaded: {type(error).__name__}: {error}\n"
            f"  mend: pip install 'andon[all]', then `andon doctor`",
            err=True,
        )
        raise typer.Exit(2)

    return typer.main.get_command(stand_in)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Andon 安灯: 工厂三级报警与协同 / three-tier alarms for factories",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"andon {importlib.metadata.version('andon')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="版本 / version"),
    ] = False,
) -> None:
    """Andon 安灯."""
    del version


def main() -> None:
    """Console script: a known fault is one clear message and exit code 2, never a traceback."""
    try:
        app()
    except AndonError as error:
        typer.echo(f"andon: {error}", err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
