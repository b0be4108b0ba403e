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
    """Each fault of a validated document with its place and a mend."""
    found: list[ConfigError] = []
    for fault in error.errors():
        path = [part for part in fault["loc"] if isinstance(part, (str, int))]
        where = position(document, path, name)
        label = ".".join(str(part) for part in path)
        if fault["type"] == "extra_forbidden":
            close = difflib.get_close_matches(str(path[-1]), list(fields), n=1)
            mend = f"did you mean {close[0]!r}?" if close else "remove it or correct its name"
            found.append(ConfigError(f"unknown key {label!r}", where=where, mend=mend))
        else:
            found.append(ConfigError(f"{label}: {fault['msg']}", where=where, mend=_mend(fault)))
    return found


def _mend(fault: Any) -> str:
    if fault["type"] == "missing":
        return f"add the key {fault['loc'][-1]!r}"
    expected = fault.get("ctx", {}).get("expected")
    return f"write one of {expected}" if expected else "correct the value"
