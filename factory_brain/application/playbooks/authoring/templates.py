"""What a draft may begin from: the shipped library, the brain's own folder, a blank form.

Read from disk when asked; a file that is no playbook is no template.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shared.errors import ConfigError
from shared.playbook.loader import load_playbook
from shared.playbook.template import playbook_files

BLANK = """\
# yaml-language-server: $schema=/api/playbook-schema
schema: playbook/v1
playbook: {name}
version: 1
name: {{zh: 未命名, en: Unnamed}}
triggers:
  - id: by-hand
    manual: {{roles: [{role}]}}
deadline: 10m
steps:
  - id: note
    log: "started by ${{run.started_by}}"
"""
USUAL = "shift-lead"
_MOST = 200


@dataclass(frozen=True, slots=True)
class Template:
    """One of them."""

    id: str
    playbook: str
    name_zh: str
    name_en: str
    text: str
    test: str


class Templates:
    """The templates of one brain."""

    def __init__(self, *folders: Path) -> None:
        self._folders = tuple(dict.fromkeys(folders))
        self._read: dict[Path, tuple[int, Template | None]] = {}

    async def all(self) -> list[Template]:
        """All of them, by id."""
        found = await asyncio.to_thread(self._all)
        return [found[name] for name in sorted(found)]

    async def get(self, template: str) -> Template | None:
        """One."""
        return (await asyncio.to_thread(self._all)).get(template)

    async def test_of(self, playbook: str) -> str:
        """The test that lies beside a playbook's file, or an empty one."""
        found = await asyncio.to_thread(self._all)
        return next((each.test for each in found.values() if each.playbook == playbook), "")

    def blank(self, name: str, roles: Iterable[str]) -> str:
        """A text to begin with, at a site that has these roles."""
        known = list(roles)
        role = USUAL if USUAL in known or not known else known[0]
        return BLANK.format(name=name, role=role)

    def _all(self) -> dict[str, Template]:
        found: dict[str, Template] = {}
        for folder in self._folders:
            for path in playbook_files(folder)[:_MOST]:
                made = self._one(folder, path)
                if made is not None:
                    found.setdefault(made.id, made)
        return found

    def _one(self, folder: Path, path: Path) -> Template | None:
        changed = path.stat().st_mtime_ns
        known = self._read.get(path)
        if known is None or known[0] != changed:
            known = self._read[path] = (changed, _template(folder, path))
        return known[1]


def _template(folder: Path, path: Path) -> Template | None:
    try:
        book = load_playbook(path).playbook
    except ConfigError:
        return None
    beside = path.with_name(f"{path.stem}.test.yaml")
    test = beside.read_text("utf-8") if beside.is_file() else ""
    name = path.relative_to(folder).with_suffix("").as_posix()
    text = path.read_text("utf-8").replace("\r\n", "\n")
    return Template(name, book.playbook, book.name.zh, book.name.en, text, test)
