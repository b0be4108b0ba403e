"""Runs the drills of a file on the running system: real edges, simulated plants, marked as drills.

Called by `andon playbook drill` and by tests. Breaks what the file says, starts the run, answers,
waits, judges. Never drills a site whose devices are real: the edges refuse it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.cli.playbook_drill_faults import Breakage
from shared.cli.playbook_remote import Web, brain, kept_of
from shared.embedded.running import read_up_file
from shared.errors import ConfigError
from shared.playbook.rehearsal.coverage import Covered, covered
from shared.playbook.rehearsal.drills import Drill
from shared.playbook.rehearsal.judge import Judge
from shared.playbook.rehearsal.loader import Tests
from shared.playbook.rehearsal.seen import told_of, unmarked
from shared.playbook.rehearsal.told import Miss, Told, clock
from shared.playbook.rehearsal.wanted import Coverage

POLL_S, SETTLE_S = 0.25, 60.0
LIVE = ("queued", "running", "waiting", "suspended")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Drilled:
    """One drill, judged."""

    name: str
    journal: dict[str, Any]
    told: Told
    misses: list[Miss] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether everything held."""
        return not self.misses


@dataclass(frozen=True, slots=True)
class Drilling:
    """The drills of a file, and what they have reached together."""

    drills: list[Drilled]
    covered: list[Covered]

    @property
    def passed(self) -> bool:
        """Whether every drill held and enough was reached."""
        return all(one.passed for one in self.drills) and all(c.enough for c in self.covered)


@dataclass(frozen=True, slots=True)
class Access:
    """The running system, and who drills."""

    folder: Path
    user: str = "admin"
    password_file: Path | None = None


def drill_all(tests: Tests, access: Access, say: Say, only: str | None = None) -> Drilling:
    """Run a file's drills (whose name holds `only`); raises ConfigError when one cannot be run."""
    plans = list(enumerate(tests.file.all_drills))
    chosen = [(n, plan) for n, plan in plans if only is None or only in plan.name]
    if not chosen:
        names = ", ".join(plan.name for _, plan in plans)
        raise ConfigError(
            "没有这样的演练 / the file has no such drill", where=tests.name,
            mend=f"-k: {names}" if names else "写上 `drills:` / write `drills:`",
        )  # fmt: skip
    up = read_up_file(access.folder)
    if up is None or not up.get("simulators"):
        raise ConfigError(
            "没有带模拟器的系统在运行 / no system with simulators runs", where=str(access.folder),
            mend="先运行 `andon up` / start `andon up`",
        )  # fmt: skip
    found: list[Drilled] = []
    for number, plan in chosen:
        web = brain(plan.site, access.folder, access.user, access.password_file)
        with web, Web(up["simulators"]) as plants:
            found.append(_Run(tests, number, plan, web, plants, up, say).run())
    wanted = tests.file.drill_coverage if only is None else Coverage()
    book = tests.playbook.playbook
    return Drilling(found, covered(book, (one.told for one in found), wanted, False))


class _Run:
    """One drill under way."""

    def __init__(
        self, tests: Tests, number: int, plan: Drill, web: Web, plants: Web,
        up: Mapping[str, Any], say: Say,
    ) -> None:  # fmt: skip
        self.tests, self.plan, self.web, self.say = tests, plan, web, say
        self.place = tests.file.place_of(number)
        self.name = tests.file.playbook
        site = plan.site or next(iter(up["console"]), "")
        self.breakage = Breakage(plan, plants, up, site, say)
        self.answered: set[str] = set()
        self.asked_at: dict[str, float] = {}
        self.began: dict[str, float] = {}

    def run(self) -> Drilled:
        """Run it to its end."""
        plan = self.plan
        try:
            self._prepare()
            body = {"drill": True, "alarm": plan.alarm, "time_scale": plan.time_scale}
            run = self.web.ask("POST", f"/api/playbooks/{self.name}/runs", body)
            if not run.get("drill"):
                raise ConfigError(
                    f"加入了真实流程 / run {run['id']} is no drill: a live run was joined",
                    where=self.name, mend="等它结束 / wait until it has ended",
                )  # fmt: skip
            pace = f" ×{plan.time_scale:g}" if plan.time_scale != 1 else ""
            self.say(f"【演练 DRILL】 {self.name} / {plan.name}{pace}: {run['id']}")
            self._follow(run["id"], time.monotonic())
        finally:
            self.breakage.restore()
        journal = self.web.ask("GET", f"/api/runs/{run['id']}/journal")
        self._label(journal["run"])
        return self._judged(journal)

    def _prepare(self) -> None:
        """Healthy plants, and no run of the playbook that is live."""
        self.breakage.restore()
        until = time.monotonic() + SETTLE_S
        while live := self._live():
            if time.monotonic() > until:
                raise ConfigError(
                    f"仍有流程未结束 / still live: {', '.join(live)}", where=self.name,
                    mend="结束它，或等待 / end it, or wait",
                )  # fmt: skip
            time.sleep(POLL_S)
        time.sleep(self.plan.settle / 1000)
        self.breakage.before()

    def _live(self) -> list[str]:
        runs = self.web.ask("GET", "/api/runs?limit=100")["runs"]
        return [r["id"] for r in runs if r["playbook"] == self.name and r["status"] in LIVE]

    def _follow(self, run: str, start: float) -> None:
        while True:
            passed = (time.monotonic() - start) * 1000
            self.breakage.look(passed, self.began)
            found = self.web.ask("GET", f"/api/runs/{run}")
            if found["status"] not in LIVE:
                return
            for step in found["steps"]:
                self.began.setdefault(step["id"], passed)
            if passed > self.plan.within:
                self.web.ask("POST", f"/api/runs/{run}/cancel", {"reason": "drill"})
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
        run, kept, plan = journal["run"], kept_of(journal), self.plan
        told = told_of(kept, run["ended_at"], run["attached"])

        def where(*at: str | int) -> str:
            return self.tests.where(*self.place, "then", *at)

        misses = Judge(plan.then, told, where).misses() + unmarked(told, where())
        if run["status"] == "cancelled" and plan.then.outcome != "cancelled":
            limit = clock(plan.within)
            misses.append(Miss("within", self.tests.where(*self.place, "within"), {
                "zh": f"在 {limit} 内没有结束", "en": f"it did not end within {limit}",
            }))  # fmt: skip
        return Drilled(plan.name, journal, told, misses)
