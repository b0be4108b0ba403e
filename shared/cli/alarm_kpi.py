"""`andon alarms kpi`: the figures of an alarm journal in a file, as the brain counts its own.

Called by the command line; reading is in `alarm/kpi/csv_journal.py`, counting in `alarm/kpi`.
"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from shared.alarm.kpi import Figures, KpiLimits, Period, document, figures, report
from shared.alarm.kpi.csv_journal import Journal, read_journal, time_ns
from shared.alarm.kpi.limits import DEFAULT
from shared.errors import ConfigError
from shared.site.kpi import KpiFile
from shared.site.reader import Reader, SiteFaults

DAY_MS = 86_400_000
BIG = 20_000_000
"""Files of more bytes show how far the reading is."""


def kpi(
    file: Annotated[Path, typer.Argument(help="报警日志 / alarm journal (CSV, also .gz)")],
    horizon: Annotated[
        float | None, typer.Option(help="时长（秒）/ length of the period in seconds")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="起点 / where the period starts (ISO time, UTC)")
    ] = None,
    limits: Annotated[
        Path | None, typer.Option(help="阈值文件 / thresholds, as in a site's kpi.yaml")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="全部三部分 / all of it, in its three parts")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """报警指标：频率、洪泛、抖动、瞬时、陈旧、常驻 / rates, floods, chattering, fleeting, stale."""
    try:
        chosen = _limits(limits)
        journal = _read(file, chosen)
        period = _period(journal, start, horizon)
    except ConfigError as error:
        _refuse(error, as_json)
    found = figures(journal.records(), period, chosen, journal.in_order)
    if as_json:
        typer.echo(json.dumps(report(found) if full else document(found), ensure_ascii=False))
    else:
        _show(found, full)


def _refuse(error: ConfigError, as_json: bool) -> NoReturn:
    faults = error.faults if isinstance(error, SiteFaults) else [error]
    if as_json:
        told = [{"where": f.where, "message": f.message, "mend": f.mend} for f in faults]
        typer.echo(json.dumps({"holds": False, "faults": told}, ensure_ascii=False))
    else:
        for fault in faults:
            typer.echo(f"andon alarms kpi: {fault}", err=True)
    raise typer.Exit(2) from None


def _limits(path: Path | None) -> KpiLimits:
    if path is None:
        return DEFAULT
    reader = Reader(path.parent)
    parsed = reader.file(path, KpiFile)
    if parsed is None:
        raise SiteFaults(reader.faults)
    return parsed.limits()


def _read(file: Path, limits: KpiLimits) -> Journal:
    size = file.stat().st_size if file.is_file() else 0
    big = size > BIG and sys.stderr.isatty()
    shown = Progress(console=Console(stderr=True)) if big else nullcontext()
    with shown as bar:
        if bar is None:
            return read_journal(file, limits)
        task = bar.add_task(file.name, total=size)
        return read_journal(file, limits, lambda done: bar.update(task, completed=done))


def _period(journal: Journal, start: str | None, horizon: float | None) -> Period:
    """From the start of the first day, to the end of the last interval, if nothing else is said."""
    if start is None:
        begin = min(journal.times, default=0) // DAY_MS * DAY_MS
    else:
        try:
            begin = journal.limits.rounded(time_ns(start))
        except ValueError:
            raise ConfigError(
                f"--start {start!r} is no time", where="--start",
                mend="write it as 2024-05-01T00:00:00",
            ) from None  # fmt: skip
    if horizon is None:
        width = journal.limits.window_ms
        last = max(journal.times, default=begin - 1)
        length = max(0, (last - begin) // width + 1) * width
    elif 0 < horizon < 1e10:
        length = round(horizon * 1000)
    else:
        raise ConfigError(
            f"--horizon {horizon:g} is no length", where="--horizon",
            mend="give seconds, more than 0",
        )  # fmt: skip
    return Period(begin, begin + length)


NAMES = {
    "annunciations": "报警次数 / annunciations",
    "avg_per_10min": "平均每 10 分钟 / mean per 10 min",
    "max_bin": "最坏 10 分钟 / worst 10 min", "peak_sliding": "滑动峰值 / sliding peak",
    "bins": "时段数 / intervals", "bins_over10": "超 10 次的时段 / intervals over 10",
    "pct_bins_over10": "…占比 / share %", "floods": "洪泛 / floods",
    "pct_time_flood": "洪泛时间 / time in flood %", "standing_at_end": "常驻 / standing at the end",
    "unanswered": "未确认 / not acknowledged", "distinct": "不同报警 / distinct alarms",
    "chattering": "抖动 / chattering", "fleeting": "瞬时 / fleeting", "stale": "陈旧 / stale",
    "dup_on": "重复触发 / raised twice", "orphan_off": "无触发的恢复 / return without raise",
    "top10_pct": "前十占比 / top ten %", "re_alarms": "重报 / re-alarms",
    "suppressed_occurrences": "被抑制 / suppressed occurrences", "shelved": "搁置 / shelved",
    "suppressed": "抑制 / suppressed", "out_of_service": "停用 / out of service",
    "disabled": "禁用 / disabled", "reconfigured": "改设 / settings changed",
}  # fmt: skip
PARTS = {
    "performance": "绩效 / performance",
    "diagnostic": "诊断 / diagnostic",
    "audit": "审计 / audit",
}


def _show(found: Figures, full: bool) -> None:
    told: dict[str, Any] = report(found)
    table = Table(box=None, show_header=False)
    for part, title in PARTS.items():
        if part == "audit" and not full:
            continue
        table.add_row(f"[bold]{title}[/bold]", "")
        for key, value in told[part].items():
            if not isinstance(value, (dict, list)):
                table.add_row(f"  {NAMES.get(key, key)}", str(value))
    prio = "  ".join(f"{name}: {count}" for name, count in told["diagnostic"]["prio"].items())
    table.add_row("优先级 / priorities", prio or "—")
    for each in told["diagnostic"]["top"][: None if full else 3]:
        table.add_row("  " + each["alarm"], f"{each['count']} ({each['pct']} %)")
    if full:
        for priority, answer in told["performance"]["answers"].items():
            table.add_row(
                f"响应 / answered, {priority}",
                f"{answer['count']}: {answer['median_s']} s (90 %: {answer['p90_s']} s)",
            )
    Console(width=None if sys.stdout.isatty() else 120).print(table)
