"""Checks of the order of steps: what is never reached, and what keeps people or commands waiting.

Called by the linter for each block of steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.playbook.lint_report import Path, Report
from shared.playbook.lint_scopes import compiled
from shared.playbook.model import Arm, Catch, Step
from shared.playbook.worst import HTTP_MS, Worst

Waiting = tuple[str, str]
"""The next ask or command after a place: its id and its verb."""


class Flow:
    """Looks at blocks."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.worst = Worst(report.book, report.books)
        self._seen: set[str] = set()

    def whole(self) -> None:
        """All blocks of the playbook."""
        book = self.report.book
        if book.offline is not None:
            self.block(book.offline.steps, ("offline", "steps"), [])
        self.block(book.steps, ("steps",), [])
        self.handlers(book.catch, ("catch",), [])
        self.block(book.finally_, ("finally",), [])

    def block(self, steps: Sequence[Step], base: Path, after: list[Waiting]) -> None:
        """One block; `after`: the asks and commands that come when it is over."""
        ender, told = "", False
        for index, step in enumerate(steps):
            path = (*base, index)
            if ender:
                self.report.add("unreachable", (*path, "id"), name=step.id, after=ender)
                ender = ""  # of all that is not reached the first is told
            if step.id in self._seen:
                self.report.add("duplicate_id", (*path, "id"), name=step.id)
            self._seen.add(step.id)
            later = [*_waiting(steps[index + 1 :]), *after]
            self._holds_up(step, path, later)
            self._inside(step, path, later)
            if not told and step.when is None and step.verb in ("fail", "stop"):
                ender, told = step.id, True

    def _inside(self, step: Step, path: Path, later: list[Waiting]) -> None:
        if step.switch is not None:
            self._switch(step, step.switch, path)
        if step.parallel is not None:
            wait, branches = step.parallel.wait, len(step.parallel.branches)
            if isinstance(wait, int) and not 1 <= wait <= branches:
                self.report.add("parallel_wait", (*path, "parallel", "wait"), wait=wait,
                                branches=branches)  # fmt: skip
            names: set[str] = set()
            for index, branch in enumerate(step.parallel.branches):
                if branch.id in names:
                    place = (*path, "parallel", "branches", index, "id")
                    self.report.add("duplicate_id", place, name=branch.id)
                names.add(branch.id)
        if step.for_each is not None and step.for_each.together > step.for_each.max:
            self.report.add("for_each_loop_max", (*path, "for_each", "together"),
                            together=step.for_each.together, max=step.for_each.max)  # fmt: skip
        if step.repeat is not None and step.repeat.until is None:
            self.report.add("endless_round", (*path, "repeat"), name=step.id, max=step.repeat.max)
        if step.try_ is not None:
            self.handlers(step.try_.catch, (*path, "try", "catch"), later, known=True)
        for place, _, steps in step.blocks():
            # A failure inside `try`, or of a step that may fail, stops nothing after it.
            self.block(steps, (*path, *place), later)

    def handlers(
        self, handlers: Sequence[Catch], base: Path, later: list[Waiting], *, known: bool = False
    ) -> None:
        """Handlers in their order."""
        every = False
        for index, handler in enumerate(handlers):
            if every:
                self.report.add("unreachable_handler", (*base, index))
            every = every or handler.when == "true"
            if not known:
                self.block(handler.steps, (*base, index, "steps"), later)

    def _switch(self, step: Step, arms: Sequence[Arm], path: Path) -> None:
        seen: dict[str, int] = {}
        ended = ""
        for index, arm in enumerate(arms):
            where = (*path, "switch", index)
            if ended:
                self.report.add("unreachable_arm", where, why=f"{ended} above takes all",
                                why_zh=f"前面的 {ended} 接收所有情况")  # fmt: skip
            elif arm.when is None and not arm.otherwise:
                self.report.add("unreachable_arm", where, why="it has no `when`",
                                why_zh="它既没有 when 也没有 otherwise")  # fmt: skip
            elif arm.when is not None and _plain(arm.when) in seen:
                same = seen[_plain(arm.when)] + 1
                self.report.add("unreachable_arm", where, why=f"arm {same} has the same condition",
                                why_zh=f"第 {same} 个分支条件相同")  # fmt: skip
            if arm.when is not None:
                seen.setdefault(_plain(arm.when), index)
            if arm.otherwise:
                ended = ended or "`otherwise`"
        if not any(arm.otherwise for arm in arms):
            self.report.add("switch_without_otherwise", (*path, "id"), name=step.id)

    def _holds_up(self, step: Step, path: Path, later: list[Waiting]) -> None:
        """Telling and asking other systems must hold up neither people nor commands."""
        slow = step.http is not None or (step.webhook is not None and not step.webhook.detach)
        if slow and later and (ms := self.worst.step(step).ms) > HTTP_MS:
            self.report.add("slow_before_people", (*path, step.verb), name=step.id, verb=step.verb,
                            later=later[0][0], seconds=ms / 1000)  # fmt: skip
        telling = step.notify is not None or step.webhook is not None
        command = next((name for name, verb in later if verb == "command"), "")
        if telling and command and step.on_error == "fail" and not self._detached(step):
            self.report.add("telling_blocks_command", (*path, step.verb), name=step.id,
                            verb=step.verb, later=command)  # fmt: skip

    @staticmethod
    def _detached(step: Step) -> bool:
        return step.webhook is not None and step.webhook.detach


def _plain(condition: str) -> str:
    found = compiled(condition)
    return condition if found is None else "".join(condition.split())


def _waiting(steps: Sequence[Step]) -> list[Waiting]:
    """The asks and commands of some steps and of the blocks in them."""
    found: list[Waiting] = []
    for step in steps:
        if step.verb in ("ask", "command"):
            found.append((step.id, step.verb))
        for _, _, block in step.blocks():
            found += _waiting(block)
    return found
