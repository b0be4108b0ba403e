"""How much of a playbook its tests have reached: steps, arms of switches, time-outs, handlers.

Counted over the journals of all tests of a file; a step that was only skipped was not reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from shared.playbook.journal import Record
from shared.playbook.model import Playbook
from shared.playbook.rehearsal.places import Place, places
from shared.playbook.rehearsal.told import RunTold, Told
from shared.playbook.rehearsal.wanted import Coverage

KINDS = ("steps", "switch_arms", "timeouts", "catches")
NAMES = {
    "steps": {"zh": "步骤", "en": "steps"},
    "switch_arms": {"zh": "分支", "en": "switch arms"},
    "timeouts": {"zh": "超时", "en": "time-outs"},
    "catches": {"zh": "异常处理", "en": "catches"},
}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a test can reach."""

    kind: str
    name: str
    """The step's id; of an arm `id/2`, of a handler `catch/0` or `id/catch/0`."""
    at: tuple[str | int, ...]
    """Where it stands in the playbook's text."""


@dataclass(frozen=True, slots=True)
class Covered:
    """What was reached of one kind."""

    kind: str
    reached: int
    of: int
    missing: tuple[Item, ...]
    wanted: float = 0

    @property
    def percent(self) -> float:
        """How much of it; all of nothing is all."""
        return 100.0 if not self.of else round(100 * self.reached / self.of, 1)

    @property
    def enough(self) -> bool:
        """Whether the file's demand is met."""
        return self.percent >= self.wanted


def covered(
    book: Playbook, plays: Iterable[Told], wanted: Coverage, alone: bool = True
) -> list[Covered]:
    """Each kind of thing, how much of it was reached and what was not.

    `alone`: the part that an edge runs by itself counts too.
    """
    reached: set[tuple[str, str]] = set()
    known = [item for item in items(book) if alone or item.at[0] != "offline"]
    for told in plays:
        for run in told.runs:
            reached |= set(_reached(book, run))
    found: list[Covered] = []
    for kind in KINDS:
        every = [item for item in known if item.kind == kind]
        missing = tuple(item for item in every if (kind, item.name) not in reached)
        number = len(every) - len(missing)
        found.append(Covered(kind, number, len(every), missing, getattr(wanted, kind)))
    return found


def items(book: Playbook) -> Iterator[Item]:
    """All that can be reached."""
    for index in range(len(book.catch)):
        yield Item("catches", f"catch/{index}", ("catch", index))
    for place in places(book):
        step = place.step
        yield Item("steps", step.id, place.at)
        for index in range(len(step.switch or ())):
            yield Item("switch_arms", f"{step.id}/{index}", (*place.at, "switch", index))
        if _times_out(place):
            yield Item("timeouts", step.id, place.at)
        for index in range(len(step.try_.catch) if step.try_ else 0):
            yield Item("catches", f"{step.id}/catch/{index}", (*place.at, "try", "catch", index))


def _times_out(place: Place) -> bool:
    """Whether the plan says what comes after a wait in vain.

    The `timeout` of a request is one of its failures like any other: handlers and `on_error` count.
    """
    step = place.step
    if step.ask is not None or step.wait_until is not None:
        return True
    return step.timeout is not None and step.verb not in ("http", "webhook", "command")


def _reached(book: Playbook, run: RunTold) -> Iterator[tuple[str, str]]:
    """(kind, name) of what one run has reached."""
    handler = run.journal.get("/error")
    if handler is not None and handler.data.get("catch") is not None:
        yield "catches", f"catch/{handler.data['catch']}"
    for place in places(book):
        for path, record in run.journal.items():
            if place.meets(path):
                yield from _of_step(place, path, record, run.journal)


def _of_step(
    place: Place, path: str, record: Record, journal: Mapping[str, Record]
) -> Iterator[tuple[str, str]]:
    name = place.step.id
    if record.phase != "skipped" or record.data.get("halted"):
        yield "steps", name
    if "arm" in record.data:
        yield "switch_arms", f"{name}/{record.data['arm']}"
    if "catch" in record.data and place.step.try_ is not None:
        yield "catches", f"{name}/catch/{record.data['catch']}"
    if _timed_out(path, record, journal):
        yield "timeouts", name


def _timed_out(path: str, record: Record, journal: Mapping[str, Record]) -> bool:
    if record.phase == "failed" and record.data.get("kind") == "timeout":
        return "error" not in record.data
    climbed = any(other.startswith(f"{path}/escalate/") for other in journal)
    return climbed or record.data.get("by") == "escalation"
