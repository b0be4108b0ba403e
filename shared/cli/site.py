"""`andon site`: check a site's folder of YAML before anything uses it.

Called by the command line; the checks themselves are in `shared/site/loader.py`.
"""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from shared.cli.site_inputs import check_inputs
from shared.errors import ConfigError
from shared.site.loader import Check, Site, SiteFaults, load_site

app = typer.Typer(no_args_is_help=True, add_completion=False, help="工厂配置 / a site's folder")


@app.callback()
def root() -> None:
    """工厂配置 / a site's folder."""


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="工厂目录 / folder of site.yaml")],
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """检查工厂目录 / every fault with file:line:column and a mend."""
    if not folder.is_dir():
        _cannot(f"{folder}: 不是目录 / not a folder", as_json)
    try:
        site = load_site(folder, checks=_checks(), thorough=True)
    except SiteFaults as error:
        _show_faults(error.faults, as_json)
        raise typer.Exit(1) from None
    except ConfigError as error:
        _show_faults([error], as_json)
        raise typer.Exit(1) from None
    except OSError as error:
        _cannot(f"{folder}: {error.strerror}", as_json)
    _show_site(site, as_json)


def _checks() -> list[Check]:
    """What the installed tiers' plug-ins check; a tier that is not here checks nothing."""
    return [check_inputs, *(each.load() for each in entry_points(group="andon.site_checks"))]


def _cannot(message: str, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(json.dumps({"holds": None, "error": message}, ensure_ascii=False))
    typer.echo(f"andon site check: {message}", err=True)
    raise typer.Exit(2)


def _show_faults(faults: list[ConfigError], as_json: bool) -> None:
    if as_json:
        shown = [{"where": f.where, "message": f.message, "mend": f.mend} for f in faults]
        typer.echo(json.dumps({"holds": False, "faults": shown}, ensure_ascii=False))
        return
    for fault in faults:
        typer.echo(str(fault))
    typer.echo(f"{len(faults)} 处错误 / faults")


def _show_site(site: Site, as_json: bool) -> None:
    counts = {
        "edges": len(site.info.edges),
        "sources": len(site.sources),
        "tags": len(site.tags),
        "alarms": len(site.alarms),
        "reflexes": len(site.reflexes),
        "devices": len(site.bindings.devices),
        "endpoints": len(site.bindings.endpoints),
    }
    if as_json:
        document = {"holds": True, "site": site.info.site, "counts": counts, "faults": []}
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        parts = ", ".join(f"{number} {name}" for name, number in counts.items())
        typer.echo(f"{site.info.site}: 正确 / holds ({parts})")
