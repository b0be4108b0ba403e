"""What is written about playbooks: in Chinese too, by one word, with commands that exist."""

from __future__ import annotations

import pytest

from tests.architecture.test_documents import commands, exists
from tests.architecture.tree import ROOT, files, name

HOWTO = ROOT / "docs" / "howto"
PAGES = ["write-a-playbook", "test-a-playbook", "release-a-playbook", "playbook-library"]
OTHER_WORD = "\u5267\u672c"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_about_playbooks_stands_in_both_languages(page: str) -> None:
    english = (HOWTO / f"{page}.md").read_text(encoding="utf-8")
    chinese = (HOWTO / f"{page}.zh-CN.md").read_text(encoding="utf-8")
    assert f"({page}.zh-CN.md)" in english
    assert f"({page}.md)" in chinese
    told = commands(english) | commands(chinese)
    assert told
    assert {command for command in told if not exists(command)} == set()


def test_a_playbook_is_called_by_one_word_in_chinese() -> None:
    places = [
        name(path)
        for suffix in (".md", ".py", ".json", ".yaml", ".vue", ".ts")
        for path in files(suffix)
        if OTHER_WORD in path.read_text(encoding="utf-8")
    ]
    assert places == []
