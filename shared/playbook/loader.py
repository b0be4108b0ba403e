"""From YAML text to a checked playbook with its digest; faults carry their place and a mend."""

from __future__ import annotations

import hashlib
import json
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


def load_playbook(path: Path) -> Loaded:
    """Read one file; raises PlaybookFaults or ConfigError."""
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise ConfigError("a playbook is a mapping", where=str(path), mend="begin with `schema:`")
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
