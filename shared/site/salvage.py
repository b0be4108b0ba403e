"""What is left of a site's file with faults: the items that have none, and the ids of the others.

Used by `reader` where people check a site; a site that runs takes nothing of a faulty file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shared.site.yaml_file import MAX_BYTES

_ID = re.compile(r"""(?:^|[\s{,-])id:\s*["']?([A-Za-z0-9][\w.-]*)""", re.MULTILINE)
_KEY = re.compile(r"^  ([A-Za-z0-9][\w./-]*):", re.MULTILINE)


def without(document: Any, error: ValidationError) -> tuple[Any, set[str]]:
    """The document without the items, or the keys, that the error is about; the ids of those."""
    if not isinstance(document, dict):
        return document, set()
    bad: dict[Any, set[Any]] = {}
    for fault in error.errors():
        where = fault["loc"]
        bad.setdefault(where[0] if where else None, set()).add(where[1] if len(where) > 1 else None)
    rest: dict[Any, Any] = {}
    lost: set[str] = set()
    for key, items in document.items():
        wrong = bad.get(key, set())
        if isinstance(items, list):
            whole = None in wrong
            kept = [x for index, x in enumerate(items) if not whole and index not in wrong]
            gone = [x for index, x in enumerate(items) if whole or index in wrong]
            lost |= {str(x["id"]) for x in gone if isinstance(x, dict) and "id" in x}
            rest[key] = kept
        elif isinstance(items, dict) and wrong and None not in wrong:
            rest[key] = {name: item for name, item in items.items() if name not in wrong}
            lost |= {str(name) for name in wrong}
        elif not wrong:
            rest[key] = items
    return rest, lost


def ids_in(path: Path) -> set[str]:
    """The ids that a file which cannot be parsed seems to define."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_BYTES)
    except OSError:
        return set()
    return {*_ID.findall(text), *_KEY.findall(text)}
