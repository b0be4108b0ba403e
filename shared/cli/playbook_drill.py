"""`andon playbook drill`: a plan on the running system, with real edges and simulated plants.

Registered by `playbook_rehearse.py`; `playbook_drill_run.py` runs the drills, this shows them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli.playbook_drill_run import Access, Drilled, Drilling, drill_all
from shared.cli.playbook_follow import AsJson, PasswordFile, State, User, tree
from shared.errors import ConfigError
from shared.paths import default_state_dir, playbook_library
from shared.playbook.rehearsal.coverage import NAMES
from shared.playbook.rehearsal.loader import SUFFIX, Tests, load_tests


def drill_command(
    playbook: Annotated[
        str, typer.Argument(help="预案、测试文件或库中名称 / playbook, test file or name")
    ],
    scenario: Annotated[
        Path | None, typer.Option(help="另一份含 drills 的测试文件 / another file with drills")
    ] = None,
    only: Annotated[str | None, typer.Option("-k", help="只跑名称含此字样的 / by name")] = None,
    state: State = None, user: User = "admin", password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """在模拟器上演练 / drill on the simulators; exit 0: all held, 1: not all, 2: impossible."""
    access = Access(state or default_state_dir(), user, password_file)
    try:
        tests = load_tests(scenario or file_of(playbook), playbook_library())
        found = drill_all(tests, access, lambda text: typer.echo(text, err=True), only)
    except ConfigError as error:
        if as_json:
            typer.echo(json.dumps({"passed": False, "error": str(error)}, ensure_ascii=False))
        else:
            typer.echo(f"andon playbook drill: 无法演练 / cannot be run: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(json.dumps(report(found, tests), ensure_ascii=False)) if as_json else _show(found)
    raise typer.Exit(0 if found.passed else 1)


def file_of(name: str) -> Path:
    """The test file that is meant: itself, beside the playbook, or in the library."""
    path = Path(name)
    if path.name.endswith(SUFFIX):
        return path
    if path.suffix == ".yaml":
        return path.with_name(path.stem + SUFFIX)
    found = sorted(playbook_library().glob(f"**/{name}{SUFFIX}"))
    if not found:
        raise ConfigError(
            "库中没有这个预案 / no such playbook", where=name,
            mend="给出文件，或 --scenario / give its file, or --scenario",
        )  # fmt: skip
    return found[0]


def _show(found: Drilling) -> None:
    for one in found.drills:
        run = one.journal["run"]
        pace = "" if run.get("time_scale", 1) == 1 else f"  ×{run['time_scale']:g}"
        head = f"{run['playbook']} v{run['version']} / {one.name}{pace}  {run['id']}"
        typer.echo(f"【演练 DRILL】 {head}  {run['status']}")
        for line in tree(one.journal):
            typer.echo(line)
        for miss in one.misses:
            typer.echo(f"  {miss.where}: {miss.code}: {miss.message['zh']}")
            typer.echo(f"    {miss.message['en']}")
        typer.echo(f"  {'通过 / passed' if one.passed else '未通过 / failed'}")
    typer.echo("所有演练合计 / all drills together:")
    for kind in found.covered:
        name, missing = NAMES[kind.kind], ", ".join(item.name for item in kind.missing)
        short = "" if kind.enough else f"  < {kind.wanted:g} %"
        typer.echo(f"  {name['zh']} / {name['en']}: {kind.percent:g} %{short}  {missing}".rstrip())
    typer.echo("通过 / passed" if found.passed else "未通过 / failed")


def report(found: Drilling, tests: Tests) -> dict[str, Any]:
    """Everything as plain data."""
    return {
        "passed": found.passed, "drill": True, "file": tests.name,
        "playbook": tests.playbook.playbook.playbook,
        "drills": [_drilled(one) for one in found.drills],
        "coverage": {
            c.kind: {"reached": c.reached, "of": c.of, "percent": c.percent, "wanted": c.wanted,
                     "missing": [i.name for i in c.missing]}
            for c in found.covered
        },
    }  # fmt: skip


def _drilled(one: Drilled) -> dict[str, Any]:
    run = one.journal["run"]
    begin = run["started_at"]
    return {
        "name": one.name, "passed": one.passed, "run": run["id"], "status": run["status"],
        "time_scale": run.get("time_scale", 1.0),
        "took_ms": None if run["ended_at"] is None else run["ended_at"] - begin,
        "misses": [
            {"code": m.code, "where": m.where, "message": dict(m.message)} for m in one.misses
        ],
        "trace": [
            {"path": s["path"], "verb": s["verb"], "status": s["status"],
             "started_ms": s["started_at"] - begin,
             "took_ms": None if s["ended_at"] is None else s["ended_at"] - s["started_at"],
             "data": s["data"]}
            for s in run["steps"]
        ],
    }  # fmt: skip
