"""From YAML text to a checked playbook with its digest; faults carry their place and a mend."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shared.errors import ConfigError
from shared.playbook.model import Part, Playbook
from shared.site.yaml_file import complaints, position, read_yaml


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


class PlaybookFaults(ConfigError):
    """All faults of a playbook at once."""

    def __init__(self, faults: list[ConfigError]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


def fields_of(model: type[Part]) -> set[str]:
    """Names of all keys of the language, for did-you-mean."""
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


LATER = {
    "": {"leave_when", "on_restart"},
    "triggers": {"incident", "event", "cron", "throttle"},
    "steps": {
        "http", "emit", "for_each", "repeat", "call", "try", "stop", "compensate",
        "compensate_all", "timeout",
    },
}  # fmt: skip
"""Keys of the language that this version does not carry out, by the list they stand in."""


def _later(
    node: Any, at: tuple[str | int, ...], inside: str = ""
) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in LATER[inside]:
                yield str(key), (*at, key)
            elif key in ("steps", "finally", "triggers"):
                for index, item in enumerate(value if isinstance(value, list) else ()):
                    part = "triggers" if key == "triggers" else "steps"
                    yield from _later(item, (*at, key, index), part)
            elif key in ("switch", "catch") and isinstance(value, list):
                for index, item in enumerate(value):
                    yield from _blocks(item, (*at, key, index))
            elif key == "parallel" and isinstance(value, dict):
                branches = value.get("branches")
                for index, item in enumerate(branches if isinstance(branches, list) else ()):
                    yield from _blocks(item, (*at, key, "branches", index))


def _blocks(node: Any, at: tuple[str | int, ...]) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """An arm, a handler or a branch: a holder of steps, with no verbs of its own."""
    if isinstance(node, dict):
        yield from _later({"steps": node.get("steps")}, at, "triggers")


def load_playbook(path: Path) -> Loaded:
    """Read one file; raises PlaybookFaults or ConfigError."""
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise ConfigError("a playbook is a mapping", where=str(path), mend="begin with `schema:`")
    if faults := [
        ConfigError(
            f"`{key}` is not yet supported by this version (本版本尚不支持)",
            where=position(document, at, path.name), mend="leave it out for now (暂时去掉)",
        )
        for key, at in _later(document, ())
    ]:  # fmt: skip
        raise PlaybookFaults(faults)
    try:
        playbook = Playbook.model_validate(document)
    except ValidationError as error:
        faults = complaints(error, document, path.name, fields_of(Playbook))
        raise PlaybookFaults(faults) from error
    return Loaded(playbook, document, path.name, digest_of(playbook))


def schema() -> dict[str, Any]:
    """The JSON Schema of the language, for editors; generated from the one model."""
    built = Playbook.model_json_schema(by_alias=True)
    built["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    built["$id"] = "playbook.schema.json"
    built["title"] = "Andon playbook/v1"
    return built
