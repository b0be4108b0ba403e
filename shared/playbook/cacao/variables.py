"""Inputs as CACAO variables and back, and variables inside texts.

Called by both directions; a text that came from outside never becomes an expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from shared.playbook.cacao.conditions import variable
from shared.playbook.cacao.names import worded

_TYPES = {"number": "float", "integer": "integer", "boolean": "bool"}
_KINDS = {"float": "number", "integer": "integer", "long": "integer", "bool": "boolean"}
_LONE = re.compile(r"\$\{\s*inputs\.(\w+)\s*\}")
_USED = re.compile(r"(__[A-Za-z_][\w-]*?__)(?::value)?(?![\w])")


def variable_of(spec: dict[str, Any]) -> dict[str, Any]:
    """An input as a variable."""
    found: dict[str, Any] = {"type": _TYPES.get(spec["type"], "string")}
    if text := " ".join(filter(None, (worded(spec.get("description", "")), spec.get("unit", "")))):
        found["description"] = text
    default = spec.get("default")
    if default is not None:
        found["value"] = str(default).lower() if isinstance(default, bool) else str(default)
    return {**found, "constant": "tunable" not in spec, "external": default is None}


def input_of(given: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """A variable as an input, and whether its type and value could be kept."""
    kind = _KINDS.get(str(given.get("type")), "string")
    spec: dict[str, Any] = {"type": kind}
    if text := given.get("description"):
        spec["description"] = str(text)
    value = given.get("value")
    if value is None:
        return spec, str(given.get("type")) in (*_KINDS, "string")
    try:
        spec["default"] = _READ[kind](str(value))
    except (ValueError, KeyError):
        return {**spec, "type": "string", "default": str(value)}, False
    return spec, str(given.get("type")) in (*_KINDS, "string")


_READ: dict[str, Callable[[str], Any]] = {
    "number": float, "integer": int, "string": str,
    "boolean": lambda text: {"true": True, "false": False}[text.lower()],
}  # fmt: skip


def text_out(text: str, inputs: dict[str, Any]) -> str:
    """A text of ours with its plain references to inputs as variables."""

    def named(found: re.Match[str]) -> str:
        name = variable(found[1]) if found[1] in inputs else None
        return f"{name}:value" if name else found[0]

    return _LONE.sub(named, text)


def text_in(text: str, meaning: Callable[[str], str | None]) -> str:
    """A text from outside: `${` stays what it is, known variables become references."""

    def named(found: re.Match[str]) -> str:
        reference = meaning(found[1])
        return f"${{{reference}}}" if reference else found[0]

    return _USED.sub(named, text.replace("${", "$${"))


def used_in(text: str) -> list[str]:
    """The variables that a text names."""
    return [found[1] for found in _USED.finditer(text)]


def data_out(value: Any, inputs: dict[str, Any]) -> Any:
    """`text_out` for every text of nested data."""
    if isinstance(value, str):
        return text_out(value, inputs)
    if isinstance(value, list):
        return [data_out(each, inputs) for each in value]
    if isinstance(value, dict):
        return {key: data_out(each, inputs) for key, each in value.items()}
    return value
