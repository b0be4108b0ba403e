"""`andon playbook`: check, explain and describe playbooks before anything runs them.

Called by the command line; the checks are in `shared/playbook`. Opens no socket.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli import (
    playbook_dry_run,
    playbook_exchange,
    playbook_explain,
    playbook_rehearse,
    playbook_sign,
)
from shared.cli.playbook_output import (
    FORM_FIRST,
    AsJson,
    Library,
    SiteFolder,
    books_of,
    cannot,
    faults_of,
    plant_of,
    playbooks_of,
    say,
    show,
)
from shared.errors import ConfigError
from shared.playbook.lint import Plant, lint
from shared.playbook.loader import load_playbook
from shared.playbook.model import Playbook
from shared.playbook.schema import schema

app = typer.Typer(no_args_is_help=True, add_completion=False, help="处置预案 / playbooks")
playbook_rehearse.register(app)
playbook_explain.register(app)
playbook_dry_run.register(app)
playbook_exchange.register(app)
playbook_sign.register(app)


@app.callback()
def root() -> None:
    """处置预案 / playbooks."""


@app.command("lint")
def lint_command(
    files: Annotated[list[Path], typer.Argument(help="预案文件或目录 / playbook files or folders")],
    site: SiteFolder = None, library: Library = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="建议也算错误 / advice counts as an error")
    ] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """检查预案 / every mistake with file:line:column and a mend; exit 1 if there is one."""
    for path in files:
        if not path.exists():
            cannot(f"lint: {path}: 没有这个文件 / no such file", as_json)
    plant = plant_of(site, "lint", as_json)
    todo = [file for path in files for file in playbooks_of(path)]
    if not todo:
        cannot("lint: 没有预案 / no playbook in these folders", as_json)
    books = books_of([*todo, *(library or [])])
    told = [_linted(file, plant, books if library or len(todo) > 1 else None) for file in todo]
    wrong = [one for one in told if _forbids(one, strict)]
    if as_json:
        say({**told[0], "holds": not wrong} if len(told) == 1 else
            {"holds": not wrong, "files": told})  # fmt: skip
    else:
        for one in told:
            _show(one)
    if wrong:
        raise typer.Exit(1)


def _linted(file: Path, plant: Plant | None, books: dict[str, Playbook] | None) -> dict[str, Any]:
    """What is found in one file."""
    try:
        loaded = load_playbook(file)
    except ConfigError as error:
        return {"file": str(file), "holds": False, "faults": faults_of(error), "form_only": True}
    found = [finding.document() for finding in lint(loaded, plant, books)]
    book = loaded.playbook
    return {
        "file": str(file), "holds": all(f["severity"] == "advice" for f in found),
        "playbook": book.playbook, "version": book.version, "digest": loaded.digest,
        "faults": found,
    }  # fmt: skip


def _forbids(one: dict[str, Any], strict: bool) -> bool:
    return not one["holds"] or (strict and bool(one["faults"]))


def _show(one: dict[str, Any]) -> None:
    for finding in one["faults"]:
        show(finding)
    name = f"{one['playbook']} v{one['version']}" if "playbook" in one else one["file"]
    errors = sum(finding["severity"] == "error" for finding in one["faults"])
    advice = len(one["faults"]) - errors
    more = f"，{advice} 条建议 / {advice} pieces of advice" if advice else ""
    after = f"\n  {FORM_FIRST}" if one.get("form_only") else ""
    typer.echo(
        f"{name}: {errors} 处错误 / faults{more}{after}" if errors
        else f"{name}: 正确 / holds (sha256 {one['digest'][:12]}){more}"
    )  # fmt: skip


@app.command("schema")
def schema_command(
    file: Annotated[
        Path | None, typer.Argument(help="写入此文件 / write into this file; else print")
    ] = None,
    site: SiteFolder = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """预案的 JSON Schema / the JSON Schema of the language, for editors."""
    text = schema_text(plant_of(site, "schema", as_json))
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        cannot(f"schema: {file}: {error.strerror}", as_json)
    typer.echo(json.dumps({"written": [str(file)]}) if as_json else str(file))


def schema_text(plant: Plant | None = None) -> str:
    """The text of `playbooks/playbook.schema.json`, or of a site's own."""
    return json.dumps(schema(plant), ensure_ascii=False, indent=1) + "\n"
