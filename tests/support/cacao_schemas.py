"""The official JSON Schemas of CACAO v2 in three readings, and SOARCA's published playbooks.

The schemas declare draft-07 yet lean on `unevaluatedProperties`, which came later. Read as 2020-12
they take no `command` in any command object: `command-data.json` closes itself against the types
that extend it, and `action.json` names only that one. `MENDED` is 2020-12 with that mended: the
base stays open and each command is checked by the schema of its type.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from shared.playbook.faults import Fault, PlaybookFaults

DATA = Path(__file__).resolve().parents[1] / "data" / "cacao"
BASE = "https://raw.githubusercontent.com/oasis-open/cacao-json-schemas/main/schemas/"
NEW = "https://json-schema.org/draft/2020-12/schema"
DECLARED, STRICT, MENDED = "as declared (draft-07)", "as 2020-12", "as 2020-12, mended"


def files() -> list[Path]:
    """The schemas, as they were published."""
    return sorted((DATA / "schemas").rglob("*.json"))


def soarca() -> dict[str, dict[str, Any]]:
    """SOARCA's examples and test playbooks."""
    return json.loads((DATA / "soarca.json").read_text(encoding="utf-8"))


def errors(document: Any, reading: str) -> list[tuple[list[Any], str]]:
    """(place, message) of everything that the schemas say against a document."""
    found = _validator(reading).iter_errors(document)
    return [(list(error.instance_path), error.message) for error in found]


def fault(refusal: PlaybookFaults) -> Fault:
    """The one fault of a refusal."""
    (found,) = refusal.faults
    assert isinstance(found, Fault)
    return found


@cache
def _validator(reading: str) -> Any:
    draft = jsonschema_rs.Draft7 if reading == DECLARED else jsonschema_rs.Draft202012
    resources = []
    for path in files():
        schema = json.loads(path.read_text(encoding="utf-8"))
        if reading != DECLARED:
            schema["$schema"] = NEW
        if reading == MENDED:
            _mend(schema, path)
        resources.append((schema["$id"], schema))
    newer = jsonschema_rs.Draft202012Validator
    kind = jsonschema_rs.Draft7Validator if reading == DECLARED else newer
    registry = jsonschema_rs.Registry(resources, draft=draft)
    return kind({"$ref": f"{BASE}playbook.json"}, registry=registry)


def _mend(schema: dict[str, Any], path: Path) -> None:
    if path.name == "command-data.json":
        del schema["unevaluatedProperties"]
    if path.name == "action.json":
        kinds = [p.stem for p in files() if p.parent.name == "commands" and p != path]
        of_type = [
            {"if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
             "then": {"$ref": f"{BASE}commands/{kind}.json"}}
            for kind in kinds if kind != "command-data"
        ]  # fmt: skip
        items = {"allOf": [{"$ref": f"{BASE}commands/command-data.json"}, *of_type]}
        schema["allOf"][1]["properties"]["commands"]["items"] = items
