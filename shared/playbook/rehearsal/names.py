"""Looks whether all that a test file names exists: keys, steps, devices, tags, inputs, options.

Used by `loader.py`; every fault says where it is, what is there instead, in both languages. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from shared.expression import compile_expression
from shared.playbook.binding import read_tags
from shared.playbook.faults import Fault, schema_faults
from shared.playbook.keys import keys_of, part_at
from shared.playbook.model import Playbook
from shared.playbook.near import nearest
from shared.playbook.rehearsal.document import Case, Event, Given, Mocks, TestFile
from shared.playbook.rehearsal.drills import Drill
from shared.playbook.rehearsal.places import places
from shared.playbook.rehearsal.wanted import Then
from shared.playbook.site_inputs import faults_of
from shared.playbook.template import Template
from shared.site.model import DeviceSpec
from shared.site.site import Site

At = tuple[str | int, ...]
MOST = 12
"""So many names are listed where none is near."""
_OWN = {"resume": {"resume", "abandon"}, "unknown": {"done", "not-done"}}
"""The engine's own questions, with their options."""


def form_faults(error: ValidationError, document: Any, name: str) -> Iterator[Fault]:
    """What keeps a text from being a test file."""
    unknown = [fault["loc"] for fault in error.errors() if fault["type"] == "extra_forbidden"]
    keys = iter(unknown)
    for fault in schema_faults(error, document, name):
        if fault.code == "unknown_key" and (loc := next(keys, None)) is not None:
            *place, key = loc
            yield _unknown_key(fault, str(key), place)
        else:
            yield fault


def _unknown_key(fault: Fault, key: str, place: Sequence[str | int]) -> Fault:
    part = part_at(TestFile, place)
    here = keys_of(part) if part is not None else ()
    mend = _hint(key, here) if here else ("删除它，或改正名称", "remove it, or correct its name")
    said = (fault.words["zh"], fault.words["en"])
    return Fault(fault.code, fault.where, said, mend)


def _hint(name: str, known: Collection[str]) -> tuple[str, str]:
    if close := nearest(name, known):
        return f"是不是 {close!r}？", f"did you mean {close!r}?"
    listed = ", ".join(sorted(known)[:MOST]) or "-"
    more = "" if len(known) <= MOST else ", …"
    return f"这里有：{listed}{more}", f"there is: {listed}{more}"


class Names:
    """The names of one test file against its playbook and its plant."""

    def __init__(
        self, file: TestFile, book: Playbook, called: Mapping[str, Playbook],
        plant: Site | Template | None, where: Callable[..., str],
    ) -> None:  # fmt: skip
        self.file, self.book, self.where = file, book, where
        books = (book, *called.values())
        every = [place.step for book in books for place in places(book)]
        self.steps = {step.id for step in every}
        self.devices = {name for book in books for name in book.devices}
        self.endpoints = {name for book in books for name in book.endpoints}
        self.options = {step.id: set(step.ask.options) for step in every if step.ask}
        self.commands = {step.id for step in every if step.command}
        self.undone = {step.id for step in every if step.compensate}
        self.tags = {tag for book in books for tag in read_tags(book)}
        self.tags |= tags_of(plant.bindings.devices) if plant is not None else set()

    def faults(self) -> Iterator[Fault]:
        """Every name that leads nowhere."""
        defaults = self.file.defaults
        yield from self._given(defaults.given, ("defaults", "given"))
        yield from self._mocks(defaults.mocks, ("defaults", "mocks"))
        for index, case in enumerate(self.file.tests):
            yield from self._case(case, ("tests", index))
        for number, drill in enumerate(self.file.all_drills):
            yield from self._drill(drill, self.file.place_of(number))

    def _case(self, case: Case, at: At) -> Iterator[Fault]:
        yield from self._given(case.given, (*at, "given"))
        yield from self._mocks(case.mocks, (*at, "mocks"))
        for index, event in enumerate(case.when):
            yield from self._event(event, (*at, "when", index))
        for index, fault in enumerate(case.faults):
            yield from self._name(fault.at_step, self.steps, (*at, "faults", index, "at_step"))
        yield from self._then(case.then, (*at, "then"))

    def _drill(self, drill: Drill, at: At) -> Iterator[Fault]:
        yield from self._then(drill.then, (*at, "then"))
        for index, answer in enumerate(drill.answers):
            yield from self._answer(answer.on, answer.answer, (*at, "answers", index))
        for index, fault in enumerate(drill.faults):
            if fault.at_step is not None:
                yield from self._name(fault.at_step, self.steps, (*at, "faults", index, "at_step"))

    def _given(self, given: Given, at: At) -> Iterator[Fault]:
        yield from self._tags(given.tags, (*at, "tags"))
        for name, why in faults_of(self.book, given.inputs):
            zh, _, en = why.partition(" / ")
            said = (f"{name}: {zh}", f"{name}: {en or zh}")
            yield self._fault((*at, "inputs", name), said, ("改正它", "correct it"))

    def _tags(self, tags: Collection[str], at: At) -> Iterator[Fault]:
        """A tag that nothing reads is a misspelt one: the test would prove nothing."""
        for name in tags:
            if name not in self.tags:
                said = (f"预案与绑定都没有位号 {name!r}",
                        f"neither the playbook nor the binding has a tag {name!r}")  # fmt: skip
                yield self._fault((*at, name), said, _hint(name, self.tags))

    def _mocks(self, mocks: Mocks, at: At) -> Iterator[Fault]:
        known = self.steps | {f"{step}/compensate" for step in self.undone}
        for name, mock in mocks.items():
            yield from self._name(name, known, (*at, name))
            listed = isinstance(mock, list)
            for index, each in enumerate(mock if listed else [mock]):
                place = (*at, name, index) if listed else (*at, name)
                yield from self._tags(each.sets, (*place, "sets"))

    def _event(self, event: Event, at: At) -> Iterator[Fault]:
        triggers = self.book.triggers
        known: dict[str, set[str]] = {
            "raise": {t.alarm for t in triggers if t.alarm},
            "event": {t.event for t in triggers if t.event},
            "start": {t.id for t in triggers},
        }
        if event.kind in known:
            name = str(getattr(event, "raise_" if event.raise_ else event.kind))
            yield from self._name(name, known[event.kind], (*at, event.kind))
        yield from self._tags(event.tag or {}, (*at, "tag"))
        if event.answer is not None and event.on is not None:
            yield from self._answer(event.on, event.answer, at)

    def _answer(self, on: str, answer: str, at: At) -> Iterator[Fault]:
        known = {**_OWN, **dict.fromkeys(self.commands, _OWN["unknown"]), **self.options}
        faults = list(self._name(on, known, (*at, "on")))
        yield from faults
        if not faults:
            yield from self._name(answer, known[on], (*at, "answer"))

    def _then(self, then: Then, at: At) -> Iterator[Fault]:
        for key in ("sequence", "executed", "not_executed", "skipped", "failed", "compensated",
                    "asked"):  # fmt: skip
            for index, name in enumerate(getattr(then, key) or ()):
                yield from self._name(name, self.steps, (*at, key, index))
        for index, wanted in enumerate(then.commands or ()):
            yield from self._name(wanted.device, self.devices, (*at, "commands", index, "device"))
        for index, wanted in enumerate(then.sent or ()):
            place = (*at, "sent", index, "endpoint")
            yield from self._name(wanted.endpoint, self.endpoints, place)

    def _name(self, name: str, known: Collection[str], at: At) -> Iterator[Fault]:
        if name not in known:
            said = (f"预案里没有 {name!r}", f"the playbook has no {name!r}")
            yield self._fault(at, said, _hint(name, known))

    def _fault(self, at: At, said: tuple[str, str], mend: tuple[str, str]) -> Fault:
        return Fault("unknown_name", self.where(*at), said, mend)


def tags_of(devices: Mapping[str, DeviceSpec]) -> set[str]:
    """Every tag that a binding names: logical ones, the site's, those of its interlocks."""
    found: set[str] = set()
    for device in devices.values():
        found |= {*device.tags, *device.tags.values()}
        for text in device.interlocks:
            found |= set(compile_expression(text).tags)
        found |= {op.capture_before for op in device.operations.values() if op.capture_before}
    return found
