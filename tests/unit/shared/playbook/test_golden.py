"""Golden journals: at every prefix the interpreter still asks for what it asked for then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.playbook.model import Playbook
from shared.playbook.run import SEMANTICS
from tests.support.golden import FOLDER, SITUATIONS, replayed

KEPT = sorted(FOLDER.glob("*.json"))


def test_check_24_there_are_golden_journals() -> None:
    assert {path.stem for path in KEPT} >= set(SITUATIONS)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_check_24_an_old_journal_means_what_it_meant(path: Path) -> None:
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept["semantics"] <= SEMANTICS
    pairs = replayed(kept)
    assert len(pairs) >= 5
    for number, (expected, found) in enumerate(pairs):
        assert found == expected, f"look {number}"


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_stored_document_reads_back_as_it_was(path: Path) -> None:
    kept = json.loads(path.read_text(encoding="utf-8"))["document"]
    read = Playbook.model_validate(kept)
    again = read.model_dump(mode="json", by_alias=True)
    assert Playbook.model_validate(again) == read
    short = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert Playbook.model_validate(short) == read
