"""`andon doctor`: what is missing, how to mend it, and what the running system uses.

Called by the command line; exit code 0 when all holds, 1 when something does not, 2 when the
examination itself cannot be made.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.embedded.checks import FAIL, OK, WARN, Finding, all_checks
from shared.embedded.running import (
    CPU_BUDGET_CORES,
    MEMORY_BUDGET_MB,
    Usage,
    measure,
    read_up_file,
)
from shared.paths import default_state_dir

_MARKS = {OK: "[green]✓[/]", WARN: "[yellow]![/]", FAIL: "[red]✗[/]"}


def doctor(
    state: Annotated[Path | None, typer.Option(help="数据目录 / state folder")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """检查环境与运行状况 / what is missing, how to mend it, what it uses."""
    folder = (state or default_state_dir()).absolute()
    try:
        up = read_up_file(folder)
        findings = all_checks(folder, up is not None)
        usage = measure(up) if up is not None else []
    except (OSError, subprocess.SubprocessError) as error:
        typer.echo(f"andon doctor: {error}", err=True)
        raise typer.Exit(2) from None
    if up is not None:
        findings.append(_budget(usage))
    code = 1 if any(finding.status == FAIL for finding in findings) else 0
    if as_json:
        typer.echo(json.dumps(_document(findings, usage, code == 0), ensure_ascii=False))
    else:
        _show(findings, usage)
    raise typer.Exit(code)


def _totals(usage: list[Usage]) -> tuple[float, float]:
    return sum(u.memory_mb for u in usage), sum(u.cores for u in usage)


def _budget(usage: list[Usage]) -> Finding:
    memory, cores = _totals(usage)
    amounts = f"{memory:.0f} MB ({MEMORY_BUDGET_MB}), {cores:.2f} ({CPU_BUDGET_CORES})"
    what = {
        "zh": f"运行占用 (预算): {amounts} 核 (空闲时)",
        "en": f"use (budget): {amounts} cores (when idle)",
    }
    if memory <= MEMORY_BUDGET_MB and cores <= CPU_BUDGET_CORES:
        return Finding("budget", OK, what)
    mend = {
        "zh": "空闲时再测一次; 仍超出则查看下表中最大的进程",
        "en": "look again when idle; if it stays, see the largest process below",
    }
    return Finding("budget", WARN, what, mend)


def _document(findings: list[Finding], usage: list[Usage], holds: bool) -> dict[str, object]:
    memory, cores = _totals(usage)
    return {
        "holds": holds,
        "findings": [asdict(finding) for finding in findings],
        "running": {
            "memory_mb": round(memory, 1),
            "cores": round(cores, 3),
            "memory_budget_mb": MEMORY_BUDGET_MB,
            "cores_budget": CPU_BUDGET_CORES,
            "processes": [asdict(u) for u in usage],
        }
        if usage
        else None,
    }


def _show(findings: list[Finding], usage: list[Usage]) -> None:
    console = Console(highlight=False)
    language = "en" if os.environ.get("LANG", "").startswith("en") else "zh"
    order = ("zh", "en") if language == "zh" else ("en", "zh")
    for finding in findings:
        texts = list(dict.fromkeys(finding.what[key] for key in order))
        console.print(_MARKS[finding.status], escape(" / ".join(texts)), soft_wrap=True)
        if finding.mend is not None:
            mends = list(dict.fromkeys(finding.mend[key] for key in order))
            console.print(f"    → {' / '.join(mends)}", markup=False, soft_wrap=True)
    if usage:
        table = Table("进程 / process", "pid", "MB", "核 / cores")
        for u in sorted(usage, key=lambda u: -u.memory_mb):
            table.add_row(u.name, str(u.pid), f"{u.memory_mb:.1f}", f"{u.cores:.3f}")
        console.print(table)
