"""The released playbooks of a site: documents, what they call, their triggers by what they answer.

Asked by the desk, the triggers and the edges' sender; loads and checks, starts nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from factory_brain.domain.triggers.index import Entry, Index, alarms_of
from shared.clock import Clock
from shared.errors import ConfigError
from shared.playbook.lint import Finding, Plant, lint
from shared.playbook.loader import Loaded, load_playbook
from shared.playbook.model import Playbook
from shared.playbook.site_inputs import faults_of, given
from shared.playbook.template import playbook_files
from shared.playbook.tuning import outside
from shared.site.loader import Site
from shared.telemetry import logger

log = logger("playbooks")


class Versions(Protocol):
    """Where released documents are kept."""

    async def save_version(
        self, digest: str, playbook: str, version: int, doc: Any, at: int
    ) -> None:
        """Keep a released document."""
        ...


class Releases:
    """What runs here."""

    def __init__(self, site: Site, store: Versions, clock: Clock) -> None:
        self._site, self._store, self._clock = site, store, clock
        self._loaded: dict[str, Loaded] = {}
        self._index: Index | None = None
        self.faults: list[str] = []
        self._chosen: dict[str, dict[str, Any]] = {}
        self._tuned: dict[str, dict[str, Any]] = {}
        self.changes = 0
        """Counts whatever may make a trigger answer what it did not answer before."""
        self.on_file: Callable[[Loaded, Path], Awaitable[str | None]] | None = None
        """Keeps a folder's file as a release; says why not. Without it, files run as they are."""

    @property
    def chosen(self) -> dict[str, dict[str, Any]]:
        """playbook -> input -> what people set in the console, over the site's file."""
        return self._chosen

    @chosen.setter
    def chosen(self, chosen: dict[str, dict[str, Any]]) -> None:
        self.changes += chosen != self._chosen
        self._chosen = chosen

    @property
    def tuned(self) -> dict[str, dict[str, Any]]:
        """playbook -> input -> the group's value; whatever the site says itself goes before it."""
        return self._tuned

    @tuned.setter
    def tuned(self, tuned: dict[str, dict[str, Any]]) -> None:
        self.changes += tuned != self._tuned
        self._tuned = tuned

    @property
    def books(self) -> list[Playbook]:
        """The playbooks that run here."""
        return [loaded.playbook for loaded in self._loaded.values()]

    @property
    def index(self) -> Index:
        """Their triggers by what they answer."""
        if self._index is None:
            released = [(each.playbook, each.digest) for each in self._loaded.values()]
            self._index = Index.of(released, self._site.bindings.alarms)
        return self._index

    def get(self, playbook: str) -> Loaded | None:
        """One of them."""
        return self._loaded.get(playbook)

    def entry(self, playbook: str) -> Entry | None:
        """One of them with its manual trigger, or any."""
        loaded = self._loaded.get(playbook)
        if loaded is None:
            return None
        book = loaded.playbook
        found = sorted(book.triggers, key=lambda trigger: trigger.manual is None)
        return Entry(book, loaded.digest, found[0]) if found else None

    def site_taken(self) -> None:
        """The site's files are others now: codes may stand for other alarms."""
        self._anew()

    async def put(self, loaded: Loaded) -> None:
        """Release one document; runs that live go on with their own."""
        book = loaded.playbook
        document = book.model_dump(mode="json", by_alias=True, exclude_unset=True)
        now = self._clock.now_ms()
        await self._store.save_version(loaded.digest, book.playbook, book.version, document, now)
        self._loaded[book.playbook] = loaded
        self._anew()

    def withdraw(self, playbook: str) -> None:
        """It starts no more runs."""
        self._loaded.pop(playbook, None)
        self._anew()

    def _anew(self) -> None:
        self._index = None
        self.changes += 1

    async def load(self, folder: Path) -> None:
        """Release every playbook of a folder that fits the site; a faulty one stops only itself."""
        paths = await asyncio.to_thread(playbook_files, folder)
        read = [(path, loaded) for path in paths if (loaded := self._read(path)) is not None]
        for path, loaded in self._in_order(read):
            if found := self.check(loaded):
                self.faults += found
                log.error("playbook_faulty", file=str(path), findings=found)
                continue
            if self.on_file is None:
                await self.put(loaded)
            elif why := await self.on_file(loaded, path):
                self.faults.append(why)
                log.error("playbook_not_released", file=str(path), reason=why)

    def _in_order(self, read: list[tuple[Path, Loaded]]) -> list[tuple[Path, Loaded]]:
        """What concerns the site or is called by that; the called before those that call."""
        books = {loaded.playbook.playbook: loaded.playbook for _, loaded in read}
        reach = {name: _called(book, books) for name, book in books.items()}
        wanted = {name for name, book in books.items() if self.concerns(book)}
        wanted |= {called for name in wanted for called in reach[name]}
        mine = [each for each in read if each[1].playbook.playbook in wanted]
        return sorted(mine, key=lambda each: len(reach[each[1].playbook.playbook]))

    def _read(self, path: Path) -> Loaded | None:
        try:
            return load_playbook(path)
        except ConfigError as error:
            self.faults.append(str(error))
            log.error("playbook_faulty", file=str(path), error=str(error))
            return None

    def concerns(self, book: Playbook) -> bool:
        """Whether it answers an alarm of this site, or none at all."""
        named = [t.alarm for t in book.triggers if t.alarm]
        site = self._site
        codes = site.bindings.alarms
        return not named or any(
            alarm in site.alarms for name in named for alarm in alarms_of(name, codes)
        )

    def check(self, loaded: Loaded) -> list[str]:
        """What forbids to release a document here, with its place."""
        found = [
            f"{f.where}: {f.message['en']}" for f in self.findings(loaded)
            if getattr(f, "severity", "error") == "error"
        ]  # fmt: skip
        where = f"bindings.yaml inputs/{loaded.playbook.playbook}"
        return found + [f"{where}/{name}: {why}" for name, why in self.unfit(loaded.playbook)]

    def findings(self, loaded: Loaded) -> list[Finding]:
        """What is wrong with a document here, and advice."""
        books = {book.playbook: book for book in self.books}
        return lint(loaded, Plant.of(self._site), books)

    def unfit(self, book: Playbook) -> list[tuple[str, str]]:
        """(input, why) of each of the site's values that is none of the document's."""
        return faults_of(book, self._site.bindings.inputs.get(book.playbook, {}))

    def inputs(self, book: Playbook) -> dict[str, Any]:
        """What a run of it is given: what people set, else the site's, else the group's, else the
        document's own."""
        chosen = self.chosen.get(book.playbook, {})
        stale = {name for name, _ in faults_of(book, chosen)} if chosen else set()
        fitting = {name: value for name, value in chosen.items() if name not in stale}
        group = self._tuned.get(book.playbook, {})
        # Looked at anew: another release may have drawn the bounds closer.
        inside = {name: value for name, value in group.items() if not outside(book, {name: value})}
        own = self._site.bindings.inputs.get(book.playbook, {})
        return given(book, inside | own | fitting)

    def calls(self, book: Playbook) -> dict[str, str]:
        """playbook -> digest of all that it calls, and those in turn."""
        found: dict[str, str] = {}
        todo = [book]
        while todo:
            for step in todo.pop().all_steps():
                loaded = self._loaded.get(step.call.playbook) if step.call else None
                if loaded is not None and loaded.playbook.playbook not in found:
                    found[loaded.playbook.playbook] = loaded.digest
                    todo.append(loaded.playbook)
        return found


def _called(book: Playbook, books: Mapping[str, Playbook]) -> set[str]:
    """All that a document calls, and those in turn, as far as they are there."""
    found: set[str] = set()
    todo = [book]
    while todo:
        for step in todo.pop().all_steps():
            called = step.call.playbook if step.call else ""
            if called in books and called not in found:
                found.add(called)
                todo.append(books[called])
    return found
