"""Checks of `call`: the called playbook is there, takes these inputs, and calls form no ring.

Called by the linter for each `call` step; knows the other playbooks only as documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shared.playbook.lint_report import Path, Report
from shared.playbook.model import Call, Playbook
from shared.playbook.site_inputs import faults_of
from shared.playbook.worst import DEEPEST


class Calls:
    """Checks calls."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.books: Mapping[str, Playbook] = {
            **(report.books or {}), report.book.playbook: report.book
        }  # fmt: skip

    def check(self, spec: Call, path: Path) -> None:
        """One call."""
        where, report = (*path, "call"), self.report
        book = self.books.get(spec.playbook)
        if book is None:
            if report.books is None:
                report.add("call_unchecked", (*where, "playbook"), name=spec.playbook)
            else:
                report.unknown("unknown_playbook", spec.playbook, self.books, (*where, "playbook"))
            return
        ring = next(self._rings(spec.playbook, [report.book.playbook]), None)
        if ring is not None:
            report.add("call_cycle", (*where, "playbook"), ring=" → ".join(ring))
            return
        depth = 1 + self._depth(book)
        if depth > DEEPEST:
            report.add("call_depth", (*where, "playbook"), depth=depth, most=DEEPEST)
        if book.deadline > report.book.deadline:
            report.add("call_beyond_deadline", (*where, "playbook"), playbook=spec.playbook)
        self._inputs(spec, book, where)

    def _inputs(self, spec: Call, book: Playbook, where: Path) -> None:
        report = self.report
        for name, value in spec.inputs.items():
            given = book.inputs.get(name)
            if given is None:
                report.unknown("unknown_input", name, book.inputs, (*where, "inputs", name))
            elif not (isinstance(value, str) and "${" in value) and faults_of(book, {name: value}):
                report.add("call_input_value", (*where, "inputs", name), playbook=book.playbook,
                           name=name, value=value, kind=given.type)  # fmt: skip
        for name, given in book.inputs.items():
            if given.default is None and name not in spec.inputs:
                place = "inputs" if spec.inputs else "playbook"
                report.add("call_missing_input", (*where, place), playbook=book.playbook,
                           name=name)  # fmt: skip

    def _called(self, book: Playbook) -> list[str]:
        return [step.call.playbook for step in book.all_steps() if step.call]

    def _rings(self, name: str, above: list[str]) -> Iterator[list[str]]:
        """Ways back to a playbook above."""
        if name in above:
            yield [*above, name]
            return
        book = self.books.get(name)
        for inner in self._called(book) if book and len(above) <= 8 else ():
            yield from self._rings(inner, [*above, name])

    def _depth(self, book: Playbook) -> int:
        inner = [self.books[name] for name in self._called(book) if name in self.books]
        return max((1 + self._depth(each) for each in inner), default=0)
