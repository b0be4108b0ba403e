"""Plays all tests of a file and judges them: what the command line shows and tests of Andon use.

Pure but for what the loader has read; opens no socket.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from shared.playbook.rehearsal.coverage import Covered, covered
from shared.playbook.rehearsal.document import Case
from shared.playbook.rehearsal.judge import Judge, unused
from shared.playbook.rehearsal.loader import Tests
from shared.playbook.rehearsal.play import Cast, play
from shared.playbook.rehearsal.told import Miss, Told
from shared.playbook.rehearsal.wanted import Coverage
from shared.playbook.template import Template
from shared.site.loader import Site


class Placed(Protocol):
    """Gives `file:line:column`."""

    def __call__(self, *at: str | int) -> str:
        """Of a part of a document."""
        ...


@dataclass(frozen=True, slots=True)
class Played:
    """One test, played and judged."""

    case: Case
    told: Told
    misses: list[Miss] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every expectation was met."""
        return not self.misses


def cast_of(tests: Tests, plant: Site | Template | None) -> Cast:
    """The playbook with a site's side of it, where there is one."""
    book = tests.playbook.playbook
    if plant is None:
        return Cast(book, tests.books)
    bindings = plant.bindings
    about = {"id": "template", "name": "template"}
    if isinstance(plant, Site):
        about = {"id": plant.info.site, "name": plant.info.name.zh}
    return Cast(
        book, tests.books, bindings.devices, bindings.inputs.get(book.playbook, {}),
        about,
    )  # fmt: skip


def play_all(
    tests: Tests, plant: Site | Template | None = None, only: str | None = None
) -> tuple[list[Played], list[Covered]]:
    """Play every test (whose name holds `only`); the coverage of what was played."""
    cast, found = cast_of(tests, plant), []
    for number, case in enumerate(tests.file.tests):
        if only is None or only in case.name:
            found.append(play_one(cast, tests, number, case))
    wanted = tests.file.coverage if only is None else Coverage()
    return found, covered(cast.book, (one.told for one in found), wanted)


def play_one(cast: Cast, tests: Tests, number: int, case: Case) -> Played:
    """Play one test and judge it."""
    told = play(cast, tests.file.defaults, case)
    of_then = _below(tests.where, "tests", number, "then")
    misses = Judge(case.then, told, of_then).misses()
    misses += unused(case, told, _below(tests.where, "tests", number))
    return Played(case, told, misses)


def _below(where: Placed, *base: str | int) -> Callable[..., str]:
    def placed(*at: str | int) -> str:
        return where(*base, *at)

    return placed
