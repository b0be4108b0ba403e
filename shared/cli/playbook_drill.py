"""`andon playbook drill`: a plan on the running system, with real edges and simulated plants.

Injects the faults that a test file's `drill:` names, starts the run marked as a drill, answers if
the file says so, waits, judges. Never drills a site whose devices are real: the edges refuse it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli.playbook_follow import AsJson, PasswordFile, State, User, tree
from shared.cli.playbook_remote import Web, brain, kept_of
from shared.embedded.running import read_up_file
from shared.errors import ConfigError
from shared.paths import default_state_dir, playbook_library
from shared.playbook.rehearsal.coverage import NAMES, Covered, covered
from shared.playbook.rehearsal.document import Drill
from shared.playbook.rehearsal.judge import Judge
from shared.playbook.rehearsal.loader import SUFFIX, Tests, load_tests
from shared.playbook.rehearsal.seen import told_of, unmarked
from shared.playbook.rehearsal.told import Miss, clock
from shared.playbook.rehearsal.wanted import Coverage

POLL_S, SETTLE_S = 0.25, 60.0
LIVE = ("queued", "running", "waiting", "suspended")


@dataclass(slots=True)
class Drilled:
    """One drill, judged."""

    journal: dict[str, Any]
    misses: list[Miss] = field(default_factory=list)
    covered: list[Covered] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether everything held."""
        return not self.misses


def drill_command(
    playbook: Annotated[
        str, typer.Argument(help="剧本、测试文件或库中名称 / playbook, test file or name")
    ],
    scenario: Annotated[
        Path | None, typer.Option(help="另一份含 drill 的测试文件 / another file with a drill")
    ] = None,
    state: State = None, user: User = "admin", password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """在模拟器上演练 / drill on the simulators; exit 0: all held, 1: not all, 2: impossible."""
    folder = state or default_state_dir()
    try:
        tests = load_tests(scenario or file_of(playbook), playbook_library())
        result = drill(tests, folder, user, password_file, lambda text: typer.echo(text, err=True))
    except ConfigError as error:
        if as_json:
            typer.echo(json.dumps({"passed": False, "error": str(error)}, ensure_ascii=False))
        else:
            typer.echo(f"andon playbook drill: 无法演练 / cannot be run: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(json.dumps(_report(result, tests), ensure_ascii=False)) if as_json else _show(result)
    raise typer.Exit(0 if result.passed else 1)


def file_of(name: str) -> Path:
    """The test file that is meant: itself, beside the playbook, or in the library."""
    path = Path(name)
    if path.name.endswith(SUFFIX):
        return path
    if path.suffix == ".yaml":
        return path.with_name(path.stem + SUFFIX)
    found = sorted(playbook_library().glob(f"**/{name}{SUFFIX}"))
    if not found:
        raise ConfigError("no such playbook", where=name, mend="give its file, or --scenario")
    return found[0]


def drill(tests: Tests, folder: Path, user: str, password_file: Path | None, say: Any) -> Drilled:
    """Run a file's drill; raises ConfigError when it cannot be run."""
    plan, up = tests.file.drill, read_up_file(folder)
    if plan is None:
        raise ConfigError("the file has no `drill:`", where=tests.name, mend="write one")
    if up is None or not up.get("simulators"):
        raise ConfigError(
            "no system with simulators runs", where=str(folder), mend="start `andon up`"
        )
    with brain(plan.site, folder, user, password_file) as web, Web(up["simulators"]) as plants:
        return _Drill(tests, plan, web, plants, say).run()


class _Drill:
    def __init__(self, tests: Tests, plan: Drill, web: Web, plants: Web, say: Any) -> None:
        self.tests, self.plan, self.web, self.plants, self.say = tests, plan, web, plants, say
        self.name = tests.file.playbook
        self.answered: set[str] = set()
        self.asked_at: dict[str, float] = {}

    def run(self) -> Drilled:
        self._prepare()
        try:
            body = {"drill": True, "alarm": self.plan.alarm}
            began = time.monotonic()
            run = self.web.ask("POST", f"/api/playbooks/{self.name}/runs", body)
            if not run.get("drill"):
                raise ConfigError(f"run {run['id']} is no drill: a live run was joined",
                                  where=self.name, mend="wait until it has ended")  # fmt: skip
            self.say(f"【演练 DRILL】 {self.name}: {run['id']}")
            self._follow(run["id"], began)
        finally:
            self._restore()
        journal = self.web.ask("GET", f"/api/runs/{run['id']}/journal")
        self._label(journal["run"])
        return self._judged(journal)

    def _prepare(self) -> None:
        """Healthy plants, and no run of the playbook that is live."""
        self._restore()
        until = time.monotonic() + SETTLE_S
        while live := self._live():
            if time.monotonic() > until:
                raise ConfigError(f"still live: {', '.join(live)}", where=self.name,
                                  mend="end it, or wait")  # fmt: skip
            time.sleep(POLL_S)
        time.sleep(self.plan.settle / 1000)
        self.plants.ask("POST", "/speed", {"factor": self.plan.speed})

    def _live(self) -> list[str]:
        runs = self.web.ask("GET", "/api/runs?limit=100")["runs"]
        return [r["id"] for r in runs if r["playbook"] == self.name and r["status"] in LIVE]

    def _restore(self) -> None:
        self.plants.ask("POST", "/speed", {"factor": 1.0})
        for plant in sorted({*self.plan.reset, *(f.plant for f in self.plan.faults)}):
            self.plants.ask("POST", "/reset", {"plant": plant})

    def _follow(self, run: str, began: float) -> None:
        faults = sorted(self.plan.faults, key=lambda fault: fault.at)
        while True:
            passed = (time.monotonic() - began) * 1000
            while faults and faults[0].at <= passed:
                one = faults.pop(0)
                body = {"plant": one.plant, "fault": one.fault, "on": one.on, "args": one.args}
                self.plants.ask("POST", "/faults", body)
                self.say(f"{clock(round(passed)):>9} {one.plant} {one.fault} {one.on}")
            found = self.web.ask("GET", f"/api/runs/{run}")
            if found["status"] not in LIVE:
                return
            if passed > self.plan.within:
                why = {"reason": "drill"}
                self.web.ask("POST", f"/api/runs/{run}/cancel", why)
                return
            self._answer(run, found["asks"])
            time.sleep(POLL_S)

    def _answer(self, run: str, asks: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        for ask in asks:
            path = ask.get("path") or ask["step"]
            since = self.asked_at.setdefault(path, now)
            wanted = next((one for one in self.plan.answers if one.on == ask["step"]), None)
            if wanted is None or path in self.answered or (now - since) * 1000 < wanted.after:
                continue
            body = {"path": path, "option": wanted.answer, "comment": "演练 / drill"}
            self.web.ask("POST", f"/api/runs/{run}/answers", body)
            self.answered.add(path)
            self.say(f"          {ask['step']}: {wanted.answer}")

    def _label(self, run: dict[str, Any]) -> None:
        """Nothing is learnt from the alarms that the drill has raised."""
        for joined in run["joined"]:
            body = {"outcome": "drill", "comment": f"drill {run['id']}"}
            self.web.ask("POST", f"/api/occurrences/{joined['occurrence']}/outcome", body)

    def _judged(self, journal: dict[str, Any]) -> Drilled:
        run, kept = journal["run"], kept_of(journal)
        told = told_of(kept, run["ended_at"], run["attached"])

        def where(*at: str | int) -> str:
            return self.tests.where("drill", "then", *at)

        misses = Judge(self.plan.then, told, where).misses() + unmarked(told, where())
        if run["status"] == "cancelled" and self.plan.then.outcome is None:
            misses.append(Miss("within", self.tests.where("drill", "within"), {
                "zh": f"在 {clock(self.plan.within)} 内没有结束", "en": "it did not end in time",
            }))  # fmt: skip
        return Drilled(journal, misses, covered(kept.document, [told], Coverage()))


def _show(result: Drilled) -> None:
    run = result.journal["run"]
    typer.echo(f"【演练 DRILL】 {run['playbook']} v{run['version']}  {run['id']}  {run['status']}")
    for line in tree(result.journal):
        typer.echo(line)
    for one in result.covered:
        name = NAMES[one.kind]
        missing = ", ".join(item.name for item in one.missing)
        typer.echo(f"  {name['zh']} / {name['en']}: {one.percent:g} %  {missing}")
    for miss in result.misses:
        typer.echo(f"  {miss.where}: {miss.code}: {miss.message['zh']}\n    {miss.message['en']}")
    typer.echo("通过 / passed" if result.passed else "未通过 / failed")


def _report(result: Drilled, tests: Tests) -> dict[str, Any]:
    run = result.journal["run"]
    begin = run["started_at"]
    return {
        "passed": result.passed, "drill": True, "file": tests.name, "run": run["id"],
        "playbook": run["playbook"], "status": run["status"],
        "misses": [
            {"code": m.code, "where": m.where, "message": dict(m.message)} for m in result.misses
        ],
        "trace": [
            {"path": s["path"], "verb": s["verb"], "status": s["status"],
             "started_ms": s["started_at"] - begin,
             "took_ms": None if s["ended_at"] is None else s["ended_at"] - s["started_at"],
             "data": s["data"]}
            for s in run["steps"]
        ],
        "coverage": {
            c.kind: {"percent": c.percent, "missing": [i.name for i in c.missing]}
            for c in result.covered
        },
    }  # fmt: skip
