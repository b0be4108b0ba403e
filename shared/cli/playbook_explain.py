"""`andon playbook explain`: the tree, the worst case, and all that a playbook can reach.

Registered by `shared/cli/playbook.py`; counts from the text and opens no socket.
"""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from shared.cli.playbook_output import (
    AsJson,
    File,
    Library,
    SiteFolder,
    books_of,
    columns,
    load,
    mistakes_in,
    plant_of,
    say,
    show,
)
from shared.playbook.explain import Explained, brief
from shared.playbook.explain import explain as explain_playbook
from shared.playbook.model import Playbook


def register(app: typer.Typer) -> None:
    """Add the verb to `andon playbook`."""
    app.command()(explain)


def explain(
    file: File, site: SiteFolder = None, library: Library = None, as_json: AsJson = False
) -> None:
    """说明预案 / the tree, the worst case, what and whom it reaches; exit 1 if it is faulty."""
    loaded = load(file, "explain", as_json)
    plant = plant_of(site, "explain", as_json)
    books = books_of(library or [])
    shown = explain_playbook(loaded.playbook, books, plant)
    faults = mistakes_in(loaded, plant, books if library else None)
    book = loaded.playbook
    if as_json:
        say({"playbook": book.playbook, "version": book.version, "digest": loaded.digest,
             "holds": not faults, "faults": faults, **shown.document()})  # fmt: skip
    else:
        _print(book, shown)
        _warn(faults)
    if faults:
        raise typer.Exit(1)


def _print(book: Playbook, shown: Explained) -> None:
    screen = Console(soft_wrap=True, highlight=False)
    head = f"{book.playbook} v{book.version}  {book.name.zh} / {book.name.en}"
    screen.print(Text(head, style="bold"))
    title, *lines = columns(_tree(shown), right=(2, 3))
    screen.print(Text(title, style="dim"))
    for line in [*lines, "", *columns(_sums(book, shown))]:
        screen.print(Text(line))


def _warn(faults: list[dict[str, Any]]) -> None:
    """A faulty playbook is shown all the same, and said to be one."""
    if not faults:
        return
    typer.echo("")
    for fault in faults:
        show(fault)
    typer.echo(f"{len(faults)} 处错误，以上数字未必成立 / faults: what stands above may not hold")


def _tree(shown: Explained) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("步骤 / step", "动作 / verb", "最长 / longest", "命令 / cmds", "做什么 / what")
    ]
    for step in shown.steps:
        longest = brief(step.worst_ms) if step.worst_ms else ""
        commands = str(step.commands) if step.commands else ""
        rows.append(("  " * step.depth + step.name, step.verb, longest, commands, step.about))
    return rows


def _sums(book: Playbook, shown: Explained) -> list[tuple[str, str]]:
    devices = [f"{name} ({', '.join(ops)})" for name, ops in shown.devices.items()]
    people = [f"{name} ({', '.join(who) or '?'})" for name, who in shown.people.items()]
    return [
        ("起因 / starts by", ", ".join(shown.starts) or "call"),
        ("最长用时 / worst case",
         f"{brief(shown.worst_case_ms)} (deadline {brief(book.deadline)})"),
        ("最多命令 / most commands", str(shown.worst_case_commands)),
        ("可动设备 / can move", ", ".join(devices or shown.moves) or "-"),
        ("可通知 / can tell", ", ".join(people or shown.tells) or "-"),
        ("外部系统 / linked systems", ", ".join(shown.endpoints) or "-"),
        ("调用 / calls", ", ".join(shown.calls) or "-"),
    ]  # fmt: skip
