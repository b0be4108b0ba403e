"""Every refusal code of the product, read from its source text.

Used by `andon gen reference` and by the tests that hold each code against its wording; imports
nothing of what it reads.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("shared", "edge_node", "factory_brain", "group_cloud")
_CODE_AT = {"Rejected": 0, "ProblemError": 1, "Step": 1}
_ACCEPTED = ("", "ok", "noop")
_ANSWERS = ("refused", "recorded")
"""The first half of an answer to a fact whose second half is a code."""


def codes(root: Path) -> dict[str, list[str]]:
    """code -> the files that use it, in alphabetical order."""
    found: dict[str, set[str]] = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            if "node_modules" in path.parts:
                continue
            for code in _codes_in(ast.parse(path.read_text(encoding="utf-8"))):
                if code in _ACCEPTED:  # nothing to word
                    continue
                found.setdefault(code, set()).add(path.relative_to(root).as_posix())
    return {code: sorted(files) for code, files in sorted(found.items())}


def _codes_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            first, second = [*node.value.elts, None, None][:2]
            if isinstance(first, ast.Constant) and first.value in _ANSWERS and second is not None:
                yield from _constants(second)
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if name not in _CODE_AT:
            continue
        at = _CODE_AT[name]
        given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        given += node.args[at : at + 1]
        for value in given:
            yield from _constants(value)


def _constants(value: ast.expr) -> Iterator[str]:
    """String constants an expression can have as its value (`a if x else b` has two)."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.IfExp):
        yield from _constants(value.body)
        yield from _constants(value.orelse)


def wordings(root: Path) -> dict[str, dict[str, str]]:
    """language -> code -> wording, from the console's catalogues."""
    folder = root / "shared" / "console" / "src" / "locales"
    files = {"zh": "zh-CN.json", "en": "en.json"}
    return {
        language: json.loads((folder / name).read_text(encoding="utf-8"))["code"]
        for language, name in files.items()
    }
