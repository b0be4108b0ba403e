"""`steps.<id>.before.<argument>` of a command is `steps.<id>.before`: the one value it captured.

Called by the model as a document is read, so that linter, interpreter and edge see one form. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_READ = re.compile(
    r"""(?P<kept>\bsteps\s*(?:\.\s*(?P<plain>[A-Za-z_]\w*)|\[\s*(?P<q>['"])(?P<quoted>[^'"]+)(?P=q)\s*\])"""
    r"""\s*\.\s*before)\s*(?:\.\s*(?P<arg>[A-Za-z_]\w*)|\[\s*(?P<r>['"])(?P<named>[^'"]+)(?P=r)\s*\])"""
)  # fmt: skip


def plainly(document: Any) -> Any:
    """The document with the captured values in their plain form; as it is where there are none."""
    if not isinstance(document, Mapping) or not _speaks(document):
        return document
    args: dict[str, frozenset[str]] = {}
    _gather(document, args)
    return _rewritten(document, args)


def _speaks(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_speaks(each) for each in value.values())
    if isinstance(value, list | tuple):
        return any(_speaks(each) for each in value)
    return isinstance(value, str) and _READ.search(value) is not None


def _gather(value: Any, args: dict[str, frozenset[str]]) -> None:
    """Each step that is a command -> its arguments."""
    if isinstance(value, Mapping):
        name, command = value.get("id"), value.get("command")
        if isinstance(name, str) and isinstance(command, Mapping):
            given = command.get("args")
            args[name] = frozenset(map(str, given)) if isinstance(given, Mapping) else frozenset()
        for each in value.values():
            _gather(each, args)
    elif isinstance(value, list | tuple):
        for each in value:
            _gather(each, args)


def _rewritten(value: Any, args: Mapping[str, frozenset[str]]) -> Any:
    if isinstance(value, Mapping):
        return {key: _rewritten(each, args) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rewritten(each, args) for each in value]
    if not isinstance(value, str):
        return value

    def plain(found: re.Match[str]) -> str:
        name = found["plain"] or found["quoted"]
        known = (found["arg"] or found["named"]) in args.get(name, ())
        return found["kept"] if known else found[0]

    return _READ.sub(plain, value)
