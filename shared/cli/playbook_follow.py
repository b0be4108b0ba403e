"""`andon playbook trace` and `replay`: what a run did, and whether it would go the same way again.

Registered by `shared/cli/playbook_rehearse.py`; reads one run from a factory or from a saved file.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from shared.cli.playbook_remote import brain, kept_of
from shared.errors import ConfigError
from shared.playbook.loader import load_playbook
from shared.playbook.rehearsal.replay import inside, replay
from shared.playbook.rehearsal.told import clock

RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="流程编号或存下的 trace / id, or a saved trace (JSON)")
]
Factory = Annotated[
    str, typer.Option("--factory", help="工厂 URL 或运行中系统的站点 / URL, or a running site")
]
State = Annotated[Path | None, typer.Option(help="数据目录 / state folder")]
User = Annotated[str, typer.Option(help="用户 / who logs in")]
PasswordFile = Annotated[Path | None, typer.Option(help="密码文件 / password file")]
AsJson = Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")]
_INPUTS = ("to", "channel", "message", "device", "op", "args", "require", "endpoint", "method",
           "path", "body", "type", "data", "question", "until", "items", "why")  # fmt: skip


def trace_command(
    run: RunId, factory: Factory = "", state: State = None, user: User = "admin",
    password_file: PasswordFile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """一次流程的经过：路径、输入、输出、每步用时 / a run: paths, inputs, outputs, time per step."""
    journal = _journal(run, factory, state, user, password_file)
    if as_json:
        typer.echo(json.dumps(journal, ensure_ascii=False))
        return
    about = journal["run"]
    drill = "  【演练 DRILL】" if about["drill"] else ""
    drill += "" if about.get("time_scale", 1) == 1 else f" ×{about['time_scale']:g}"
    name = f"{about['playbook']} v{about['version']}"
    typer.echo(f"{name}  {about['id']}  {about['status']}{drill}")
    zone = ZoneInfo("UTC")
    began = datetime.fromtimestamp(about["started_at"] / 1000, zone)
    typer.echo(f"  {began:%Y-%m-%d %H:%M:%S} UTC  alarm: {about['alarm'] or '-'}")
    for line in tree(journal):
        typer.echo(line)


def replay_command(
    run: RunId,
    new: Annotated[Path | None, typer.Option("--with", help="另一版本 / another version")] = None,
    factory: Factory = "", state: State = None, user: User = "admin",
    password_file: PasswordFile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """重走一次流程 / walk a run's journal again; exit 1 where another version goes another way."""
    kept = kept_of(_journal(run, factory, state, user, password_file))
    found = replay(kept, None if new is None else load_playbook(new).playbook)
    parted = found.difference
    if as_json:
        typer.echo(json.dumps({
            "same": parted is None, "rows": found.rows, "of": len(kept.rows),
            "by_plant": found.open_to_plant,
            "difference": None if parted is None else {
                "row": parted.row, "at": parted.at, "path": parted.path,
                "message": dict(parted.message),
            },
        }, ensure_ascii=False))  # fmt: skip
    else:
        typer.echo(f"{found.rows}/{len(kept.rows)} 行相同 / rows the same")
        if found.open_to_plant:
            shown = ", ".join(found.open_to_plant)
            typer.echo(f"  由现场数值决定，按原样 / decided by the plant, taken as it was: {shown}")
        if parted is not None:
            typer.echo(f"  {clock(parted.at - kept.started_at)} {parted.path}")
            typer.echo(f"    {parted.message['zh']}\n    {parted.message['en']}")
    raise typer.Exit(0 if parted is None else 1)


def _journal(
    run: str, factory: str, state: Path | None, user: str, password_file: Path | None
) -> dict[str, Any]:
    file = Path(run)
    if file.suffix == ".json":
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"无法读取 / cannot be read: {error}", where=run,
                mend="给出 trace --json 存下的文件 / give a file saved by `trace --json`",
            ) from None  # fmt: skip
    with brain(factory, state, user, password_file) as web:
        return web.ask("GET", f"/api/runs/{run}/journal")


def tree(journal: dict[str, Any]) -> list[str]:
    """A line for each step, with its inputs and outputs below."""
    begin = journal["run"]["started_at"]
    rows = [(r["path"], r["attempt"], r["phase"], r["data"], r["at"]) for r in journal["rows"]]
    found: list[str] = []
    for path in inside(rows):
        mine = [row for row in rows if row[0] == path]
        first, last = mine[0], mine[-1]
        indent = "  " * max(path.count("/") - 1, 1)
        phases = " → ".join(dict.fromkeys(row[2] for row in mine))
        took = clock(last[4] - first[4])
        tries = f" ×{last[1]}" if last[2] != "intent" and last[1] > 1 else ""
        found.append(f"{clock(first[4] - begin):>9} {indent}{path}  {phases}  [{took}]{tries}")
        given = {k: v for k, v in first[3].items() if k in _INPUTS}
        out = {k: v for k, v in last[3].items() if k not in given and v not in (None, "", {}, [])}
        for word, data in (("←", given), ("→", out)):
            if data:
                shown = json.dumps(data, ensure_ascii=False)
                found.append(f"{'':>9} {indent}  {word} {shown[:400]}")
    return found
