"""What a rehearsal found out, as values: what happened when, and which expectations were missed.

Made by `play.py` and `judge.py`; shown by the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.playbook.journal import Record

What = Literal[
    "event", "run", "step", "notify", "command", "http", "webhook", "emit", "incident", "fault",
    "ask",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened, `at` milliseconds after the beginning."""

    at: int
    what: What
    about: str
    """A step's path, or what the event was."""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Act:
    """An actuation that reached the device."""

    at: int
    path: str
    device: str
    op: str
    args: Mapping[str, Any]


@dataclass(slots=True)
class RunTold:
    """One run as it was in the end."""

    id: str
    started_at: int
    key: str
    status: str = "waiting"
    ended_at: int | None = None
    journal: dict[str, Record] = field(default_factory=dict)
    rows: list[tuple[str, int, str, Mapping[str, Any], int]] = field(default_factory=list)
    """path, attempt, phase, data, at: every row ever written."""
    began: dict[str, int] = field(default_factory=dict)
    """path -> when its first row was written, in that order."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    attached: int = 0


@dataclass(slots=True)
class Told:
    """A whole rehearsal; `at` is since its beginning, runs have absolute times."""

    begin: int
    runs: list[RunTold] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    incident: dict[str, Any] = field(default_factory=dict)
    emitted: list[str] = field(default_factory=list)
    attached: int = 0
    ignored: int = 0
    throttled: int = 0
    unused: list[int] = field(default_factory=list)
    """Events of the test that never came about: answers to what nobody asked."""
    broken: str = ""
    """Why it could not be played to its end."""


@dataclass(frozen=True, slots=True)
class Miss:
    """An expectation that was not met."""

    code: str
    where: str
    """`file:line:column` of the expectation."""
    message: Mapping[str, str]


def clock(ms: int) -> str:
    """Milliseconds as people write them: `4m30s`."""
    if ms < 0:
        return f"-{clock(-ms)}"
    hours, rest = divmod(ms, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    seconds, left = divmod(rest, 1000)
    shown = f"{hours}h" if hours else ""
    shown += f"{minutes}m" if minutes else ""
    if seconds or left or not shown:
        shown += f"{seconds}.{left:03d}".rstrip("0") + "s" if left else f"{seconds}s"
    return shown
