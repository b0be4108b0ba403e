"""Walks a run's journal again with a document: does it go the same way, and where not.

Called with what a brain tells of a run, or with a rehearsal's journal. What came from outside
(results, answers, the plant) is taken as it was; what the document decides is decided anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shared.expression import StaticEnvironment
from shared.playbook.fits import leads
from shared.playbook.fragment import ROOT
from shared.playbook.journal import (
    CANCEL,
    ERROR,
    LEAVE,
    OUTCOME,
    RESUME,
    Context,
    Effect,
    Record,
    noted,
)
from shared.playbook.model import Playbook, Step
from shared.playbook.rehearsal.pace import paced, scale_of
from shared.playbook.rehearsal.places import places
from shared.playbook.run import advance

Row = tuple[str, int, str, Mapping[str, Any], int]
"""path, attempt, phase, data, at."""
_PLANT = re.compile(r"tag\(|run\.(peaks|elapsed_s|incident)")
_OPEN = ("intent", "unknown", "failed")
_NOT_OWN: Any = {
    "switch": True, "parallel": True, "for_each": {"steps"}, "repeat": {"steps"}, "try_": True,
    "command": {"require", "verify"}, "compensate": True,
}  # fmt: skip
"""What a step holds that others decide: its inner steps, and conditions that an edge looks at."""
_SAID = ("to", "channel", "message", "args", "endpoint", "method", "path", "body", "type", "event",
         "arm", "question", "text", "items")  # fmt: skip
"""What a document decides of a row's data."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A run as its brain keeps it."""

    document: Playbook
    books: Mapping[str, Playbook]
    context: Mapping[str, Any]
    run: str
    started_at: int
    deadline_at: int
    rows: Sequence[Row]
    status: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where the ways part."""

    row: int
    at: int
    path: str
    message: Mapping[str, str]


@dataclass(slots=True)
class Replayed:
    """What a replay found out."""

    rows: int = 0
    open_to_plant: list[str] = field(default_factory=list)
    """Paths whose decision the plant's values made, which a journal does not keep."""
    difference: Difference | None = None


def replay(kept: Kept, document: Playbook | None = None) -> Replayed:
    """Walk the journal row by row; `document`: another version of the playbook."""
    scale = scale_of(kept.context)
    books = {name: paced(book, scale) for name, book in kept.books.items()}
    return _Replay(replace(kept, books=books), paced(document or kept.document, scale)).run()


class _Replay:
    def __init__(self, kept: Kept, document: Playbook) -> None:
        self.kept, self.document = kept, document
        self.steps = {place.step.id: place.step for place in places(document)}
        self.told = Replayed()
        self.journal: dict[str, Record] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        self.control: dict[str, Any] = {}
        self.states: dict[str, int] = {}

    def run(self) -> Replayed:
        for number, row in enumerate(self.kept.rows):
            found = self._row(row)
            if found is not None:
                self.told.difference = Difference(number, row[4], row[0], found)
                break
            path, attempt, phase, data, at = row
            noted(self.journal, path, Record(phase, at, data, attempt))  # type: ignore[arg-type]
            self.told.rows += 1
        return self.told

    def _row(self, row: Row) -> Mapping[str, str] | None:
        """Why this row would not have come; None if it would."""
        path, attempt, phase, data, _ = row
        if path == ROOT or path.startswith(f"{ROOT}/"):
            return None  # an edge's own
        if not leads(self.document, self.kept.books, path):
            return {"zh": f"{path} 在该版本中不存在", "en": f"there is no {path} in this version"}
        self._outside(path, data)
        before = self.journal.get(path)
        step = self._step(path)
        counted = step is not None and step.verb in ("command", "http")
        if (
            before is not None
            and before.phase in _OPEN
            and (attempt == before.attempt or not counted)
        ):
            return None  # how something went on or ended that had begun: a fact from outside
        effects = self._effects(row)
        same = [one for one in effects if one.path == path]
        if not same:
            return self._missing(row, effects)
        return self._compare(row, same[0], data, phase)

    def _effects(self, row: Row) -> list[Effect]:
        kept, at = self.kept, row[4]
        about = kept.context
        run = {
            "id": kept.run, "started_by": about.get("started_by", ""),
            "elapsed_s": (at - kept.started_at) / 1000 * scale_of(about),
            "drill": bool(about.get("drill")),
        }  # fmt: skip
        context = Context(
            alarm=about.get("alarm", {}), inputs=about.get("inputs", {}),
            site=about.get("site", {}), run=run, tags=StaticEnvironment(), answers=self.answers,
            deadline_at=kept.deadline_at, alarm_states=self.states, control=self.control,
            books=kept.books,
        )  # fmt: skip
        return advance(self.document, self.journal, context, at).effects

    def _outside(self, path: str, data: Mapping[str, Any]) -> None:
        """What people and the alarm did, as the rows tell it."""
        if path == CANCEL:
            self.control["cancel"] = dict(data)
        elif path == LEAVE:
            self.states[str(data["alarm"])] = 0
        elif "answer" in data and "by" in data and data["by"] != "escalation":
            vote = {"answer": data["answer"], "by": data["by"]}
            self.answers[path] = {"votes": [vote]}

    def _missing(self, row: Row, effects: list[Effect]) -> Mapping[str, str] | None:
        path, phase = row[0], row[2]
        engine = (RESUME, ERROR, OUTCOME, LEAVE, CANCEL)
        if path.startswith(engine) or self._unsure():
            self._open(path)
            return None
        other = ", ".join(f"{one.path} ({one.phase})" for one in effects[:3])
        return {
            "zh": f"原为 {path} ({phase})，该版本为 {other or '没有下一步'}",
            "en": f"the run went on with {path} ({phase}), this version with {other or 'nothing'}",
        }

    def _compare(
        self, row: Row, effect: Effect, data: Mapping[str, Any], phase: str
    ) -> Mapping[str, str] | None:
        path, step = row[0], self._step(row[0])
        if step is not None and self._by_plant(path):
            self._open(path)
            return None
        if (effect.phase == "skipped") != (phase == "skipped"):
            now = f"{effect.phase} {effect.data.get('reason', '')}".strip()
            return {
                "zh": f"{path} 原为 {phase}，该版本为 {now}",
                "en": f"{path} was {phase}, in this version it is {now}",
            }
        for key in _SAID:
            if key in data and key in effect.data and data[key] != effect.data[key]:
                return {
                    "zh": f"{path}.{key} 原为 {data[key]!r}，该版本为 {effect.data[key]!r}",
                    "en": f"{path}.{key} was {data[key]!r}, in this version {effect.data[key]!r}",
                }
        return None

    def _by_plant(self, path: str) -> bool:
        """Whether what a step does depends on values that a journal does not keep."""
        step = self._step(path)
        if step is None:
            return path in (OUTCOME, ERROR)
        text = step.model_dump_json(by_alias=True, exclude=_NOT_OWN, exclude_none=True)
        if step.switch is not None:
            text = " ".join(arm.when or "" for arm in step.switch) + (step.when or "")
        return _PLANT.search(text) is not None

    def _step(self, path: str) -> Step | None:
        parts = path.split("/")
        return next((self.steps[one] for one in reversed(parts) if one in self.steps), None)

    def _unsure(self) -> bool:
        """Whether the plant has decided something that this row may follow from."""
        return bool(self.told.open_to_plant) and OUTCOME in self.journal

    def _open(self, path: str) -> None:
        if path not in self.told.open_to_plant:
            self.told.open_to_plant.append(path)


def inside(rows: Sequence[Row]) -> Iterator[str]:
    """The paths of a journal, each once, in the order in which they began."""
    seen: set[str] = set()
    for path, *_ in rows:
        if path not in seen:
            seen.add(path)
            yield path
