"""The nearest name to a misspelt one, when it is near enough to be what was meant. Pure.

Used by the linter and by the faults of a text's form; a wrong hint is worse than none.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

CLOSE = 0.75
"""How alike two names are at least, from 0 to 1, for one to be offered for the other."""
MOST = 8
"""So many names are listed at most where none is near."""
_DIGITS = re.compile(r"\d+")


def nearest(name: str, known: Iterable[str]) -> str:
    """The one that was probably meant; empty when none is near enough.

    Names with other numbers are other things (FUR-01, FUR-02), not misspellings.
    """
    plain, numbers = _plain(name), _DIGITS.findall(name)
    found, best = "", 0.0
    for one in sorted(known):
        theirs = _DIGITS.findall(one)
        if one == name or (numbers and theirs and numbers != theirs):
            continue
        alike = _alike(plain, _plain(one))
        if alike > best:
            found, best = one, alike
    return found if best >= CLOSE else ""


def _plain(name: str) -> str:
    """What a slip of the keyboard leaves the same: cases, hyphens, underscores."""
    return name.casefold().replace("-", "").replace("_", "")


def _alike(one: str, other: str) -> float:
    if not one or not other:
        return 0.0
    if sorted(one) == sorted(other) and len(one) > 2:  # two letters have changed places
        return max(CLOSE, difflib.SequenceMatcher(None, one, other).ratio())
    return difflib.SequenceMatcher(None, one, other).ratio()


def hints(name: str, known: Iterable[str]) -> tuple[str, str]:
    """(English, Chinese): the name that was meant, else those that there are, else what to do."""
    names = sorted(known)
    if close := nearest(name, names):
        return f"did you mean {close!r}?", f"是不是 {close!r}？"
    if 0 < len(names) <= MOST:
        there = ", ".join(names)
        return f"write one of: {there}; or define it", f"写其中之一：{there}；或先定义它"
    return "define it, or correct the name", "先定义它，或改正名称"
