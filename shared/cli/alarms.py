"""`andon alarms`: hold the alarm machine against a state table.

Called by the command line; reads the table and leaves the judgement to `alarm/conformance.py`.
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from shared.alarm.conformance import Mismatch, check
from shared.errors import ContractError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="报警 / alarms")
SHOWN = 20


@app.callback()
def root() -> None:
    """报警 / alarms."""


@app.command()
def conformance(
    table: Annotated[Path, typer.Argument(help="状态表 / state table (CSV)")],
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """用状态表检验报警状态机 / hold the alarm machine against a state table, row by row."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows, wrong = check(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error, ContractError) as error:
        typer.echo(f"andon alarms conformance: {table}: {error}", err=True)
        raise typer.Exit(2) from None
    if rows == 0:
        typer.echo(f"andon alarms conformance: {table}: 没有数据行 / no rows", err=True)
        raise typer.Exit(2)
    failed = len({mismatch.row for mismatch in wrong})
    if as_json:
        document = {
            "holds": not wrong,
            "rows": rows,
            "passed": rows - failed,
            "mismatches": [asdict(mismatch) for mismatch in wrong],
        }
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        _show(rows, failed, wrong)
    raise typer.Exit(1 if wrong else 0)


def _show(rows: int, failed: int, wrong: list[Mismatch]) -> None:
    for m in wrong[:SHOWN]:
        # The header is line 1 of the file, so row n stands on line n + 1.
        typer.echo(f"  line {m.row + 1} {m.event}: {m.column} = {m.actual}, expected {m.expected}")
    if len(wrong) > SHOWN:
        typer.echo(f"  … {len(wrong) - SHOWN} 更多 / more")
    typer.echo(f"{rows - failed}/{rows} 行相符 / rows hold")
