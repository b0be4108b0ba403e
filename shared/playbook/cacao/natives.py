"""What CACAO itself can say of one of our steps: type, name, times, commands, targets.

Called by the export to write it and by the import to see whether it was changed. Pure.
"""

from __future__ import annotations

import json
from typing import Any

from shared.playbook.cacao import parties
from shared.playbook.cacao.conditions import answer_variable, same_answer, to_stix, variable
from shared.playbook.cacao.names import ANDON, identifier, worded
from shared.playbook.cacao.variables import data_out, text_out
from shared.playbook.model import VERBS
from shared.site.model import parse_duration

CONTAINERS = {
    "switch": "if-condition", "try": "if-condition", "parallel": "parallel",
    "for_each": "while-condition", "repeat": "while-condition", "call": "playbook-action",
}  # fmt: skip
ALWAYS = "true"
_JSON = {"Content-Type": ["application/json"]}


def verb_of(step: dict[str, Any]) -> str:
    """The verb of a step's document."""
    return next(verb for verb in VERBS if verb in step)


def condition_out(text: str) -> str:
    """A condition of ours as it stands in CACAO: a STIX comparison where it can be one."""
    return to_stix(text) or text


def playbook_id(name: str) -> str:
    """The identifier of one of our playbooks."""
    return identifier("playbook", name)


class Natives:
    """The steps of one playbook in CACAO's own words."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._book: str = document["playbook"]
        self._inputs: dict[str, Any] = document.get("inputs", {})

    def of(self, step: dict[str, Any]) -> dict[str, Any]:
        """Everything but the links."""
        verb = verb_of(step)
        found: dict[str, Any] = {
            "type": CONTAINERS.get(verb, "action"), "name": worded(step.get("name", step["id"])),
        }  # fmt: skip
        if (timeout := self._timeout(step, verb)) is not None:
            found["timeout"] = timeout
        if verb == "switch":
            return {**found, **_choice(step["switch"])}
        if verb == "parallel":
            return found
        if verb == "call":
            return {**found, "playbook_id": playbook_id(step["call"]["playbook"])}
        if verb in CONTAINERS:
            return {**found, "condition": _loop(step, verb)}
        return {**found, **self._action(step, verb)}

    def _timeout(self, step: dict[str, Any], verb: str) -> int | None:
        held = step[verb] if isinstance(step[verb], dict) else {}
        return milliseconds(step.get("timeout") or held.get("within"))

    def _action(self, step: dict[str, Any], verb: str) -> dict[str, Any]:
        found: dict[str, Any] = {"commands": [self._command(step, verb)], "agent": ANDON}
        if verb == "wait" and (delay := milliseconds(step["wait"])):
            found["delay"] = delay
        if targets := self._targets(step, verb):
            found["targets"] = targets
        if verb == "ask":
            found["out_args"] = [answer_variable(step["id"])]
        return found

    def _targets(self, step: dict[str, Any], verb: str) -> list[str]:
        if verb in ("notify", "ask"):
            people = [p for p in parties.addressees(step) if "${" not in p]
            return [parties.addressee_id(p) for p in dict.fromkeys(people)]
        if verb in ("http", "webhook"):
            return [parties.endpoint_id(self._book, step[verb]["endpoint"])]
        if verb == "command":
            return [parties.device_id(self._book, step["command"]["device"])]
        return []

    def _command(self, step: dict[str, Any], verb: str) -> dict[str, Any]:
        spec = step[verb]
        if verb == "notify":
            text = text_out(worded(spec["message"]), self._inputs)
            return {"type": "manual", "command": text, "playbook_activity": "deliver-content"}
        if verb == "ask":
            text = text_out(worded(spec["question"]), self._inputs)
            return {"type": "manual", "command": f"{text} [{' | '.join(spec['options'])}]"}
        if verb == "http":
            path = text_out(spec.get("path", ""), self._inputs)
            return self._request(spec.get("method", "GET"), path, spec.get("body"))
        if verb == "webhook":
            body = {"type": spec["type"], "data": spec.get("data", {})}
            return self._request("POST", "", body)
        return {"type": f"x-andon-{verb.replace('_', '-')}", "description": self._told(spec, verb)}

    def _request(self, method: str, path: str, body: Any) -> dict[str, Any]:
        line = f"{method} /{path.removeprefix('/')} HTTP/1.1"
        if body is None:
            return {"type": "http-api", "command": line}
        return {"type": "http-api", "command": line, "headers": _JSON,
                "content": _written(data_out(body, self._inputs))}  # fmt: skip

    def _told(self, spec: Any, verb: str) -> str:
        if verb == "command":
            said = _written(data_out(spec.get("args", {}), self._inputs))
            return f"{spec['op']} {spec['device']} {said}"
        return f"{verb} {_written(data_out(spec, self._inputs))}"


def milliseconds(text: Any) -> int | None:
    """A written time of at least 1 ms; None for a template."""
    if not isinstance(text, str) or text.startswith("${"):
        return None
    return parse_duration(text) or None


def _choice(arms: list[dict[str, Any]]) -> dict[str, Any]:
    if (cased := cases(arms)) is not None:
        return {"type": "switch-condition", "switch": f"{answer_variable(cased[0])}:value"}
    return {"condition": condition_out(arms[0].get("when") or ALWAYS)}


def cases(arms: list[dict[str, Any]]) -> tuple[str, list[str]] | None:
    """The step and its answers if the arms of a switch are one case for each."""
    plain = arms[:-1] if "otherwise" in arms[-1] and "when" not in arms[-1] else arms
    if not plain or any("otherwise" in arm or "when" not in arm for arm in plain):
        return None
    found = same_answer([arm["when"] for arm in plain])
    return found if found and len(found[1]) > 1 else None


def _loop(step: dict[str, Any], verb: str) -> str:
    if verb == "try":
        return ALWAYS
    if verb == "for_each":
        return f"for each of {step['for_each']['items']}"
    until = step["repeat"].get("until")
    return f"NOT ({condition_out(until)})" if until else ALWAYS


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def variables_of(document: dict[str, Any]) -> dict[str, str]:
    """CACAO's name of each input that can have one, by our name."""
    named = {name: variable(name) for name in document.get("inputs", {})}
    return {name: found for name, found in named.items() if found is not None}
