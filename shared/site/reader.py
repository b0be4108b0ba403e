"""Reads a site's files one by one and gathers every fault with its place and mend.

Used by `loader` and the checks; a bad file never hides the faults of another.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from shared.errors import ConfigError
from shared.site.model import Model
from shared.site.salvage import ids_in, without
from shared.site.yaml_file import complaints, position, read_yaml

M = TypeVar("M", bound=Model)


class SiteFaults(ConfigError):
    """All faults of a site at once."""

    def __init__(self, faults: list[ConfigError]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


class Reader:
    """The faults found so far, and where each id stands."""

    def __init__(
        self, folder: Path, read: Callable[[Path], Any] = read_yaml, *, thorough: bool = False
    ) -> None:
        self._folder, self._read, self.thorough = folder, read, thorough
        self.faults: list[ConfigError] = []
        self.lost: set[str] = set()
        """Ids of what could not be read: what others say of them is no fault of theirs."""
        self.places: dict[tuple[str, str], str] = {}
        self._items: dict[tuple[str, str], tuple[Any, list[str | int], str]] = {}
        """(section, id) -> document, path in it, file name."""

    def file(self, path: Path, model: type[M]) -> M | None:
        try:
            document = self._read(path)
        except ConfigError as fault:
            self.faults.append(fault)
            self.lost |= ids_in(path)
            return None
        name = path.relative_to(self._folder).as_posix()
        try:
            parsed = model.model_validate(document if document is not None else {})
        except ValidationError as error:
            self.faults += complaints(error, document, name, _fields(model))
            return self._salvage(error, document, model, path) if self.thorough else None
        self._note_places(document, name)
        return parsed

    def _salvage(
        self, error: ValidationError, document: Any, model: type[M], path: Path
    ) -> M | None:
        """The file without the items that have faults; None when nothing of it can be used."""
        rest, lost = without(document, error)
        try:
            parsed = model.model_validate(rest)
        except ValidationError:
            self.lost |= ids_in(path)
            return None
        self.lost |= lost
        self._note_places(document, path.relative_to(self._folder).as_posix())
        return parsed

    def drop_consequences(self, before: int) -> None:
        """Of the faults since the first `before`, those of what was lost are no news."""
        if not self.lost:
            return
        any_of = "|".join(map(re.escape, self.lost))
        names = re.compile(rf"(?<![\w.-])(?:{any_of})(?![\w-])")
        self.faults[before:] = [f for f in self.faults[before:] if not names.search(f.message)]

    def _note_places(self, document: Any, name: str) -> None:
        for section, items in (document or {}).items():
            if isinstance(items, list):
                for index, item in enumerate(items):
                    if isinstance(item, dict) and "id" in item:
                        place = position(document, [section, index, "id"], name)
                        key = (section, str(item["id"]))
                        if key in self.places:
                            self.fault(
                                f"{section}: id {item['id']!r} is used twice "
                                f"(first at {self.places[key]})",
                                place,
                                "give it an id of its own",
                            )
                        self.places[key] = place
                        self._items[key] = (document, [section, index], name)
            elif isinstance(items, dict):
                for key in items:
                    self.places[section, str(key)] = position(document, [section, key], name)
                    self._items[section, str(key)] = (document, [section, key], name)

    def place(self, section: str, item: str, *path: str | int) -> str:
        """file:line:column of a part of an item; of the item itself where that is not known."""
        found = self._items.get((section, item))
        if found is None or not path:
            return self.places.get((section, item), "")
        document, start, name = found
        return position(document, [*start, *path], name)

    def knows(self, section: str, item: str) -> bool:
        """Whether an item is written in a file, and not made of others."""
        return (section, item) in self.places

    def fault(self, message: str, where: str, mend: str) -> None:
        self.faults.append(ConfigError(message, where=where, mend=mend))

    def reference(
        self, kind: str, name: str, known: Any, section: str, item: str, *path: str | int
    ) -> None:
        """Add a fault unless `name` is known; `path` is where the item says it."""
        if name in known:
            return
        close = difflib.get_close_matches(name, list(known), n=1)
        mend = (
            f"did you mean {close[0]!r}?"
            if close
            else f"define it, or write one that exists: {_some(known)}"
        )
        self.fault(
            f"{item}: 未定义 / unknown {kind} {name!r}", self.place(section, item, *path), mend
        )


def _some(known: Any, most: int = 6) -> str:
    names = sorted(known)
    return ", ".join(map(repr, names[:most])) + (" …" if len(names) > most else "")


def _fields(model: type[Model], depth: int = 4) -> set[str]:
    names: set[str] = set()
    for name, field in model.model_fields.items():
        names.add(name)
        if depth:
            for inner in _models_in(field.annotation):
                names |= _fields(inner, depth - 1)
    return names


def _models_in(annotation: Any) -> list[type[Model]]:
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Model) else []
    found: list[type[Model]] = []
    for part in getattr(annotation, "__args__", ()):
        found += _models_in(part)
    return found
