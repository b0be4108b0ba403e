"""`andon gen`: files of the repository that are made from code.

Called by `make gen` and checked for freshness by the tests; writes only the folder it is given.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Annotated

import typer
from ruamel.yaml import YAML

from shared.bus.nats_conf import render_examples
from shared.cli import reference as reference_documents
from shared.embedded.compose import compose_document, compose_plan, config_files
from shared.embedded.files import write_private
from shared.embedded.secrets import SecretStore
from shared.embedded.sites import read_sites
from shared.paths import ROOT, demo_sites

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def root() -> None:
    """生成文件 / generate files."""


@app.command()
def nats(
    folder: Annotated[Path, typer.Option(help="目标目录 / target folder")] = ROOT
    / "deploy"
    / "nats",
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """示例 NATS 配置 / the NATS configurations of deploy/nats."""
    written = []
    for name, text in render_examples().items():
        write_private(folder / name, text, mode=0o644)
        written.append(str(folder / name))
    typer.echo(json.dumps({"written": written}) if as_json else "\n".join(written))


def compose_text() -> str:
    """The text of `deploy/compose/compose.yaml`."""
    document = compose_document(compose_plan(read_sites(demo_sites())))
    writer, text = YAML(), io.StringIO()
    writer.width = 100
    text.write("# Made by `andon gen compose` from the plan of `andon up`; not by hand.\n")
    writer.dump(document, text)
    return text.getvalue()


@app.command()
def compose(
    file: Annotated[Path, typer.Option(help="目标文件 / target file")] = (
        ROOT / "deploy" / "compose" / "compose.yaml"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """容器编排文件 / the compose file of deploy/compose."""
    write_private(file, compose_text(), mode=0o644)
    typer.echo(json.dumps({"written": [str(file)]}) if as_json else str(file))


@app.command("compose-config")
def compose_config(
    folder: Annotated[Path, typer.Option(help="目标目录 / target folder")] = Path("config"),
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """容器所需的私密配置 / the private files that compose.yaml mounts, with new secrets."""
    store = SecretStore(folder.absolute())
    sites = read_sites(demo_sites())
    store.password("admin-password", 16)
    for site in sites:
        for _, secret in site.endpoints:
            store.webhook(secret)
    for name in ("group-release", *(f"{site.id}-approval" for site in sites)):
        store.key_pair(name)
    plan = compose_plan(sites, store.password)
    files = config_files(plan, store.password("db-superuser"))
    for name, text in files.items():
        write_private(folder / name, text)
    shown = {"written": sorted(files), "folder": str(folder)}
    typer.echo(json.dumps(shown) if as_json else f"{len(files)} → {folder}")


@app.command()
def reference(
    folder: Annotated[Path, typer.Option(help="仓库目录 / folder of the repository")] = ROOT,
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """参考文档, OpenAPI 与模式 / docs/reference, OpenAPI documents, the playbook schema."""
    from shared.cli.main import app as command_line

    made = reference_documents.documents()
    made["docs/reference/commands.md"] = reference_documents.command_text(command_line)
    for name, text in made.items():
        write_private(folder / name, text, mode=0o644)
    typer.echo(json.dumps({"written": sorted(made)}) if as_json else "\n".join(sorted(made)))


@app.command("all")
def everything() -> None:
    """全部 / everything above except private files."""
    nats(ROOT / "deploy" / "nats", False)
    compose(ROOT / "deploy" / "compose" / "compose.yaml", False)
    reference(ROOT, False)
