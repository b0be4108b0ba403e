"""What the verbs of `andon playbook` share: reading files, sites and libraries, saying faults.

Used by `playbook*.py`; opens no socket.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.cells import cell_len

from shared.errors import ConfigError
from shared.playbook.faults import PlaybookFaults, documented
from shared.playbook.lint import Plant, forbidding, lint
from shared.playbook.loader import Loaded, load_playbook
from shared.playbook.model import Playbook
from shared.playbook.template import Template, load_template
from shared.site.loader import load_site
from shared.site.site import Site

AsJson = Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")]
File = Annotated[Path, typer.Argument(help="预案文件 / playbook file (YAML)")]
SiteFolder = Annotated[
    Path | None,
    typer.Option("--site", help="工厂目录或绑定模板 / site folder, or a binding.template.yaml"),
]
Library = Annotated[
    list[Path] | None,
    typer.Option("--with", help="可被 call 的预案 / files or folders of playbooks that it calls"),
]


FORM_FIRST = (
    "先改正这些；名称、表达式与流程在此之后才检查 / "
    "mend these first: names, expressions and order are looked at after that"
)
"""Said where a text is no playbook yet: it is not all that may be wrong with it."""


def say(document: Any) -> None:
    """One JSON document."""
    typer.echo(json.dumps(document, ensure_ascii=False))


def columns(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Rows in columns, as wide as they are on a screen; the last one is never broken."""
    wide = [max(cell_len(row[n]) for row in rows) for n in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = []
        for n, text in enumerate(row[:-1]):
            space = " " * (wide[n] - cell_len(text))
            cells.append(space + text if n in right else text + space)
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return lines


def cannot(message: str, as_json: bool) -> NoReturn:
    """It cannot be run: exit 2."""
    if as_json:
        say({"holds": None, "error": message})
    typer.echo(f"andon playbook {message}", err=True)
    raise typer.Exit(2)


def faults_of(error: ConfigError) -> list[dict[str, Any]]:
    """What keeps a text from being a playbook."""
    faults = error.faults if isinstance(error, PlaybookFaults) else [error]
    return [documented(fault) for fault in faults]


def show(finding: dict[str, Any]) -> None:
    """One finding for people."""
    mark = "建议 / advice: " if finding["severity"] == "advice" else ""
    typer.echo(f"{finding['where']}: {mark}{finding['code']}: {finding['message']['zh']}")
    if finding["message"]["en"] != finding["message"]["zh"]:
        typer.echo(f"  {finding['message']['en']}")
    mend = finding["mend"]
    both = mend["zh"] if mend["zh"] == mend["en"] else f"{mend['zh']} / {mend['en']}"
    typer.echo(f"  改法 / mend: {both}")


def load(file: Path, verb: str, as_json: bool) -> Loaded:
    """One playbook; says its faults and exits 1."""
    if not file.is_file():
        cannot(f"{verb}: {file}: 没有这个文件 / no such file", as_json)
    try:
        return load_playbook(file)
    except ConfigError as error:
        faults = faults_of(error)
        if as_json:
            say({"holds": False, "faults": faults, "form_only": True})
        else:
            for fault in faults:
                show(fault)
            typer.echo(f"{len(faults)} 处错误 / faults: {FORM_FIRST}")
        raise typer.Exit(1) from None


def mistakes_in(
    loaded: Loaded, plant: Plant | None = None, books: dict[str, Playbook] | None = None
) -> list[dict[str, Any]]:
    """What the linter forbids in a playbook; the other verbs tell it too."""
    return [finding.document() for finding in forbidding(lint(loaded, plant, books))]


def playbooks_of(path: Path) -> list[Path]:
    """The playbook files of a folder, or the file itself."""
    if path.is_file():
        return [path]
    found = (*path.rglob("*.yaml"), *path.rglob("*.yml"))
    return sorted(file for file in found if _is_playbook(file))


def _is_playbook(file: Path) -> bool:
    """Whether a file of a folder says that it is a playbook; tests and templates lie beside."""
    if file.name.endswith((".test.yaml", ".test.yml")):
        return False
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return True  # what cannot be read is told, not passed over
    return "playbook/v1" in text


def books_of(paths: Iterable[Path]) -> dict[str, Playbook]:
    """The playbooks of some files and folders by their id; faulty ones are left out."""
    found: dict[str, Playbook] = {}
    for path in paths:
        for file in playbooks_of(path):
            try:
                book = load_playbook(file).playbook
            except ConfigError:
                continue
            found[book.playbook] = book
    return found


def site_of(folder: Path | None, verb: str, as_json: bool) -> Site | None:
    """The site; exits 2 when it cannot be read."""
    if folder is None:
        return None
    try:
        return load_site(folder)
    except ConfigError as error:
        cannot(f"{verb}: {error}", as_json)


def plant_of(path: Path | None, verb: str, as_json: bool) -> Plant | None:
    """What a site offers, or the library's `binding.template.yaml`; exits 2 if it is unreadable."""
    if path is None or not path.is_file():
        site = site_of(path, verb, as_json)
        return Plant.of(site) if site is not None else None
    return template_of(path, verb, as_json).plant


def template_of(path: Path, verb: str, as_json: bool) -> Template:
    """A `binding.template.yaml`; exits 2 if it is unreadable."""
    try:
        return load_template(path)
    except ConfigError as error:
        cannot(f"{verb}: {error}", as_json)
