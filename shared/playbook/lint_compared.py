"""Checks of what is compared with a text: an answer, a choice, a phase or a kind that never is.

Called by the linter for each expression; `steps.decide.answer == "vnet"` is always false.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import get_args

from shared.expression import Expression
from shared.expression.tree import Binary, Index, ListOf, Literal, Node, Root, Select, walk
from shared.playbook.journal import Phase
from shared.playbook.kinds import KINDS, is_status
from shared.playbook.lint_report import Path, Report
from shared.playbook.model import Playbook, Step
from shared.playbook.near import nearest

ENDS = frozenset({"success", "failure", "needs_human", "cancelled"})
"""What `run.outcome` may be; empty until the steps are over."""
Compared = tuple[tuple[str, ...], str]
"""What is compared, such as `("steps", "decide", "answer")`, and with which text."""


class Comparisons:
    """Checks comparisons with texts."""

    def __init__(self, report: Report, steps: Mapping[str, Step]) -> None:
        self.report, self.steps = report, steps
        books = [report.book, *(report.books or {}).values()]
        self.kinds = _kinds(books)
        called = {step.call.playbook for step in report.book.all_steps() if step.call}
        self.closed = called <= {book.playbook for book in books}
        """Whether every playbook whose kinds of failure may arrive here is known."""

    def check(self, part: Expression, path: Path) -> None:
        """One expression."""
        for (root, *rest), text in compared(part):
            match root, rest:
                case "steps", [name, "answer"]:
                    step = self.steps.get(name)
                    if step is not None and step.ask is not None:
                        self._one_of("unknown_option", text, step.ask.options, path)
                case "steps", [name, "phase"] if name in self.steps:
                    self._one_of("unknown_phase", text, get_args(Phase), path)
                case ("steps", [_, "kind"]) | ("error", ["kind"]):
                    self._kind(text, path)
                case "inputs", [name]:
                    given = self.report.book.inputs.get(name)
                    if given is not None and given.type == "choice" and given.options:
                        self._one_of("unknown_option", text, given.options, path)
                case "run", ["outcome"] if text:
                    self._one_of("unknown_outcome", text, ENDS, path)
                case _:
                    pass

    def _one_of(self, code: str, text: str, known: Collection[str], path: Path) -> None:
        if text not in known:
            self.report.unknown(code, text, known, path)

    def _kind(self, text: str, path: Path) -> None:
        """A kind is anybody's own word: only what is nearly a known one is a mistake."""
        if text in self.kinds or is_status(text) or not self.closed:
            return
        if nearest(text, self.kinds):
            self.report.unknown("unknown_kind", text, self.kinds, path)


def _kinds(books: Collection[Playbook]) -> frozenset[str]:
    own = {step.fail.kind for book in books for step in book.all_steps() if step.fail}
    return frozenset(KINDS) | own


def compared(part: Expression) -> Iterator[Compared]:
    """Every `path == "text"`, `!=` and `path in ["text", …]` of an expression."""
    for node in walk(part.tree):
        if not isinstance(node, Binary) or node.op not in ("==", "!=", "in"):
            continue
        if node.op == "in":
            path = dotted(node.left)
            items = node.right.items if isinstance(node.right, ListOf) else ()
            texts = [text for item in items if (text := _text(item)) is not None]
        else:
            path, other = dotted(node.left), node.right
            if path is None:
                path, other = dotted(node.right), node.left
            texts = [text for text in (_text(other),) if text is not None]
        if path is not None:
            yield from ((path, text) for text in texts)


def dotted(node: Node) -> tuple[str, ...] | None:
    """`a.b['c']` as its names; None for anything else."""
    if isinstance(node, Root):
        return (node.name,)
    if isinstance(node, Select):
        key: str | None = node.member
    elif isinstance(node, Index):
        key = _text(node.key)
    else:
        return None
    above = dotted(node.operand)
    return None if above is None or key is None else (*above, key)


def _text(node: Node) -> str | None:
    return node.value if isinstance(node, Literal) and isinstance(node.value, str) else None
