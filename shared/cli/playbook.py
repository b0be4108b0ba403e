"""`andon playbook`: check, explain and describe playbooks before anything runs them.

Called by the command line; the checks are in `shared/playbook`. Opens no socket.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from shared.errors import ConfigError
from shared.playbook.explain import explain as explain_playbook
from shared.playbook.lint import Plant, lint
from shared.playbook.loader import Loaded, PlaybookFaults, load_playbook, schema
from shared.site.loader import load_site

app = typer.Typer(no_args_is_help=True, add_completion=False, help="处置预案 / playbooks")

AsJson = Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")]
File = Annotated[Path, typer.Argument(help="预案文件 / playbook file (YAML)")]
SiteFolder = Annotated[
    Path | None, typer.Option("--site", help="工厂目录 / site folder: check devices, alarms, roles")
]


@app.callback()
def root() -> None:
    """处置预案 / playbooks."""


@app.command("lint")
def lint_command(file: File, site: SiteFolder = None, as_json: AsJson = False) -> None:
    """检查预案 / every mistake with file:line:column and a mend; exit 1 if there is one."""
    loaded = _load(file, "lint", as_json)
    found = lint(loaded, _plant(site, as_json))
    if as_json:
        _say({
            "holds": not found, "playbook": loaded.playbook.playbook, "digest": loaded.digest,
            "faults": [
                {"code": f.code, "where": f.where, "message": f.message, "mend": f.mend}
                for f in found
            ],
        })  # fmt: skip
    else:
        for fault in found:
            typer.echo(f"{fault.where}: {fault.code}: {fault.message['zh']}")
            typer.echo(f"  {fault.message['en']}")
            typer.echo(f"  改法 / mend: {fault.mend['zh']} / {fault.mend['en']}")
        name = f"{loaded.playbook.playbook} v{loaded.playbook.version}"
        typer.echo(
            f"{name}: {len(found)} 处错误 / faults" if found
            else f"{name}: 正确 / holds (sha256 {loaded.digest[:12]})"
        )  # fmt: skip
    if found:
        raise typer.Exit(1)


@app.command()
def explain(file: File, as_json: AsJson = False) -> None:
    """说明预案 / the tree, the longest time it can take, and which devices it can move."""
    loaded = _load(file, "explain", as_json)
    shown = explain_playbook(loaded.playbook)
    if as_json:
        _say({
            "playbook": loaded.playbook.playbook, "version": loaded.playbook.version,
            "digest": loaded.digest, "worst_case_ms": shown.worst_case_ms,
            "worst_case_commands": shown.worst_case_commands, "moves": list(shown.moves),
            "tells": list(shown.tells),
            "steps": [{"path": s.path, "verb": s.verb, "depth": s.depth} for s in shown.steps],
        })  # fmt: skip
        return
    book = loaded.playbook
    typer.echo(f"{book.playbook} v{book.version}  {book.name.zh} / {book.name.en}")
    for step in shown.steps:
        typer.echo(f"{'  ' * (step.depth + 1)}{step.name}  [{step.verb}]")
    typer.echo(f"最长用时 / worst case: {shown.worst_case_ms / 60_000:.1f} min")
    typer.echo(f"最多命令 / most commands: {shown.worst_case_commands}")
    typer.echo(f"可动设备 / can move: {', '.join(shown.moves) or '-'}")
    typer.echo(f"可通知 / can tell: {', '.join(shown.tells) or '-'}")


@app.command("schema")
def schema_command(
    file: Annotated[
        Path | None, typer.Argument(help="写入此文件 / write into this file; else print")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """预案的 JSON Schema / the JSON Schema of the language, for editors."""
    text = schema_text()
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        _cannot(f"schema: {file}: {error.strerror}", as_json)
    typer.echo(json.dumps({"written": [str(file)]}) if as_json else str(file))


def schema_text() -> str:
    """The text of `playbooks/playbook.schema.json`."""
    return json.dumps(schema(), ensure_ascii=False, indent=1) + "\n"


def _load(file: Path, verb: str, as_json: bool) -> Loaded:
    if not file.is_file():
        _cannot(f"{verb}: {file}: 没有这个文件 / no such file", as_json)
    try:
        return load_playbook(file)
    except ConfigError as error:
        faults = error.faults if isinstance(error, PlaybookFaults) else [error]
        if as_json:
            shown = [{"where": f.where, "message": f.message, "mend": f.mend} for f in faults]
            _say({"holds": False, "faults": shown})
        else:
            for fault in faults:
                typer.echo(str(fault))
            typer.echo(f"{len(faults)} 处错误 / faults")
        raise typer.Exit(1) from None


def _plant(site: Path | None, as_json: bool) -> Plant | None:
    if site is None:
        return None
    try:
        loaded = load_site(site)
    except ConfigError as error:
        _cannot(f"lint: {error}", as_json)
    return Plant(
        alarms=frozenset(loaded.alarms),
        devices=loaded.bindings.devices,
        endpoints=frozenset(loaded.bindings.endpoints),
        roles=frozenset(loaded.info.roster),
    )


def _say(document: Any) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False))


def _cannot(message: str, as_json: bool) -> NoReturn:
    if as_json:
        _say({"holds": None, "error": message})
    typer.echo(f"andon playbook {message}", err=True)
    raise typer.Exit(2)
