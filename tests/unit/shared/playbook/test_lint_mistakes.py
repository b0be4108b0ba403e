"""Acceptance check 1: every planted mistake gives exactly its finding, at its line and column."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import pytest

from shared.paths import ROOT, demo_sites
from shared.playbook.lint import Finding, Plant, lint
from shared.playbook.loader import Loaded, PlaybookFaults, documented, load_text
from shared.playbook.rules import RULES
from shared.site.loader import load_site
from tests.support.playbook_mistakes import LOADING, MISTAKES, Planted

DATA = ROOT / "tests" / "data" / "playbooks"
CLEAN = (DATA / "clean.yaml").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def plant() -> Plant:
    """Factory 1 with a second linked system, which cannot sign."""
    site = Plant.of(load_site(demo_sites() / "f1"))
    return dataclasses.replace(
        site, endpoints=site.endpoints | {"mes", "wms"}, unsigned=frozenset({"mes", "wms"})
    )


@lru_cache(maxsize=1)
def callee() -> Loaded:
    return load_text((DATA / "clean-callee.yaml").read_bytes(), "callee.yaml")


def found_in(text: str) -> list[Finding]:
    return lint(load_text(text, "p.yaml"), plant(), {"call-people": callee().playbook})


def patched(planted: Planted) -> tuple[str, str]:
    """(the text with the mistake, where it is told)."""
    assert CLEAN.count(planted.old) >= 1, planted.old
    at = CLEAN.index(planted.old)
    text = CLEAN[:at] + planted.new + CLEAN[at + len(planted.old) :]
    place = planted.at.removeprefix("^")
    begin = text.index(place, 0 if planted.at.startswith("^") else max(0, at - 20))
    begin += len(place) - len(place.lstrip(" "))
    line = text.count("\n", 0, begin) + 1
    return text, f"p.yaml:{line}:{begin - text.rfind(chr(10), 0, begin)}"


def test_check_01_the_clean_playbook_has_no_finding() -> None:
    assert found_in(CLEAN) == []
    assert len(MISTAKES) + len(LOADING) >= 45


@pytest.mark.parametrize("name", MISTAKES)
def test_check_01_a_planted_mistake_gives_exactly_its_finding(name: str) -> None:
    planted = MISTAKES[name]
    text, where = patched(planted)
    found = found_in(text)
    assert [finding.code for finding in found] == [planted.code], found
    [finding] = found
    assert finding.where == where
    assert finding.forbids is not planted.advice
    assert all(finding.message[tongue] and finding.mend[tongue] for tongue in ("zh", "en"))
    assert "{" not in finding.mend["en"].replace("args: {", "").replace("verify: {", "") or (
        planted.code in ("ask_without_last_rung", "unverified_command", "unverified_undo",
                         "missing_argument", "call_missing_input")
    )  # fmt: skip


@pytest.mark.parametrize("name", LOADING)
def test_check_03_what_is_no_playbook_is_refused_at_its_place(name: str) -> None:
    planted = LOADING[name]
    text, where = patched(planted)
    with pytest.raises(PlaybookFaults) as raised:
        load_text(text, "p.yaml")
    faults = [documented(fault) for fault in raised.value.faults]
    assert [fault["code"] for fault in faults] == [planted.code], faults
    assert faults[0]["where"] == where
    assert all(faults[0][part][tongue] for part in ("message", "mend") for tongue in ("zh", "en"))


def test_every_code_that_is_planted_is_worded() -> None:
    assert {planted.code for planted in MISTAKES.values()} <= set(RULES)
