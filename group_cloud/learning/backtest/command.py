"""`andon learn backtest`: reads the data, runs the sections, writes JSON or tables.

Called by the command line. Progress goes to stderr, the answer to stdout.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from group_cloud.learning.backtest.fault_log import LogQuality, keep_log
from group_cloud.learning.backtest.history import History, count_history
from group_cloud.learning.backtest.plant import (
    Plant,
    PlantError,
    read_columns,
    read_folder,
    short_names,
)
from group_cloud.learning.backtest.sections import Job, Section, Shown, sections
from group_cloud.learning.limits.optimizer import Tuning

SCHEMA = "backtest/v1"
SIMULATED = "模拟数据 / simulated plants"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asked for."""

    data: Path
    score: tuple[str, ...]
    quality: LogQuality
    only: tuple[str, ...]


def answer(asked: Asked, quiet: bool = False) -> tuple[dict[str, Any], list[Section]]:
    """The answer as plain data and the sections that made it; raises PlantError."""
    if not asked.data.exists():
        raise PlantError(f"{asked.data}: no such file or folder")
    job = _table_job(asked) if asked.data.is_file() else _plants_job(asked, quiet)
    kind = "table" if asked.data.is_file() else "plants"
    chosen = [s for s in sections(kind) if not asked.only or s.name in asked.only]
    unknown = set(asked.only) - {section.name for section in chosen}
    if unknown:
        there = ", ".join(section.name for section in sections(kind))
        raise PlantError(f"--only {','.join(asked.only)}: for {kind} there are {there}")
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "data": asked.data.name,
        "kind": kind,
        "simulated": kind == "plants",
        "factories": [plant.name for plant in job.plants],
        "scored": [plant.name for plant in job.scored],
        "fault_log": {
            "unrecorded": asked.quality.unrecorded,
            "phantom": asked.quality.phantom,
            "late_days": list(asked.quality.late_days),
            "seed": asked.quality.seed,
        },
    }
    begun = job.clock()
    for section in chosen:
        found[section.name] = section.run(job)
    found["took_s"] = round(job.clock() - begun, 1)
    return found, chosen


def show(found: dict[str, Any], chosen: list[Section]) -> None:
    """The answer as tables for people."""
    out = Console()
    if found["simulated"]:
        out.print(f"[bold]{SIMULATED}[/bold]: {', '.join(found['scored'])}")
    for section in chosen:
        for shown in section.show(found[section.name]):
            if shown.rows:
                out.print(_table(shown))
    out.print(f"{found['took_s']} s")


def print_answer(found: dict[str, Any]) -> None:
    """The answer as one JSON document."""
    typer.echo(json.dumps(found, ensure_ascii=False, indent=2))


def _table(shown: Shown) -> Table:
    table = Table(title=shown.title, title_justify="left")
    for place, name in enumerate(shown.head):
        table.add_column(name, justify="left" if place == 0 else "right", overflow="fold")
    for row in shown.rows:
        table.add_row(*row)
    return table


def _plants_job(asked: Asked, quiet: bool) -> Job:
    plants = read_folder(asked.data)
    known, counted = short_names(plants), dict[str, History]()
    unknown = [name for name in asked.score if name.casefold() not in known]
    if unknown:
        raise PlantError(
            f"{asked.data}: no factory {', '.join(unknown)}; there are "
            + ", ".join(plant.name for plant in plants)
        )
    picked = {known[name.casefold()].name for name in asked.score}
    scored = tuple(p for p in plants if p.name in picked) or tuple(plants)

    def history(plant: Plant) -> History:
        if plant.name not in counted:
            counted[plant.name] = count_history(plant, keep_log(plant, asked.quality))
        return counted[plant.name]

    return Job(
        asked.data, tuple(plants), scored, asked.quality, Tuning(),
        _sayer(quiet), time.perf_counter, history, {},
    )  # fmt: skip


def _table_job(asked: Asked) -> Job:
    def history(plant: Plant) -> History:
        raise PlantError(f"{plant.name}: a table of rows is no plant")

    return Job(
        asked.data, (), (), asked.quality, Tuning(),
        _sayer(False), time.perf_counter, history, read_columns(asked.data),
    )  # fmt: skip


def _sayer(quiet: bool) -> Any:
    begun = time.perf_counter()

    def say(text: str) -> None:
        if not quiet:
            typer.echo(f"{time.perf_counter() - begun:6.1f} s  {text}", err=True)

    return say
