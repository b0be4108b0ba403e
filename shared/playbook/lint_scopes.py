"""Which steps an expression can rely on at each place of a playbook: surely run, maybe, not yet.

Used by the linter; it walks the document as the interpreter does and evaluates nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from shared.expression import MAX_CHARS_PLAYBOOK, Expression, ExpressionError, compile_expression
from shared.expression.tree import Has, Index, Literal, Node, Root, Select, walk
from shared.playbook.journal import ROOTS
from shared.playbook.lint_report import Path
from shared.playbook.model import Playbook, Step

ALWAYS = frozenset({"ok", "phase", "met"})
"""What every step has that was come to, run or skipped."""
NONE: frozenset[str] = frozenset()
_STEP = re.compile(r"""\bsteps(?:\.([a-z][a-z0-9_]*)|\[["']([a-z][a-z0-9-]*)["']\])""")


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be referred to."""

    visited: frozenset[str] = NONE
    """Steps that were come to: run, or skipped by their `if`."""
    full: frozenset[str] = NONE
    """Steps that surely have their results."""
    maybe: frozenset[str] = NONE
    """Steps that may have run."""
    guarded: frozenset[str] = NONE
    """Steps whose having run a condition above has made sure of."""
    item: bool = False
    index: bool = False
    error: bool = False

    def guard(self, names: Iterable[str]) -> Scope:
        """Below a condition that speaks of these."""
        return replace(self, guarded=self.guarded | frozenset(names))

    def allow(self, names: Iterable[str]) -> Scope:
        """These may have run."""
        return replace(self, maybe=self.maybe | frozenset(names))


@dataclass(frozen=True, slots=True)
class Place:
    """A step where it stands."""

    step: Step
    path: Path
    before: Scope
    """For its `if`."""
    scope: Scope
    """For all else of it."""
    end: Scope
    """At the end of its own block, for `until` and the like."""
    part: str
    """steps, catch, finally or offline."""


def ids_of(steps: Sequence[Step]) -> Iterator[str]:
    """Every step's id, those inside included."""
    for step in steps:
        yield step.id
        for _, _, block in step.blocks():
            yield from ids_of(block)


@lru_cache(maxsize=2048)
def compiled(text: str) -> Expression | None:
    """The expression, or None when it is none."""
    try:
        return compile_expression(text, roots=ROOTS, max_chars=MAX_CHARS_PLAYBOOK)
    except ExpressionError:
        return None


def spoken_of(text: str | None) -> frozenset[str]:
    """The steps that a condition speaks of: where it is true, they have run."""
    found = compiled(text) if text else None
    if found is None:  # what is wrong with it is told elsewhere, not its consequences
        return frozenset(a or b for a, b in _STEP.findall(text or ""))
    return frozenset(path[1] for path in found.references if path[0] == "steps" and len(path) > 1)


def guards(expression: Expression) -> frozenset[str]:
    """The steps that an expression itself asks about: `has(steps.x.y)`, `steps.x.ok`."""
    found: set[str] = set()
    for node in walk(expression.tree):
        if isinstance(node, Has) or (isinstance(node, Select) and node.member in ALWAYS):
            name = _step(node.operand)
        else:
            continue
        if name:
            found.add(name)
    return frozenset(found)


def _step(node: Node) -> str:
    """The step's id when a node is `steps.x`."""
    if isinstance(node, Select) and isinstance(node.operand, Root) and node.operand.name == "steps":
        return node.member
    if not isinstance(node, Index) or not isinstance(node.key, Literal):
        return ""
    below = isinstance(node.operand, Root) and node.operand.name == "steps"
    return str(node.key.value) if below else ""


def asked_of(text: str | None) -> frozenset[str]:
    """`guards` of a condition's text."""
    found = compiled(text) if text else None
    return spoken_of(text) if found is None else guards(found)


class Scopes:
    """Every step of a playbook with what it can rely on, in the order of the text."""

    def __init__(self, book: Playbook) -> None:
        self.places: list[Place] = []
        self._part = "offline"
        alone = list(ids_of(book.offline.steps)) if book.offline else []
        if book.offline is not None:
            self._block(book.offline.steps, ("offline", "steps"), Scope())
        self._part = "steps"
        # What no edge did is known too: the fragment's own steps are then skipped.
        known = frozenset(step.id for step in book.offline.steps) if book.offline else NONE
        first = Scope(visited=known).allow(alone)
        self.body = self._block(book.steps, ("steps",), first)
        after = first.allow(ids_of(book.steps))
        self.handlers = replace(after, error=True)
        self._part = "catch"
        for index, handler in enumerate(book.catch):
            scope = self.handlers.guard(spoken_of(handler.when))
            self._block(handler.steps, ("catch", index, "steps"), scope)
        caught = [name for handler in book.catch for name in ids_of(handler.steps)]
        self._part = "finally"
        self.after = self._block(book.finally_, ("finally",), self.handlers.allow(caught))

    def _block(self, steps: Sequence[Step], base: Path, scope: Scope) -> Scope:
        for index, step in enumerate(steps):
            scope = self._step(step, (*base, index), scope)
        return scope

    def _step(self, step: Step, path: Path, before: Scope) -> Scope:
        scope = before.guard(spoken_of(step.when) | asked_of(step.when))
        at = len(self.places)
        self.places.append(Place(step, path, before, scope, scope, self._part))
        end, sure = self._inside(step, path, scope)
        self.places[at] = replace(self.places[at], end=end)
        inner = [name for _, _, block in step.blocks() for name in ids_of(block)]
        late = step.on_timeout == "continue"
        certain = step.when is None and step.on_error == "fail" and not late
        new = sure if certain else Scope()
        return replace(
            before, visited=before.visited | {step.id} | new.visited,
            full=before.full | ({step.id} if certain else NONE) | new.full,
            maybe=before.maybe | {step.id, *inner},
        )  # fmt: skip

    def _inside(self, step: Step, path: Path, scope: Scope) -> tuple[Scope, Scope]:
        """(at the end of its block, what is sure to have run in it)."""
        nothing = Scope()
        if step.switch is not None:
            asked: frozenset[str] = NONE
            for index, arm in enumerate(step.switch):
                asked |= asked_of(arm.when)
                inner = scope.guard(asked | spoken_of(arm.when))
                self._block(arm.steps, (*path, "switch", index, "steps"), inner)
            return scope, nothing
        if step.parallel is not None:
            ends = [
                self._block(branch.steps, (*path, "parallel", "branches", index, "steps"), scope)
                for index, branch in enumerate(step.parallel.branches)
            ]
            if step.parallel.wait != "all":
                return scope, nothing
            visited = NONE.union(*(end.visited for end in ends))
            return scope, Scope(visited, NONE.union(*(end.full for end in ends)))
        if step.for_each is not None:
            inner = replace(scope, item=True, index=True)
            self._block(step.for_each.steps, (*path, "for_each", "steps"), inner)
            return scope, nothing
        if step.repeat is not None:
            inner = replace(scope, index=True).allow(ids_of(step.repeat.steps))
            end = self._block(step.repeat.steps, (*path, "repeat", "steps"), inner)
            return end, end
        if step.try_ is not None:
            self._block(step.try_.steps, (*path, "try", "steps"), scope)
            caught = replace(scope.allow(ids_of(step.try_.steps)), error=True)
            for index, handler in enumerate(step.try_.catch):
                inner = caught.guard(spoken_of(handler.when))
                self._block(handler.steps, (*path, "try", "catch", index, "steps"), inner)
            return caught, nothing
        return scope, nothing
