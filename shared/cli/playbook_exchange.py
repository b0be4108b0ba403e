"""`andon playbook export|import`: to OASIS CACAO v2 and from it, as a draft.

Registered by `shared/cli/playbook.py`; the mapping is in `shared/playbook/cacao`. Opens no socket.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli.playbook_output import AsJson, File, cannot, faults_of, load, say, show
from shared.errors import ConfigError
from shared.playbook.cacao.export import to_cacao
from shared.playbook.cacao.reading import Imported, from_cacao, shown
from shared.playbook.lint import lint

Out = Annotated[Path | None, typer.Option("--out", help="写入此文件 / write into this; else print")]


def register(app: typer.Typer) -> None:
    """Add the verbs to `andon playbook`."""
    app.command("export")(export_command)
    app.command("import")(import_command)


def export_command(file: File, out: Out = None, as_json: AsJson = False) -> None:
    """导出为 CACAO 2.0 / the playbook as an OASIS CACAO v2 document."""
    loaded = load(file, "export", as_json)
    stamp = file.stat().st_mtime_ns // 1_000_000  # the same file gives the same document
    text = json.dumps(to_cacao(loaded.playbook, stamp, stamp), ensure_ascii=False, indent=1) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    _write(out, text, "export", as_json)
    if as_json:
        say({"written": [str(out)], "playbook": loaded.playbook.playbook, "digest": loaded.digest})
    else:
        typer.echo(str(out))


def import_command(
    file: Annotated[Path, typer.Argument(help="CACAO 2.0 文件 / CACAO 2.0 file (JSON)")],
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """导入 CACAO 2.0 / a CACAO v2 document as a draft; says what a person must fill in."""
    try:
        data = file.read_bytes()
    except OSError as error:
        cannot(f"import: {file}: {error.strerror}", as_json)
    try:
        found = from_cacao(data, file.name)
    except ConfigError as error:
        faults = faults_of(error)
        if as_json:
            say({"holds": False, "faults": faults})
        else:
            for fault in faults:
                show(fault)
        raise typer.Exit(1) from None
    if out is not None:
        _write(out, found.text, "import", as_json)
    told = _told(found)
    if as_json:
        say({**told, "written": [str(out)] if out else [], "text": None if out else found.text})
        return
    if out is None:
        typer.echo(found.text, nl=False)
    for note in found.notes:
        typer.echo(f"{note.where}: {note.zh} / {note.en}", err=True)
    for finding in told["faults"]:
        typer.echo(f"{finding['where']}: {finding['code']}: {finding['message']['en']}", err=True)
    if out is not None:
        typer.echo(str(out))


def _told(found: Imported) -> dict[str, Any]:
    """What is left to a person, and what the linter says of the draft."""
    return {
        "playbook": found.loaded.playbook.playbook, "digest": found.loaded.digest,
        "draft": not found.ours, "todo": shown(found.notes),
        "faults": [finding.document() for finding in lint(found.loaded)],
    }  # fmt: skip


def _write(out: Path, text: str, verb: str, as_json: bool) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        cannot(f"{verb}: {out}: {error.strerror}", as_json)
