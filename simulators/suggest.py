"""Did-you-mean for names that people type: plants, faults, keys of a YAML file.

Used by the control API and the YAML loader; never raises.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name nearest to `name`, or None when nothing is near."""
    found = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def hint_en(name: str, known: Iterable[str]) -> str:
    """An English sentence: what was perhaps meant, and what exists."""
    names = sorted(known)
    near = closest(name, names)
    return (f"did you mean {near!r}? " if near else "") + f"known: {', '.join(names)}"


def hint_zh(name: str, known: Iterable[str]) -> str:
    """The same sentence in Chinese."""
    names = sorted(known)
    near = closest(name, names)
    return (f"是否想写 {near!r}？" if near else "") + f"可用：{'、'.join(names)}"
