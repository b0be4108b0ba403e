"""`andon alarms replay`: what a setting, a shelf or a suppression would have hidden, over history.

Called by the command line; reads journals or samples, leaves the judging to `alarm/replay.py` and,
for samples, to the very function that runs live. It changes nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from shared.alarm.kpi.csv_journal import read_journal
from shared.alarm.kpi.limits import DEFAULT
from shared.alarm.replay import (
    Compared,
    Journal,
    Trial,
    compare,
    episodes_of,
    standing_ms,
    tried,
    worst_ten_minutes,
)
from shared.cli.alarm_trials import centre_of, hiding, numbers, settings_trial, trial_text
from shared.cli.sample_file import Samples, read_samples
from shared.errors import ConfigError

SUFFIXES = (".csv", ".csv.gz", ".parquet")


def replay(
    files: Annotated[
        list[Path],
        typer.Argument(help="报警日志或采样文件、文件夹 / alarm journals or samples, or a folder"),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="试用设定 / a setting to try: [ALARM:]on=60,off=300 | limit=…"),
    ] = None,
    shelves: Annotated[
        list[str] | None, typer.Option("--shelve", help="试用搁置 / a shelf: ALARM[@FROM/TO]")
    ] = None,
    suppressions: Annotated[
        list[str] | None,
        typer.Option("--suppress", help="试用抑制 / a suppression: 'ALARM while OTHER'"),
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="合为一次试用 / all of them as one trial")
    ] = False,
    now: Annotated[
        str, typer.Option(help="采样：现行设定 / samples: the setting in force, limit=80,on=2")
    ] = "",
    side: Annotated[str, typer.Option(help="采样：HI 或 LO / samples: HI or LO")] = "HI",
    tag: Annotated[str, typer.Option(help="采样：列名 / samples: the column of values")] = "",
    listed: Annotated[
        int, typer.Option("--list", min=0, help="列出多少条消失的报警 / vanished alarms to list")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")] = False,
) -> None:
    """先试后改：设定、搁置或抑制会隐藏哪些报警 / what a setting, shelf or such would hide."""
    try:
        # Samples take whole settings, a journal knows delays only.
        delays = [] if settings and (tag or now) else settings or []
        trials = [] if settings and not delays else _trials(
            delays, shelves or [], suppressions or [], together
        )  # fmt: skip
        found: dict[str, dict[str, Any]] = {}
        for path in _files(files):
            samples = read_samples(path, tag) if tag or now else None
            if samples is not None:
                found[path.name] = _of_samples(samples, now, side, settings or [], listed)
            else:
                found[path.name] = _of_journal(path, trials, listed)
    except ConfigError as error:
        if as_json:
            fault = {"where": error.where, "message": error.message, "mend": error.mend}
            typer.echo(json.dumps({"holds": False, "faults": [fault]}, ensure_ascii=False))
        else:
            typer.echo(f"andon alarms replay: {error}", err=True)
        raise typer.Exit(2) from None
    document = {"holds": True, "files": found, "total": _total(found)}
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        _show(document)


def _trials(
    settings: list[str], shelves: list[str], suppressions: list[str], together: bool
) -> list[tuple[str, Trial]]:
    each = [
        *((text, (settings_trial(text),)) for text in settings),
        *((f"shelve {text}", (hiding(text, shelf=True),)) for text in shelves),
        *((f"suppress {text}", (hiding(text, shelf=False),)) for text in suppressions),
    ]
    if not each:
        raise ConfigError(
            "nothing to try", where="--set",
            mend="give --set on=60, --shelve 'FIR123|H' or --suppress 'FIR123|H while PI7|LL'",
        )  # fmt: skip
    if not together:
        return each
    return [(" + ".join(text for text, _ in each), tuple(p for _, parts in each for p in parts))]


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.iterdir() if p.name.endswith(SUFFIXES)) if path.is_dir(
        ) else [path]  # fmt: skip
        if not inside:
            raise ConfigError(
                "no journal in the folder", where=str(path), mend=f"files are {', '.join(SUFFIXES)}"
            )
        found += inside
    return found


def _of_journal(path: Path, trials: list[tuple[str, Trial]], listed: int) -> dict[str, Any]:
    read = read_journal(path, DEFAULT)
    journal, repeats = episodes_of(read.records())
    end = max(read.times, default=0)
    answers = [_answer(text, journal, tried(journal, parts), end, listed) for text, parts in trials]
    return {
        "kind": "journal", "alarms": sum(map(len, journal.values())), "points": len(journal),
        "repeated_raises": repeats, "worst_10min": worst_ten_minutes(journal),
        "standing_h": _hours(standing_ms(journal, end)), "trials": answers,
    }  # fmt: skip


def _of_samples(
    samples: Samples, now: str, side: str, settings: list[str], listed: int
) -> dict[str, Any]:
    current, centre = numbers(now, None, "--now"), centre_of(now, where="--now")

    def told(text: str) -> Journal:
        # Until a filter knows its window, what runs now counts, on raw samples.
        new, around = numbers(text, current), centre_of(text, centre)
        return {samples.name: samples.episodes(new, side, current.on_raw, around)}

    base = told(now)
    end = samples.times[-1] if len(samples.times) else 0
    answers = [_answer(text, base, told(text), end, listed) for text in settings]
    return {
        "kind": "samples", "samples": len(samples.times), "tag": samples.name,
        "now": trial_text(current), "alarms": sum(map(len, base.values())), "points": 1,
        "worst_10min": worst_ten_minutes(base), "standing_h": _hours(standing_ms(base, end)),
        "trials": answers,
    }  # fmt: skip


def _answer(
    text: str, journal: Journal, told: Journal, end: int, listed: int
) -> dict[str, Any]:  # fmt: skip
    by_alarm = {alarm: compare(mine, told.get(alarm, [])) for alarm, mine in journal.items()}
    before, after = (sum(getattr(c, w) for c in by_alarm.values()) for w in ("before", "after"))
    gone = sorted(
        (began, alarm, ended) for alarm, c in by_alarm.items() for began, ended in c.vanish
    )
    waits = [late.told_at - late.raised_at for c in by_alarm.values() for late in c.later]
    return {
        "trial": text, "before": before, "after": after, "removed": before - after,
        "removed_pct": _pct(before - after, before), "vanish": len(gone),
        "later": len(waits), "mean_later_s": round(sum(waits) / len(waits) / 1000, 1) if waits else
        0.0, "new": sum(len(c.new) for c in by_alarm.values()),
        "worst_10min": worst_ten_minutes(told), "standing_h": _hours(standing_ms(told, end)),
        "by_alarm": {a: [c.before, c.after] for a, c in _worst(by_alarm)},
        "vanished": [
            {"at": at, "alarm": alarm, "lasted_s": None if to is None else (to - at) / 1000}
            for at, alarm, to in gone[:listed]
        ],
    }  # fmt: skip


def _worst(by_alarm: dict[str, Compared]) -> list[tuple[str, Compared]]:
    return sorted(by_alarm.items(), key=lambda item: (-item[1].before, item[0]))


def _total(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    trials: dict[str, list[int]] = {}
    for each in found.values():
        for answer in each["trials"]:
            sums = trials.setdefault(answer["trial"], [0, 0])
            sums[0] += answer["before"]
            sums[1] += answer["after"]
    return {
        "alarms": sum(each["alarms"] for each in found.values()),
        "trials": [
            {"trial": text, "before": before, "after": after, "removed": before - after,
             "removed_pct": _pct(before - after, before)}
            for text, (before, after) in trials.items()
        ],
    }  # fmt: skip


def _pct(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


def _hours(ms: int) -> float:
    return round(ms / 3_600_000, 3)


def _show(document: dict[str, Any]) -> None:
    table = Table(box=None)
    columns = (
        "文件 / file", "试用 / trial", "原有 / now", "试后 / then", "去除 / removed", "%",
        "更晚 / later", "新增 / new", "最坏10分钟 / worst 10 min",
    )  # fmt: skip
    for place, title in enumerate(columns):
        table.add_column(title, justify="left" if place < 2 else "right")
    for name, each in document["files"].items():
        for answer in each["trials"]:
            table.add_row(
                name, answer["trial"], *(str(answer[k]) for k in ("before", "after", "removed")),
                f"{answer['removed_pct']:.1f}", str(answer["later"]), str(answer["new"]),
                f"{each['worst_10min']} → {answer['worst_10min']}",
            )  # fmt: skip
    if len(document["files"]) > 1:
        for answer in document["total"]["trials"]:
            table.add_row(
                "[bold]合计 / total[/bold]", answer["trial"],
                *(str(answer[k]) for k in ("before", "after", "removed")),
                f"{answer['removed_pct']:.1f}", "", "", "",
            )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 140).print(table)
