"""The JSON Schema of the language for editors, with a site's own names where there is a site.

Generated from the one model; served by the brain and written by `andon playbook schema`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from shared.playbook.explain import brief
from shared.playbook.lint_report import Plant
from shared.playbook.model import VERBS, Playbook
from shared.playbook.wording import PARTS, words

_TITLE = "Andon playbook/v1"


def schema(plant: Plant | None = None) -> dict[str, Any]:
    """The schema; with a site its devices' types, operations, alarms, roles are suggested."""
    built = Playbook.model_json_schema(by_alias=True)
    built["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    built["$id"] = "playbook.schema.json"
    built["title"] = _TITLE
    _one_verb(built["$defs"]["Step"])
    _worded(built)
    if plant is not None:
        _of_site(built, plant)
    return built


def _one_verb(step: dict[str, Any]) -> None:
    """Exactly one verb: what the model's own check says, for editors that read no Python."""
    step["oneOf"] = [{"required": [verb]} for verb in VERBS]
    for verb in VERBS:
        # Absent is not null: an editor should offer the verb's keys, not `null`.
        found = step["properties"][verb]
        kinds = [kind for kind in found.get("anyOf", []) if kind != {"type": "null"}]
        if len(kinds) == 1:
            rest = {key: value for key, value in found.items() if key not in ("anyOf", "default")}
            step["properties"][verb] = {**kinds[0], **rest}


def _worded(built: dict[str, Any]) -> None:
    """Every part and key says what it means; a default stands as people write it."""
    for name, part in {"Playbook": built, **built["$defs"]}.items():
        if name not in PARTS:
            continue
        part["description"] = " / ".join(words(name))
        for key, found in part["properties"].items():
            found["description"] = " / ".join(words(name, key))
            if found.get("default", "") is None or isinstance(found.get("default"), dict):
                del found["default"]  # absent is neither null nor a part of nulls
            elif isinstance(found.get("default"), int) and _is_duration(found):
                found["default"] = brief(found["default"])


def _is_duration(found: dict[str, Any]) -> bool:
    return any("pattern" in one for one in (found, *found.get("anyOf", ())))


def _of_site(built: dict[str, Any], plant: Plant) -> None:
    parts = built["$defs"]
    types = {spec.type for spec in plant.devices.values()}
    operations = {name for spec in plant.devices.values() for name in spec.operations}
    _only(parts["DeviceRole"]["properties"], "type", types)
    _only(parts["CommandSpec"]["properties"], "op", operations)
    _only(parts["Trigger"]["properties"], "alarm", plant.alarms)
    built["properties"]["endpoints"]["propertyNames"] = {"enum": sorted(plant.endpoints)}
    roles = sorted(f"role:{role}" for role in plant.roles)
    for part in ("Notify", "AskSpec", "Rung"):
        if part in parts:
            # A person may stand there too, so the roles are offered and not demanded.
            parts[part]["properties"]["to"]["items"] = {
                "anyOf": [{"enum": roles}, {"type": "string", "pattern": "^(user|team):"}]
            }  # fmt: skip
    _list_of(parts["Manual"]["properties"]["roles"], plant.roles)


def _only(properties: dict[str, Any], name: str, values: Collection[str]) -> None:
    """A text that must be one of these."""
    found = properties[name]
    rest = {key: value for key, value in found.items() if key in ("title", "description")}
    properties[name] = {**rest, "enum": sorted(values)}


def _list_of(found: dict[str, Any], values: Collection[str]) -> None:
    found["items"] = {"enum": sorted(values)}
