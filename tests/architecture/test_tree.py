"""Sizes, banned calls, and nothing in the tree that belongs to one machine."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.tree import PRODUCT, ROOT, files, name

MOST_LINES = 400
BANNED = {
    "time.time": {"shared/clock.py"},
    "time.time_ns": {"shared/clock.py"},
    "time.monotonic_ns": {"shared/clock.py"},
    "datetime.now": set(),
    "datetime.utcnow": set(),
    "datetime.today": set(),
    "datetime.datetime.now": set(),
    "uuid.uuid4": set(),
    "uuid4": set(),
    "print": set(),
}
"""call -> the files that may make it."""
# Written in parts, so that this file does not contain what it looks for.
FOREIGN = [
    "/wo" + "rk/", "/tmp/br" + "ief", "/ro" + "ot/", "/home/" + "ubuntu", "pypi" + ".org",
    "pythonhosted" + ".org", "registry.npm" + "js", "npm" + "mirror", "aliyun" + ".com/pypi",
    "tuna." + "tsinghua",
]  # fmt: skip
LOCKS = {"uv.lock"}
"""A lock names where each package came from; that is its purpose."""


def test_no_file_is_longer_than_can_be_read() -> None:
    long = {}
    for path in files(".py", ".pyx", ".ts", ".vue", ".css"):
        if path.name.endswith(".d.ts"):
            continue
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MOST_LINES:
            long[name(path)] = lines
    assert long == {}


def _called(tree: ast.AST) -> list[tuple[str, int]]:
    return [
        (ast.unparse(node.func), node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]


def test_time_ids_and_output_come_through_their_ports() -> None:
    found = []
    for path in files(".py", under=PRODUCT):
        for call, line in _called(ast.parse(path.read_text(encoding="utf-8"))):
            if call in BANNED and name(path) not in BANNED[call]:
                found.append(f"{name(path)}:{line} {call}")
    assert found == []


def test_the_ban_sees_what_it_bans() -> None:
    tree = ast.parse("import time\ndef f():\n    return time.time(), print(1)\n")
    assert {call for call, _ in _called(tree)} >= {"time.time", "print"}


def test_nothing_in_the_tree_belongs_to_one_machine() -> None:
    found = []
    for path in files():
        if name(path) in LOCKS or path.suffix in (".png", ".so", ".ico", ".woff2"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{name(path)}: {word}" for word in FOREIGN if word in text]
    assert found == []


def test_every_module_says_what_it_is() -> None:
    silent = []
    for path in files(".py", under=PRODUCT):
        text = path.read_text(encoding="utf-8")
        if text.strip() and ast.get_docstring(ast.parse(text)) is None:
            silent.append(name(path))
    assert silent == []


def _broad_handlers(path: Path) -> list[int]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lines = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        kind = ast.unparse(node.type) if node.type else "BaseException"
        quiet = all(isinstance(part, ast.Pass | ast.Continue) for part in node.body)
        if quiet and kind in ("Exception", "BaseException"):
            lines.append(node.lineno)
    return lines


def test_no_fault_is_swallowed_unseen() -> None:
    found = {name(p): lines for p in files(".py", under=PRODUCT) if (lines := _broad_handlers(p))}
    assert found == {}


@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME", "XX" + "X"])
def test_nothing_is_left_for_later_in_the_code(word: str) -> None:
    pattern = re.compile(rf"\b{word}\b")
    found = [
        name(p) for p in files(".py", ".ts", ".vue", under=PRODUCT) if pattern.search(p.read_text())
    ]
    assert found == []


def test_the_customers_top_level_folders_are_there() -> None:
    wanted = {"pyproject.toml", "edge_node", "factory_brain", "group_cloud", "shared", "playbooks",
              "simulators", "tests", "deploy"}  # fmt: skip
    assert wanted <= {path.name for path in ROOT.iterdir()}
