"""Reads a test file with the playbook that it tests; faults carry file:line:column and a mend.

Called by the command line; runs nothing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shared.errors import ConfigError
from shared.playbook.loader import Loaded, PlaybookFaults, fields_of, load_playbook
from shared.playbook.model import Playbook
from shared.playbook.rehearsal.document import Case, Event, TestFile
from shared.playbook.rehearsal.places import places
from shared.playbook.rehearsal.wanted import Then
from shared.playbook.site_inputs import faults_of
from shared.site.yaml_file import complaints, position, read_yaml

SUFFIX = ".test.yaml"
DEEPEST = 4
_NAMED = re.compile(r"""^playbook:\s*["']?([a-z0-9-]+)""", re.MULTILINE)
At = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Tests:
    """A test file with its playbook and those that this calls."""

    file: TestFile
    document: Any
    name: str
    playbook: Loaded
    books: dict[str, Playbook]

    def where(self, *at: str | int) -> str:
        """`file:line:column` of a part of the test file."""
        return position(self.document, at, self.name)


def load_tests(path: Path, library: Path | None = None) -> Tests:
    """Read one test file; raises PlaybookFaults or ConfigError.

    Playbooks are looked for beside it, in neighbouring folders, and in the library.
    """
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise ConfigError(
            "a test file is a mapping", where=str(path),
            mend="begin with `schema: playbook-test/v1`",
        )  # fmt: skip
    try:
        file = TestFile.model_validate(document)
    except ValidationError as error:
        found = complaints(error, document, path.name, fields_of(TestFile))
        raise PlaybookFaults(found) from error
    found = _Folders(path, library)
    loaded = load_playbook(found.file(file.playbook, position(document, ("playbook",), path.name)))
    books: dict[str, Playbook] = {}
    found.called(loaded.playbook, books, 1)
    tests = Tests(file, document, path.name, loaded, books)
    if faults := list(_Names(tests).faults()):
        raise PlaybookFaults(faults)
    return tests


@dataclass(frozen=True, slots=True)
class _Folders:
    """Where a test file's playbooks are."""

    test: Path
    library: Path | None

    def file(self, name: str, where: str) -> Path:
        """The file of a playbook."""
        folder = self.test.parent
        asked = [folder / f"{name}.yaml", folder / f"{self.test.name.removesuffix(SUFFIX)}.yaml"]
        asked += sorted(folder.parent.glob(f"*/{name}.yaml"))
        asked += sorted(self.library.glob(f"**/{name}.yaml")) if self.library else []
        for one in asked:
            if one.is_file() and _NAMED.findall(one.read_text("utf-8", "replace")) == [name]:
                return one
        raise ConfigError(
            f"没有剧本 / there is no playbook {name!r} beside this file or in the library",
            where=where, mend=f"put {name}.yaml into {folder} (放在测试文件旁边)",
        )  # fmt: skip

    def called(self, book: Playbook, into: dict[str, Playbook], depth: int) -> None:
        """Read the playbooks that one calls, and those that they call."""
        for step in book.all_steps():
            if step.call is None or step.call.playbook in into or depth > DEEPEST:
                continue
            found = load_playbook(self.file(step.call.playbook, self.test.name)).playbook
            into[step.call.playbook] = found
            self.called(found, into, depth + 1)


class _Names:
    """Looks whether what a test names exists in the playbook."""

    def __init__(self, tests: Tests) -> None:
        self.tests, self.book = tests, tests.playbook.playbook
        books = (self.book, *tests.books.values())
        every = [place.step for book in books for place in places(book)]
        self.steps = {step.id for step in every}
        self.devices = {name for book in books for name in book.devices}
        self.endpoints = {name for book in books for name in book.endpoints}
        self.options = {step.id: set(step.ask.options) for step in every if step.ask}
        self.commands = {step.id for step in every if step.command}
        self.undone = {step.id for step in every if step.compensate}

    def faults(self) -> Iterator[ConfigError]:
        """Every name that leads nowhere."""
        file = self.tests.file
        yield from self._mocks(file.defaults.mocks, ("defaults", "mocks"))
        yield from self._inputs(file.defaults.given.inputs, ("defaults", "given", "inputs"))
        for index, case in enumerate(file.tests):
            yield from self._case(case, ("tests", index))
        if file.drill is not None:
            yield from self._then(file.drill.then, ("drill", "then"))
            for index, answer in enumerate(file.drill.answers):
                at = ("drill", "answers", index)
                yield from self._answer(answer.on, answer.answer, at)

    def _case(self, case: Case, at: At) -> Iterator[ConfigError]:
        yield from self._mocks(case.mocks, (*at, "mocks"))
        yield from self._inputs(case.given.inputs, (*at, "given", "inputs"))
        for index, event in enumerate(case.when):
            yield from self._event(event, (*at, "when", index))
        for index, fault in enumerate(case.faults):
            yield from self._name(fault.at_step, self.steps, (*at, "faults", index, "at_step"))
        yield from self._then(case.then, (*at, "then"))

    def _mocks(self, mocks: Collection[str], at: At) -> Iterator[ConfigError]:
        for name in mocks:
            known = self.steps | {f"{step}/compensate" for step in self.undone}
            yield from self._name(name, known, (*at, name))

    def _inputs(self, inputs: Any, at: At) -> Iterator[ConfigError]:
        for name, why in faults_of(self.book, inputs):
            yield self._fault((*at, name), f"{name}: {why}", "correct the value")

    def _event(self, event: Event, at: At) -> Iterator[ConfigError]:
        triggers = self.book.triggers
        known: dict[str, set[str]] = {
            "raise": {t.alarm for t in triggers if t.alarm},
            "event": {t.event for t in triggers if t.event},
            "start": {t.id for t in triggers},
        }
        if event.kind in known:
            name = str(getattr(event, "raise_" if event.raise_ else event.kind))
            yield from self._name(name, known[event.kind], (*at, event.kind))
        if event.answer is not None and event.on is not None:
            yield from self._answer(event.on, event.answer, at)

    def _answer(self, on: str, answer: str, at: At) -> Iterator[ConfigError]:
        own = {"resume": {"resume", "abandon"}, "unknown": {"done", "not-done"}}
        unknown = {step: own["unknown"] for step in self.commands}
        known = {**own, **unknown, **self.options}
        faults = list(self._name(on, known, (*at, "on")))
        yield from faults
        if not faults:
            yield from self._name(answer, known[on], (*at, "answer"))

    def _then(self, then: Then, at: At) -> Iterator[ConfigError]:
        for key in ("sequence", "executed", "not_executed", "skipped", "failed", "compensated",
                    "asked"):  # fmt: skip
            for index, name in enumerate(getattr(then, key) or ()):
                yield from self._name(name, self.steps, (*at, key, index))
        for index, wanted in enumerate(then.commands or ()):
            yield from self._name(wanted.device, self.devices, (*at, "commands", index, "device"))
        for index, wanted in enumerate(then.sent or ()):
            place = (*at, "sent", index, "endpoint")
            yield from self._name(wanted.endpoint, self.endpoints, place)

    def _name(self, name: str, known: Collection[str], at: At) -> Iterator[ConfigError]:
        if name in known:
            return
        close = difflib.get_close_matches(name, sorted(known), n=1)
        listed = ", ".join(sorted(known)[:12]) or "-"
        mend = f"did you mean {close[0]!r}?" if close else f"the playbook has: {listed}"
        yield self._fault(at, f"剧本里没有 / the playbook has no {name!r}", mend)

    def _fault(self, at: At, message: str, mend: str) -> ConfigError:
        return ConfigError(message, where=self.tests.where(*at), mend=mend)


def schema() -> dict[str, Any]:
    """The JSON Schema of test files, for editors."""
    built = TestFile.model_json_schema(by_alias=True)
    built["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    built["$id"] = "playbook-test.schema.json"
    built["title"] = "Andon playbook-test/v1"
    return built
