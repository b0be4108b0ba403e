"""The documentation is true: its commands exist, its links lead on, it names every package."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from shared.cli.main import app
from tests.architecture.tree import PRODUCT, ROOT, files, name

READMES = ["README.md", "README.zh-CN.md"]
FIXED = {
    "fastapi": "fastapi", "nats-py": "nats", "asyncua": "asyncua", "pymodbus": "pymodbus",
    "paho-mqtt": "paho", "transitions": "transitions", "river": "river", "sqlmodel": "sqlmodel",
    "asyncpg": "asyncpg", "httpx": "httpx", "python-keycloak": "keycloak",
}  # fmt: skip
"""The customer's packages -> the module that shows their use."""


def requirements() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
    ]
    lists += project["dependency-groups"].values()
    names = {re.split(r"[\[<>=!~ ]", entry, maxsplit=1)[0] for group in lists for entry in group}
    return names - {"andon"}


def imported() -> set[str]:
    found = set()
    for path in files(".py", under=PRODUCT):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found


def test_a_package_of_the_customer_comes_in_with_its_first_use() -> None:
    declared, used = requirements(), imported()
    for package, module in FIXED.items():
        assert (package in declared) == (module in used), package


def test_every_package_is_justified() -> None:
    text = (ROOT / "docs" / "explanation" / "dependencies.md").read_text(encoding="utf-8")
    assert {package for package in requirements() if f"`{package}`" not in text} == set()


def test_every_package_of_the_console_is_justified() -> None:
    package = json.loads((ROOT / "shared" / "console" / "package.json").read_text())
    text = (ROOT / "docs" / "explanation" / "dependencies.md").read_text(encoding="utf-8")
    wanted = {*package["dependencies"], *package["devDependencies"]}
    assert {one for one in wanted if f"`{one}`" not in text} == set()


@pytest.mark.parametrize("readme", READMES)
def test_a_readme_is_short(readme: str) -> None:
    assert 30 < len((ROOT / readme).read_text(encoding="utf-8").splitlines()) <= 150


def commands(text: str) -> set[str]:
    """What a text tells people to type: in code blocks and in `code`."""
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.S)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    lines = [line.strip() for block in blocks for line in block.splitlines()] + spans
    return {line for line in lines if re.match(r"(make|andon|\.venv/bin/andon) \w", line)}


def exists(command: str) -> bool:
    words = command.split("#")[0].split()
    if words[0] == "make":
        targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M)
        return all(word in targets for word in words[1:] if "=" not in word)
    group: Any = typer.main.get_command(app)
    for word in words[1:]:
        if not hasattr(group, "list_commands"):
            return True
        group = group.get_command(None, word)
        if group is None:
            return False
    return True


@pytest.mark.parametrize("document", [*READMES, "CONTRIBUTING.md"])
def test_every_command_that_is_told_exists(document: str) -> None:
    told = commands((ROOT / document).read_text(encoding="utf-8"))
    assert told, "the document tells no command"
    assert {command for command in told if not exists(command)} == set()


def test_a_command_that_does_not_exist_would_be_seen() -> None:
    assert commands("`make demo` and\n```\nandon nope\n```\n") == {"make demo", "andon nope"}
    assert not exists("andon nope")
    assert not exists("make nope")
    assert exists("andon gen nats --folder x")


def _links(path: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    found = re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r'(?:src|href)="([^"#]+)"', text)
    return [link for link in found if "://" not in link and not link.startswith("mailto:")]


LATER = {"docs/images/console.png"}
"""Made by the console's own tests from the real screen."""


def test_every_link_leads_somewhere() -> None:
    broken = []
    for path in [p for p in files(".md") if not name(p).startswith("tests/")]:
        for link in _links(path):
            target = (path.parent / link).resolve()
            if not target.exists() and target.relative_to(ROOT).as_posix() not in LATER:
                broken.append(f"{name(path)} -> {link}")
    assert broken == []


def test_decisions_are_numbered_without_a_hole() -> None:
    numbers = sorted(int(p.name[:4]) for p in (ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 5
