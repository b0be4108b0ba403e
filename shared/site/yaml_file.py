"""Reading YAML 1.2 files with positions: every complaint names file:line:column and a mend.

Used for sites, settings, playbooks and scenarios; refuses duplicate keys, aliases and large files.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent

from shared.errors import ConfigError
from shared.site.wording import said

MAX_BYTES = 256 * 1024


def read_yaml(path: Path) -> Any:
    """Parse one file; raises ConfigError with position."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            "no such file", where=str(path), mend="create it or correct the path"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            "not UTF-8 text", where=str(path), mend="save the file as UTF-8"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot read: {error.strerror}", where=str(path)) from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> Any:
    """Parse YAML text; raises ConfigError with position."""
    if len(text.encode()) > MAX_BYTES:
        raise ConfigError(
            f"larger than {MAX_BYTES // 1024} KiB",
            where=name,
            mend="split it into several files",
        )
    try:
        # An alias has an asterisk; most files have none, and need not be read twice for it.
        for event in YAML(typ="rt").parse(text) if "*" in text else ():
            if isinstance(event, AliasEvent):
                mark = event.start_mark
                raise ConfigError(
                    "aliases (*name) are not allowed",
                    where=f"{name}:{mark.line + 1}:{mark.column + 1}",
                    mend="write the value out",
                )
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        problem = " ".join(str(error.problem or error.context or "not valid YAML").split())
        raise ConfigError(problem, where=where, mend="mend the YAML at this place") from error


def position(document: Any, path: Iterable[str | int], name: str) -> str:
    """`file:line:column` of the deepest part of `path` that exists in `document`."""
    line, column = 1, 1
    node = document
    for key in path:
        if not isinstance(node, CommentedBase):
            break
        try:
            place = node.lc.value(key) if isinstance(node, dict) else node.lc.item(key)
            if isinstance(node, dict):
                place = node.lc.key(key)
        except (KeyError, TypeError, IndexError, AttributeError):
            break
        line, column = place[0] + 1, place[1] + 1
        try:
            node = node[key]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
    return f"{name}:{line}:{column}"


def complaints(
    error: ValidationError, document: Any, name: str, fields: Iterable[str] = ()
) -> list[ConfigError]:
    """Each fault of a validated document with its place and a mend, in the order of the file."""
    found: list[ConfigError] = []
    places: dict[tuple[str | int, ...], list[Any]] = {}
    for fault in error.errors():
        places.setdefault(_path(document, fault), []).append(fault)
    for path, faults in places.items():
        item, label = _label(document, path)
        where = position(document, path, name)
        if unknown := [fault for fault in faults if fault["type"] == "extra_forbidden"]:
            close = difflib.get_close_matches(str(unknown[0]["loc"][-1]), list(fields), n=1)
            mend = f"did you mean {close[0]!r}?" if close else "remove it or correct its name"
            message = f"未知的键 / unknown key {label!r}"
        else:
            message, mend = said(faults), _mend(faults[0])
            message = f"{label}: {message}" if label else message
        found.append(ConfigError(f"{item}: {message}" if item else message, where=where, mend=mend))
    return found


def _path(document: Any, fault: Any) -> tuple[str | int, ...]:
    """Where it is in the document: without the parts that only name a member of a union."""
    path: list[str | int] = []
    node = document
    for part in fault["loc"]:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            break
        path.append(part)
    if fault["type"] == "missing" and fault["loc"]:
        path.append(fault["loc"][-1])
    return tuple(path)


def _label(document: Any, path: tuple[str | int, ...]) -> tuple[str, str]:
    """The id of the item that it is in, if it has one, and the place in it or in the document."""
    if len(path) > 1 and isinstance(path[1], int):
        items = document[path[0]]
        item = items[path[1]] if isinstance(items, list) and path[1] < len(items) else None
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            return item["id"], ".".join(map(str, path[2:]))
    return "", ".".join(map(str, path))


def _mend(fault: Any) -> str:
    if fault["type"] == "missing":
        return f"add the key {fault['loc'][-1]!r}"
    expected = fault.get("ctx", {}).get("expected")
    return f"write one of {expected}" if expected else "correct the value"
