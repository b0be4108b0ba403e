"""`andon playbook export|import`: to OASIS CACAO v2 and from it, as a draft.

Registered by `shared/cli/playbook.py`; the mapping is in `shared/playbook/cacao`. Opens no socket.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from shared.cli.playbook_output import (
    AsJson,
    File,
    Library,
    books_of,
    cannot,
    faults_of,
    load,
    mistakes_in,
    say,
    show,
)
from shared.errors import ConfigError
from shared.playbook.cacao.export import to_cacao
from shared.playbook.cacao.reading import Imported, from_cacao, shown
from shared.playbook.lint import lint

Out = Annotated[Path | None, typer.Option("--out", help="写入此文件 / write into this; else print")]
Force = Annotated[
    bool, typer.Option("--force", help="覆盖已有文件 / write over a file that exists")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to `andon playbook`."""
    app.command("export")(export_command)
    app.command("import")(import_command)


def export_command(
    file: File, out: Out = None,
    released: Annotated[
        datetime | None,
        typer.Option(help="本版发布时间 (UTC) / when this version was released; else by version"),
    ] = None,
    library: Library = None, force: Force = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """导出为 CACAO 2.0 / as an OASIS CACAO v2 document; refused (exit 1) if lint finds faults."""
    loaded = load(file, "export", as_json)
    if faults := mistakes_in(loaded, None, books_of(library) if library else None):
        _refuse(faults, "先改正再导出 / not exported, mend it first", as_json)
    stamp = _stamp(loaded.playbook.version, released)
    text = json.dumps(to_cacao(loaded.playbook, 0, stamp), ensure_ascii=False, indent=1) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    _write(out, text, "export", force, as_json)
    if as_json:
        say({"written": [str(out)], "playbook": loaded.playbook.playbook, "digest": loaded.digest})
    else:
        typer.echo(str(out))


def _stamp(version: int, released: datetime | None) -> int:
    """`modified`: when it was released, else later for every version; never this file's time."""
    if released is None:
        return version * 1_000
    return round(released.replace(tzinfo=released.tzinfo or UTC).timestamp() * 1_000)


def import_command(
    file: Annotated[Path, typer.Argument(help="CACAO 2.0 文件 / CACAO 2.0 file (JSON)")],
    out: Out = None, force: Force = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """导入 CACAO 2.0 / a CACAO v2 document as a draft; says what a person must fill in."""
    try:
        data = file.read_bytes()
    except OSError as error:
        cannot(f"import: {file}: {error.strerror}", as_json)
    try:
        found = from_cacao(data, file.name)
    except ConfigError as error:
        _refuse(faults_of(error), "无法导入 / it cannot be imported", as_json)
    if out is not None:
        _write(out, found.text, "import", force, as_json)
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


def _refuse(faults: list[dict[str, Any]], why: str, as_json: bool) -> NoReturn:
    """Tell the faults; exit 1."""
    if as_json:
        say({"holds": False, "faults": faults})
    else:
        for fault in faults:
            show(fault)
        typer.echo(f"{len(faults)} 处错误 / faults: {why}")
    raise typer.Exit(1)


def _write(out: Path, text: str, verb: str, force: bool, as_json: bool) -> None:
    if out.exists() and not force:
        cannot(f"{verb}: {out}: 已有此文件，未覆盖；确要覆盖则加 --force / "
               "it exists and is left as it is; --force writes over it", as_json)  # fmt: skip
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        cannot(f"{verb}: {out}: {error.strerror}", as_json)
