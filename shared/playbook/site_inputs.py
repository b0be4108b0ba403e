"""A site's values for a playbook's inputs: whether they fit, and what a run is given. Pure.

Used when a playbook is released and when a site is checked; bounds of devices are the edge's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.playbook.model import Input, Playbook
from shared.site.fields import parse_duration


def given(book: Playbook, values: Mapping[str, Any]) -> dict[str, Any]:
    """name -> value for every input of the playbook: the site's, else its default."""
    return {name: values.get(name, spec.default) for name, spec in book.inputs.items()}


def faults_of(book: Playbook, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(input, what is wrong, in both languages) of each value that does not fit."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        spec = book.inputs.get(name)
        if spec is None:
            known = ", ".join(sorted(book.inputs)) or "-"
            found.append((name, f"预案没有该输入 / the playbook has no such input; it has {known}"))
        elif why := _unfit(spec, value):
            found.append((name, why))
    return found


def _unfit(spec: Input, value: Any) -> str:
    """Why a value is none of the input's type; empty if it is."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and float(value).is_integer()
    match spec.type:
        case "number" if not number:
            wanted = "数值 / a number"
        case "integer" if not whole:
            wanted = "整数 / a whole number"
        case "boolean" if not isinstance(value, bool):
            wanted = "true 或 false / true or false"
        case "string" if not isinstance(value, str):
            wanted = "文字 / a text"
        case "choice" if value not in spec.options:
            wanted = "其中之一 / one of " + ", ".join(spec.options)
        case "duration" if not _duration(value):
            wanted = "时长，例如 5m / a duration, for example 5m"
        case _:
            return ""
    return f"{value!r}: 应为{wanted}"


def _duration(value: Any) -> bool:
    try:
        parse_duration(value)
    except ValueError:
        return False
    return True
