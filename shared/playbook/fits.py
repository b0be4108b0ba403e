"""Whether a journal belongs to a document: every path must lead to something in it.

Called before a run goes on: an unknown path is a hard stop for a person to see, never guessed.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence

from shared.playbook.fragment import ROOT
from shared.playbook.journal import CANCEL, ERROR, LEAVE, OUTCOME, RESUME, STALLED, Record
from shared.playbook.model import Playbook, Step

WHOLE = frozenset({OUTCOME, ERROR, STALLED, LEAVE, CANCEL})
Books = Mapping[str, Playbook]


_FITTING: dict[int, set[str]] = {}
"""Paths that were found in a document, by its identity: most of a journal is looked at again."""


def stranger(document: Playbook, books: Books, journal: Mapping[str, Record]) -> str | None:
    """The first path that leads to nothing in the document; None if all fit."""
    fitting = _fitting(document)
    for path in journal:
        if path in fitting:
            continue
        if not leads(document, books, path):
            return path
        if "/call/" not in path:  # what is called is another document
            fitting.add(path)
    return None


def _fitting(document: Playbook) -> set[str]:
    key = id(document)
    if key not in _FITTING:
        _FITTING[key] = set()
        weakref.finalize(document, _FITTING.pop, key, None)
    return _FITTING[key]


def leads(document: Playbook, books: Books, path: str) -> bool:
    """Whether a journal path leads to something in a document."""
    if path in WHOLE or path == ROOT or path.startswith(f"{ROOT}/"):
        return True
    root, *parts = path.removeprefix("/").split("/")
    if f"/{root}" == RESUME:
        return bool(parts) and parts[0].isdigit() and _told(parts[1:], "remind")
    return _within(document, books, [root, *parts], "steps")


def _within(book: Playbook, books: Books, parts: Sequence[str], steps: str) -> bool:
    """A place in a whole playbook; its own steps are below `steps`, or directly here."""
    if len(parts) > 2 and parts[0] == "catch" and parts[1].isdigit():
        index = int(parts[1])
        if index < len(book.catch) and _below(book.catch[index].steps, books, parts[2:]):
            return True
    if len(parts) > 1 and parts[0] == "finally" and _below(book.finally_, books, parts[1:]):
        return True
    if steps:
        return parts[0] == steps and _below(book.steps, books, parts[1:])
    return _below(book.steps, books, parts)


def _below(steps: Sequence[Step], books: Books, parts: Sequence[str]) -> bool:
    step = next((one for one in steps if parts and one.id == parts[0]), None)
    if step is None:
        return False
    rest = parts[1:]
    if not rest:
        return True
    if rest[0] == "compensate" and step.compensate is not None:
        return len(rest) == 1 or (rest[1] == "unknown" and _told(rest[2:], "remind"))
    return _inside(step, books, rest)


def _inside(step: Step, books: Books, rest: Sequence[str]) -> bool:
    number = int(rest[0]) if rest[0].isdigit() else None
    if step.command is not None:
        return rest[0] == "unknown" and _told(rest[1:], "remind")
    if step.ask is not None:
        return _told(rest, "remind") or _told(rest, "escalate")
    if step.switch is not None:
        fits = number is not None and number < len(step.switch)
        return fits and _below(step.switch[number or 0].steps, books, rest[1:])
    if step.parallel is not None:
        return any(b.id == rest[0] and _below(b.steps, books, rest[1:])
                   for b in step.parallel.branches)  # fmt: skip
    loop = step.for_each or step.repeat
    if loop is not None:
        return number is not None and number < loop.max and _below(loop.steps, books, rest[1:])
    if step.try_ is not None:
        return _tried(step, books, rest)
    if step.call is not None and rest[0] == "call" and len(rest) > 1:
        book = books.get(step.call.playbook)
        return book is not None and _within(book, books, rest[1:], "")
    return False


def _tried(step: Step, books: Books, rest: Sequence[str]) -> bool:
    assert step.try_ is not None
    if rest[0] == "try":
        return _below(step.try_.steps, books, rest[1:])
    if rest[0] != "catch" or len(rest) < 2 or not rest[1].isdigit():
        return False
    handlers, index = step.try_.catch, int(rest[1])
    return index < len(handlers) and _below(handlers[index].steps, books, rest[2:])


def _told(rest: Sequence[str], word: str) -> bool:
    """Nothing more, or a message about a question: `remind/<n>`, `escalate/<n>`."""
    return not rest or (len(rest) == 2 and rest[0] == word and rest[1].isdigit())
