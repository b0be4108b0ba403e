"""`andon alarms`: the state table held against the machine and the tiers; figures of a journal.

Called by the command line; reads the table and leaves the judgement to `alarm/conformance.py` and
to the tiers' own runs of it, found by entry point.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from shared.alarm.conformance import UNREACHABLE, Mismatch, Row, check
from shared.cli.alarm_kpi import kpi
from shared.cli.alarm_replay import replay
from shared.clock import SystemClock
from shared.errors import ContractError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="报警 / alarms")
app.command()(kpi)
app.command()(replay)
SHOWN = 20
PURE, ALL = "pure", "all"
GROUP = "andon.conformance"
Runner = Callable[[Iterable[Row]], tuple[int, list[Mismatch]]]


@dataclass(frozen=True, slots=True)
class Run:
    """One way through which the table was run."""

    through: str
    rows: int
    mismatches: list[Mismatch]
    ms: int

    @property
    def passed(self) -> int:
        """Rows without any mismatch."""
        return self.rows - len({mismatch.row for mismatch in self.mismatches})

    @property
    def unreachable(self) -> int:
        """Rows whose state before no sequence of events leads to."""
        return sum(mismatch.actual == UNREACHABLE for mismatch in self.mismatches)


@app.callback()
def root() -> None:
    """报警 / alarms."""


@app.command()
def conformance(
    table: Annotated[Path, typer.Argument(help="状态表 / state table (CSV)")],
    through: Annotated[
        str, typer.Option(help="pure: 纯函数 / the function, edge: 边缘接口 / the edge's API, all")
    ] = ALL,
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """用状态表检验报警状态机 / hold the alarm machine against a state table, row by row."""
    try:
        rows = _read(table)
        runs = [_run(name, runner, rows) for name, runner in _runners(through).items()]
    except (OSError, UnicodeDecodeError, csv.Error, ContractError) as error:
        typer.echo(f"andon alarms conformance: {table}: {error}", err=True)
        raise typer.Exit(2) from None
    if not rows:
        typer.echo(f"andon alarms conformance: {table}: 没有数据行 / no rows", err=True)
        raise typer.Exit(2)
    holds = not any(run.mismatches for run in runs)
    if as_json:
        typer.echo(json.dumps(_document(holds, runs), ensure_ascii=False))
    else:
        for run in runs:
            _show(run)
    raise typer.Exit(0 if holds else 1)


def _read(table: Path) -> list[Row]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _runners(through: str) -> dict[str, Runner]:
    """The ways asked for; raises ContractError for one that is not installed."""
    tiers = {point.name: point for point in entry_points(group=GROUP)}
    if through == PURE:
        return {PURE: check}
    if not tiers:
        raise ContractError(f"nothing is installed under {GROUP!r}; install andon again")
    if through == ALL:
        return {PURE: check, **{name: point.load() for name, point in sorted(tiers.items())}}
    if through not in tiers:
        raise ContractError(f"--through is one of {[PURE, *sorted(tiers), ALL]}, not {through!r}")
    return {through: tiers[through].load()}


def _run(name: str, runner: Runner, rows: list[Row]) -> Run:
    clock = SystemClock()
    began = clock.mono_ms()
    count, wrong = runner(rows)
    return Run(name, count, wrong, clock.mono_ms() - began)


def _document(holds: bool, runs: list[Run]) -> dict[str, object]:
    return {
        "holds": holds,
        "rows": runs[0].rows,
        "passed": min(run.passed for run in runs),
        "runs": {
            run.through: {
                "rows": run.rows,
                "passed": run.passed,
                "unreachable": run.unreachable,
                "seconds": run.ms / 1000,
            }
            for run in runs
        },
        "mismatches": [
            {"through": run.through, **asdict(mismatch)}
            for run in runs
            for mismatch in run.mismatches
        ],
    }


def _show(run: Run) -> None:
    for m in run.mismatches[:SHOWN]:
        # The header is line 1 of the file, so row n stands on line n + 1.
        typer.echo(
            f"  {run.through}: row {m.row} (line {m.row + 1}) {m.event}: {m.column} = {m.actual}, "
            f"expected {m.expected}"
        )
    if len(run.mismatches) > SHOWN:
        typer.echo(f"  … {len(run.mismatches) - SHOWN} 更多 / more")
    unreachable = f", {run.unreachable} 不可达 / unreachable" if run.unreachable else ""
    typer.echo(
        f"{run.through}: {run.passed}/{run.rows} 行相符 / rows hold{unreachable} "
        f"({run.ms / 1000:.1f} s)"
    )
