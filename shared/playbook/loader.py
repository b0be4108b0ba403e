"""From YAML text to a checked playbook with its digest; faults carry their place and a mend."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarint import ScalarInt

from shared.errors import ConfigError
from shared.playbook.faults import (
    Fault,
    PlaybookFaults,
    documented,
    marked,
    schema_faults,
    text_faults,
)
from shared.playbook.model import Part, Playbook
from shared.site.yaml_file import position

__all__ = [
    "Fault", "Loaded", "PlaybookFaults", "digest_of", "documented", "fields_of", "load_playbook",
    "load_text",
]  # fmt: skip


MOST_FAULTS = 200
"""Faults of a text that are told at once."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A playbook as read: its model, its text's positions, its digest."""

    playbook: Playbook
    document: Any
    name: str
    digest: str

    def where(self, *path: str | int) -> str:
        """`file:line:column` of a part of the document."""
        return position(self.document, path, self.name)


def fields_of(model: type[Part]) -> set[str]:
    """Names of all keys of the language, for did-you-mean."""
    return _fields_of(model)


@lru_cache(maxsize=2)
def _fields_of(model: type[Part]) -> set[str]:
    schema = json.dumps(model.model_json_schema(by_alias=True))
    found: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            found.update(node.get("properties", {}))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(json.loads(schema))
    return found


def digest_of(playbook: Playbook) -> str:
    """SHA-256 of the canonical document: what a run pins."""
    data = playbook.model_dump(mode="json", by_alias=True)
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def load_playbook(path: Path) -> Loaded:
    """Read one file; raises PlaybookFaults, or ConfigError when it cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(
            "没有这个文件 / no such file", where=str(path), mend="create it or correct the path"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot read: {error.strerror}", where=str(path)) from error
    return load_text(data, path.name)


def load_text(data: bytes | str, name: str) -> Loaded:
    """From a file's content, under a name; raises PlaybookFaults."""
    text = data if isinstance(data, str) else _decoded(data, name)
    try:
        if faults := list(text_faults(text, name)):
            raise PlaybookFaults(faults)
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        raise PlaybookFaults([marked(error, name)]) from error
    except (ValueError, RecursionError) as error:  # a day 99, a number of 5000 digits, a deep nest
        said = type(error).__name__ if isinstance(error, RecursionError) else str(error)
        raise PlaybookFaults([
            Fault("yaml_value", f"{name}:1:1",
                  (f"有无法读取的值或嵌套过深：{said}", f"cannot be read: {said}"),
                  ("改正该值，日期与文字加引号", "correct it; put dates and texts into quotes"))
        ]) from error  # fmt: skip
    document = _as_written(document)
    if not isinstance(document, dict):
        raise PlaybookFaults([
            Fault("not_a_mapping", f"{name}:1:1", ("预案是“键: 值”", "a playbook is a mapping"),
                  ("以 schema: playbook/v1 开头", "begin with `schema: playbook/v1`"))
        ])  # fmt: skip
    try:
        playbook = Playbook.model_validate(document)
    except ValidationError as error:
        found = list(islice(schema_faults(error, document, name), MOST_FAULTS))
        raise PlaybookFaults(found) from error
    return Loaded(playbook, document, name, digest_of(playbook))


def _as_written(node: Any) -> Any:
    """Plain values; `010` is a text that people wrote with its zero, not the number ten."""
    if isinstance(node, dict | list):
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            made = _as_written(value)
            if made is not value:
                node[key] = made
    elif type(node) is ScalarInt:
        width = getattr(node, "_width", None) or 0
        return f"{node:0{width}d}" if width > 1 else int(node)  # a lone 0 is the number
    elif type(node) is ScalarFloat:
        return float(node)
    return node


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise PlaybookFaults([
            Fault("not_utf8", f"{name}:{line}:1", ("不是 UTF-8 文字", "not UTF-8 text"),
                  ("以 UTF-8 保存", "save the file as UTF-8"))
        ]) from error  # fmt: skip
