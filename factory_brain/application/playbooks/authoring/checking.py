"""A playbook's text as an author sees it: what is wrong at which line, and what it can do at worst.

Called for drafts and before any release; reads nothing but the text and the site.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from factory_brain.application.playbooks.releases import Releases
from shared.errors import ConfigError
from shared.playbook.loader import Fault, Loaded, PlaybookFaults, load_text

MOST = 200
"""Findings that are shown."""
MOST_STEPS = 1_000
"""Steps of a playbook that is written here: what a text can do is looked at step against step."""
_VERSION = re.compile(r"^version:[ \t]*\d{1,9}(?=[ \t]*(?:#|$))", re.MULTILINE)
_PLACE = re.compile(r":(\d+):(\d+)$")


@dataclass(frozen=True, slots=True)
class Found:
    """One finding with its place in the text."""

    code: str
    severity: str
    line: int
    column: int
    message: dict[str, str]
    mend: dict[str, str]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a text is worth."""

    text: str
    loaded: Loaded | None = None
    findings: list[Found] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """How many findings forbid a release."""
        return sum(each.severity == "error" for each in self.findings)


def _found(code: str, severity: str, where: str, message: Any, mend: Any) -> Found:
    place = _PLACE.search(where)
    line, column = (int(place[1]), int(place[2])) if place else (1, 1)
    return Found(code, severity, line, column, dict(message), dict(mend))


def _of_fault(error: ConfigError) -> Found:
    if isinstance(error, Fault):
        return _found(error.code, "error", error.where, error.words, error.mends)
    words = {"zh": error.message, "en": error.message}
    mend = {"zh": error.mend, "en": error.mend}
    return _found("unreadable", "error", error.where, words, mend)


@lru_cache(maxsize=32)
def _read(text: str, name: str) -> Loaded | tuple[Found, ...]:
    """A text as it is, which is looked at again and again; or what keeps it from being read."""
    try:
        loaded = load_text(text, name)
    except PlaybookFaults as error:
        return tuple(_of_fault(fault) for fault in error.faults[:MOST])
    except ConfigError as error:
        return (_of_fault(error),)
    steps = sum(1 for _ in loaded.playbook.all_steps())
    if steps <= MOST_STEPS:
        return loaded
    return (_found(
        "too_many_steps", "error", loaded.where("steps"),
        {"zh": f"有 {steps} 个步骤，最多 {MOST_STEPS} 个",
         "en": f"{steps} steps; at most {MOST_STEPS}"},
        {"zh": "拆成几个预案，用 call 相连",
         "en": "split it into playbooks that `call` each other"},
    ),)  # fmt: skip


def _check(releases: Releases, text: str, name: str) -> Checked:
    loaded = _read(text, name)
    if not isinstance(loaded, Loaded):
        return Checked(text, None, list(loaded))
    found = [
        _found(f.code, f.severity, f.where, f.message, f.mend)
        for f in releases.findings(loaded)[:MOST]
    ]
    found += [
        _found(
            "site_input", "error", loaded.where("inputs", name), {"zh": why, "en": why},
            {"zh": "改正工厂绑定里的值", "en": "correct the value in the site's bindings"},
        )
        for name, why in releases.unfit(loaded.playbook)
    ]  # fmt: skip
    return Checked(text, loaded, sorted(found, key=lambda f: (f.line, f.column)))


async def check(releases: Releases, text: str, name: str = "playbook.yaml") -> Checked:
    """Read and lint a text; off the loop, for a long one takes its time."""
    return await asyncio.to_thread(_check, releases, text, name)


def with_version(text: str, version: int) -> str:
    """The same text under another version; raises ValueError if it says none in a line of its own.

    A comment behind the number stays.
    """
    changed, n = _VERSION.subn(f"version: {version}", text, count=1)
    if not n:
        raise ValueError("no line `version: N`")
    return changed
