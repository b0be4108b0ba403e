"""`andon playbook test`: a playbook's tests on a virtual clock, with coverage. Opens no socket.

Registered by `shared/cli/playbook.py`; the rehearsal itself is `shared/playbook/rehearsal`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli import playbook_drill, playbook_follow
from shared.cli.playbook_output import show
from shared.errors import ConfigError
from shared.paths import playbook_library
from shared.playbook.faults import Fault, PlaybookFaults, documented
from shared.playbook.rehearsal.coverage import NAMES, Covered
from shared.playbook.rehearsal.loader import Tests, load_tests, schema
from shared.playbook.rehearsal.report import Played, play_all
from shared.playbook.rehearsal.told import Happened, Told, clock
from shared.playbook.template import Template, load_template
from shared.site.loader import Site, load_site

AsJson = Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")]


@dataclass(frozen=True, slots=True)
class Ran:
    """One test file, played."""

    tests: Tests
    played: list[Played]
    covered: list[Covered]

    @property
    def holds(self) -> bool:
        """Whether all tests pass and the coverage is what the file demands."""
        return all(one.passed for one in self.played) and all(c.enough for c in self.covered)


def register(app: typer.Typer) -> None:
    """Add the verbs to `andon playbook`."""
    app.command("test")(play_command)
    app.command("drill")(playbook_drill.drill_command)
    app.command("trace")(playbook_follow.trace_command)
    app.command("replay")(playbook_follow.replay_command)


def play_command(
    files: Annotated[list[Path], typer.Argument(help="测试文件 / test files (*.test.yaml)")],
    site: Annotated[Path | None, typer.Option(help="工厂目录 / site: devices and inputs")] = None,
    as_json: AsJson = False,
    only: Annotated[str | None, typer.Option("-k", help="只跑名称含此字样的 / by name")] = None,
    trace: Annotated[bool, typer.Option(help="显示经过 / show what happened")] = False,
) -> None:
    """虚拟时钟上测试预案 / play a playbook's tests; exit 1 if one fails or coverage is short."""
    ran: list[Ran] = []
    faults: list[ConfigError] = []
    plant: Site | Template | None = None
    try:
        plant = None if site is None else plant_of(site)
    except ConfigError as error:
        _fail([error], as_json, 2)
    for file in files:
        try:
            ran.append(run_file(file, plant, only))
        except PlaybookFaults as error:
            faults += error.faults
        except ConfigError as error:
            faults.append(error)
    if faults:
        _fail(faults, as_json, 1)
    if only is not None and not any(one.played for one in ran):
        names = ", ".join(case.name for one in ran for case in one.tests.file.tests)
        said = (f"没有名称含 {only!r} 的测试", f"no test is called {only!r}")
        mend = (f"有：{names}", f"there are: {names}")
        _fail([Fault("unknown_name", "-k", said, mend)], as_json, 2)
    if as_json:
        typer.echo(json.dumps(_report(ran), ensure_ascii=False))
    else:
        for one in ran:
            _show(one, trace, whole=only is None)
    if not all(one.holds for one in ran):
        raise typer.Exit(1)


def plant_of(site: Path) -> Site | Template:
    """A site's folder, or the library's template of one; raises ConfigError."""
    return load_template(site) if site.is_file() else load_site(site)


def run_file(file: Path, plant: Site | Template | None = None, only: str | None = None) -> Ran:
    """Play one test file; raises ConfigError. With `only`, no coverage is demanded.

    Without a plant it is the binding that the file names, or the template beside it.
    """
    tests = load_tests(file, playbook_library(), plant)
    played, found = play_all(tests, tests.plant, only)
    return Ran(tests, played, found)


def schema_text_of_tests() -> str:
    """The text of `playbooks/playbook-test.schema.json`."""
    return json.dumps(schema(), ensure_ascii=False, indent=1) + "\n"


def _fail(faults: list[ConfigError], as_json: bool, code: int) -> None:
    shown = [documented(fault) for fault in faults]
    if as_json:
        typer.echo(json.dumps({"holds": False, "faults": shown}, ensure_ascii=False))
    else:
        for fault in shown:
            show(fault)
        typer.echo(f"{len(faults)} 处错误 / faults")
    raise typer.Exit(code)


def _show(ran: Ran, trace: bool, whole: bool) -> None:
    book = ran.tests.playbook.playbook
    typer.echo(f"{ran.tests.name}  {book.playbook} v{book.version}")
    for one in ran.played:
        verdict = "通过 ok  " if one.passed else "失败 FAIL"
        typer.echo(f"  {verdict} {one.case.name}  ({summary(one.told)})")
        for miss in one.misses:
            typer.echo(f"    {miss.where}: {miss.code}: {miss.message['zh']}")
            typer.echo(f"      {miss.message['en']}")
        if trace:
            for line in lines(one.told):
                typer.echo(f"      {line}")
    for one in ran.covered if whole else ():
        name = NAMES[one.kind]
        mark = "" if one.enough else f"  < {one.wanted:g} %"
        typer.echo(
            f"  {name['zh']} / {name['en']}: {one.reached}/{one.of} = {one.percent:g} %{mark}"
        )
        for item in one.missing:
            where = ran.tests.playbook.where(*item.at)
            typer.echo(f"    {where}: 未覆盖 / not reached: {item.name}")


def summary(told: Told) -> str:
    """A rehearsal in a few words."""
    if not told.runs:
        return "没有启动 / no run"
    last = told.runs[-1]
    ended = "" if last.ended_at is None else f" {clock(last.ended_at - told.begin)}"
    number = f" x{len(told.runs)}" if len(told.runs) > 1 else ""
    return f"{last.status}{ended}{number}"


def lines(told: Told) -> list[str]:
    """What happened, one line for each thing."""
    return [f"{clock(one.at):>10}  {one.what:9} {one.about} {_said(one)}".rstrip()
            for one in told.happened]  # fmt: skip


def _said(one: Happened) -> str:
    detail: Mapping[str, Any] = one.detail
    if one.what == "step":
        more = detail["data"].get("kind") or detail["data"].get("reason") or ""
        return f"{detail['phase']} {more}"
    if one.what == "notify":
        return f"{'+'.join(detail['to'])} [{detail['channel']}] {detail['message']['zh']}"
    if one.what == "command":
        return f"{detail['device']}.{detail['op']} {detail['args']}"
    if one.what == "event" and "said" in detail:
        return str(detail["said"].model_dump(exclude_defaults=True, by_alias=True))
    return " ".join(f"{k}={v}" for k, v in detail.items())


def _report(ran: list[Ran]) -> dict[str, Any]:
    return {
        "holds": all(one.holds for one in ran),
        "files": [
            {
                "file": one.tests.name, "playbook": one.tests.playbook.playbook.playbook,
                "digest": one.tests.playbook.digest, "holds": one.holds,
                "tests": [_case(played) for played in one.played],
                "coverage": {c.kind: _covered(one.tests, c) for c in one.covered},
            }
            for one in ran
        ],
    }  # fmt: skip


def _case(played: Played) -> dict[str, Any]:
    told = played.told
    return {
        "name": played.case.name, "passed": played.passed,
        "misses": [
            {"code": m.code, "where": m.where, "message": dict(m.message)} for m in played.misses
        ],
        "runs": [
            {"status": run.status, "started_ms": run.started_at - told.begin,
             "ended_ms": None if run.ended_at is None else run.ended_at - told.begin,
             "metrics": dict(run.metrics)}
            for run in told.runs
        ],
        "trace": [
            {"at_ms": h.at, "what": h.what, "about": h.about,
             "detail": json.loads(json.dumps(dict(h.detail), default=_plain))}
            for h in told.happened
        ],
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_defaults=True, by_alias=True)
    return str(value)


def _covered(tests: Tests, one: Covered) -> dict[str, Any]:
    return {
        "reached": one.reached, "of": one.of, "percent": one.percent, "wanted": one.wanted,
        "missing": [{"name": i.name, "where": tests.playbook.where(*i.at)} for i in one.missing],
    }  # fmt: skip
