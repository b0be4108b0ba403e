"""`andon drill`: drive the simulators through a scenario against a running system and score it.

Called by the `andon` entry point; finds the running system through `run/up.json`.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from shared.clock import SystemClock
from shared.errors import ConfigError, TransportError
from shared.paths import default_state_dir
from shared.site.model import Names
from simulators.drill import Drill, DrillError, Score
from simulators.drill_clients import PERSON, BrainClient, ControlClient
from simulators.loop_show import loop, show
from simulators.scenario import SHIPPED, Scenario, load_scenario

app = typer.Typer(no_args_is_help=True, help="演练 / drills")
LOOP = "learning-loop"
WINDOW_S = 20.0


def read_up(path: Path) -> dict[str, Any]:
    """What `andon up` wrote about the running system; ConfigError when nothing runs."""
    mend = "start the system with `andon up`, or name its file with --up-file"
    try:
        up = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"no running system: {error.strerror}", where=str(path),
                          mend=mend) from None  # fmt: skip
    except ValueError as error:
        raise ConfigError(f"not JSON: {error}", where=str(path), mend=mend) from None
    if not isinstance(up, dict) or "simulators" not in up or "console" not in up:
        raise ConfigError("names no simulators or console", where=str(path), mend=mend)
    return up


def _password(up: dict[str, Any], given: Path | None, up_file: Path) -> str:
    state = Path(up.get("state") or up_file.parent.parent)
    path = given or state / "secrets" / "admin-password"
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"cannot read the admin password: {error.strerror}", where=str(path),
                          mend="give its file with --password-file") from None  # fmt: skip


async def drill(scenario: Scenario, up: dict[str, Any], password: str, console: Console) -> Score:
    """Log in and run the scenario; raises DrillError or TransportError when it cannot be run."""
    url = up["console"].get(scenario.site)
    if not url or not up["simulators"]:
        known = ", ".join(sorted(up["console"])) or "none"
        raise DrillError(f"site {scenario.site!r} does not run here (running: {known})")
    brain, control = BrainClient(url), ControlClient(up["simulators"])
    try:
        await brain.login(PERSON, password)
        runner = Drill(scenario, brain, control, SystemClock())
        return await runner.run(lambda text: console.print(text, markup=False, highlight=False))
    finally:
        await brain.aclose()
        await control.aclose()


def _report(score: Score, scenario: Scenario) -> dict[str, Any]:
    return {
        "scenario": scenario.name.model_dump(),
        "site": scenario.site,
        "passed": score.passed,
        "points": score.points,
        "of": len(score.lines),
        "started": score.started,
        "seconds": score.seconds,
        "lines": [asdict(line) for line in score.lines],
    }


def _print_table(score: Score, scenario: Scenario, console: Console) -> None:
    verdict = "通过 / passed" if score.passed else "未通过 / failed"
    table = Table(title=f"演练 DRILL · {scenario.name.zh} / {scenario.name.en}")
    table.add_column("步骤 / step")
    table.add_column("结果 / result")
    table.add_column("用时 / took", justify="right")
    table.add_column("限时 / within", justify="right")
    for line in score.lines:
        result = "[green]通过 ok[/]" if line.passed else f"[red]未通过 FAIL[/] {line.reason}"
        took = "—" if line.seconds is None else f"{line.seconds:.1f} s"
        table.add_row(line.what, result, took, f"{line.within:g} s")
    console.print(table)
    console.print(f"{verdict}  {score.points}/{len(score.lines)}  {score.seconds:.1f} s")


@app.command("run")
def run(
    scenario: Annotated[str, typer.Argument(help="场景文件或名称 / scenario file or name")],
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
    up_file: Annotated[Path | None, typer.Option(help="run/up.json")] = None,
    password_file: Annotated[Path | None, typer.Option(help="管理员口令 / admin password")] = None,
) -> None:
    """Run a scenario; exit code 0: everything held, 1: not everything, 2: could not be run."""
    if scenario == LOOP:
        learning_loop(WINDOW_S, as_json, up_file, password_file)
    progress = Console(stderr=True)
    try:
        loaded = load_scenario(scenario)
        path = up_file or default_state_dir() / "run" / "up.json"
        up = read_up(path)
        password = _password(up, password_file, path)
        score = asyncio.run(drill(loaded, up, password, progress))
    except (ConfigError, DrillError, TransportError) as error:
        _could_not(error, as_json)
    if as_json:
        typer.echo(json.dumps(_report(score, loaded), ensure_ascii=False))
    else:
        _print_table(score, loaded, Console())
    raise typer.Exit(0 if score.passed else 1)


@app.command("list")
def list_scenarios(
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """List the shipped scenarios."""
    found = {path.stem: load_scenario(str(path)).name for path in sorted(SHIPPED.glob("*.yaml"))}
    found[LOOP] = Names(zh="学习闭环", en="The learning loop")
    if as_json:
        typer.echo(json.dumps({n: t.model_dump() for n, t in found.items()}, ensure_ascii=False))
        return
    for name, text in found.items():
        typer.echo(f"{name:24} {text.zh} / {text.en}")


@app.command(LOOP)
def learning_loop(
    window: Annotated[
        float, typer.Option(min=5, max=600, help="误报持续秒数 / s of noise")
    ] = WINDOW_S,
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
    up_file: Annotated[Path | None, typer.Option(help="run/up.json")] = None,
    password_file: Annotated[Path | None, typer.Option(help="管理员口令 / admin password")] = None,
) -> None:
    """Flood, labels, proposal, roll-out; then a bad change is taken back (exit code as `run`)."""
    progress = Console(stderr=True)
    try:
        path = up_file or default_state_dir() / "run" / "up.json"
        up = read_up(path)
        score = asyncio.run(loop(up, _password(up, password_file, path), window, progress))
    except (ConfigError, DrillError, TransportError) as error:
        _could_not(error, as_json)
    if as_json:
        typer.echo(json.dumps(score.to_dict(), ensure_ascii=False))
    else:
        show(score, Console())
    raise typer.Exit(0 if score.passed else 1)


def _could_not(error: Exception, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(json.dumps({"passed": False, "error": str(error)}, ensure_ascii=False))
    else:
        typer.echo(f"andon drill: 无法演练 / cannot be run: {error}", err=True)
    raise typer.Exit(2) from None


if __name__ == "__main__":
    app()
