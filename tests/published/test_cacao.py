"""OASIS CACAO v2: our exports against the official schemas; SOARCA's playbooks through the import.

Sources: oasis-open/cacao-json-schemas `schemas/` (51 files, commit 7285329); COSSAS/SOARCA
`examples/*.json` and `test/playbooks/*.json` (commit 06b0473). Both lie in `tests/data/cacao`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.playbook.cacao.export import to_cacao
from shared.playbook.cacao.reading import from_cacao
from shared.playbook.faults import PlaybookFaults
from shared.playbook.lint import forbidding, lint
from shared.playbook.loader import load_playbook
from tests.support.cacao_schemas import DECLARED, MENDED, STRICT, errors, fault, files, soarca
from tests.support.playbook_trees import Tree

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = sorted(
    path for path in (ROOT / "playbooks" / "library").rglob("*.yaml")
    if path.read_text(encoding="utf-8").find("schema: playbook/v1") >= 0
)  # fmt: skip
AT = 1_700_000_000_000

IMPORTED = {
    # name: (verbs of the draft, what a person is told)
    "fin-playbook": (["ask", "switch"], "Andon runs no pong"),
    "http-playbook": (["http"], "bind the address of the endpoint 'httpbin'"),
    "manual-playbook": (["ask", "switch"], "__hyperspeed_ready__ to 'manual' is free text"),
    "openc2-playbook": (["http"], "bind the address of the endpoint 'httpbin'"),
    "powershell-playbook": (["ask", "switch"], "Andon runs no powershell"),
    "ssh-playbook": (["ask", "switch", "ask", "switch"], "credentials were left out"),
    "playbook": (["http"] * 4, "__cve__ is declared nowhere"),
    "invalid_email_playbook": (["http"] * 4, "taken as no handler"),
    "invalid_playbook": (["http"] * 4, "credentials were left out"),
    "parallels_playbook": (["try"], "a branch is empty"),
}
REFUSED = {
    # name: (code, place, why)
    "changed-playbook": ("cacao_no_workflow", "#/workflow", "a list of steps, as in CACAO 1"),
    "infinite_playbook": (
        "cacao_loop", "#/workflow/action--6b23c237-ade8-4d00-9aa1-75999738d557",
        "its last step goes on to itself; the schema allows it",
    ),
    "missing_step_playbook": (
        "cacao_missing_step", "#/workflow/action--2190f685-1857-44ac-ad0e-0ded6c6ef3ce",
        "the end step it goes on to is not there; the schema allows it",
    ),
}  # fmt: skip


def test_every_published_playbook_is_either_imported_or_refused_for_a_reason() -> None:
    assert set(IMPORTED) | set(REFUSED) == set(soarca())
    assert len(soarca()) == 13
    assert not set(IMPORTED) & set(REFUSED)


@pytest.mark.parametrize("name", sorted(IMPORTED))
def test_a_published_playbook_becomes_a_draft(name: str) -> None:
    given = soarca()[name]
    found = from_cacao(json.dumps(given), f"{name}.json")
    verbs, told = IMPORTED[name]
    assert [step.verb for step in found.loaded.playbook.steps] == verbs
    assert any(told in note.en for note in found.notes)
    assert any(note.where == "triggers" for note in found.notes)
    assert all(note.en in " ".join(found.text.split()) for note in found.notes)
    assert forbidding(lint(found.loaded)) == []
    for login in given.get("authentication_info_definitions", {}).values():
        assert f"password: {login['password']}" not in found.text
        assert "Password1234!" not in found.text


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_published_playbook_without_a_structure_is_refused(name: str) -> None:
    code, place, _ = REFUSED[name]
    with pytest.raises(PlaybookFaults) as refusal:
        from_cacao(json.dumps(soarca()[name]), f"{name}.json")
    told = fault(refusal.value)
    assert (told.code, told.where) == (code, f"{name}.json{place}")


def test_what_the_official_schemas_say_of_the_published_playbooks() -> None:
    assert len(files()) == 51
    valid = {
        reading: {name for name, given in soarca().items() if not errors(given, reading)}
        for reading in (DECLARED, STRICT, MENDED)
    }
    tests = {name for name in soarca() if name == "playbook" or name.endswith("_playbook")}
    assert len(valid[DECLARED] & tests) == 5  # not `invalid_playbook`, nor `changed-playbook`
    assert valid[STRICT] == set()  # no `command` in any command
    assert valid[MENDED] == set()  # agents of a type `soarca`, a field `banana`


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.stem)
def test_a_playbook_of_the_library_is_exported_by_the_schemas_and_comes_back(path: Path) -> None:
    loaded = load_playbook(path)
    document = to_cacao(loaded.playbook, AT, AT)
    assert errors(document, DECLARED) == []
    assert errors(document, MENDED) == []
    found = from_cacao(json.dumps(document), path.name)
    assert found.loaded.digest == loaded.digest
    assert (found.notes, found.ours) == ([], True)


@pytest.mark.parametrize("seed", range(8))
def test_random_playbooks_are_exported_by_the_schemas(seed: int) -> None:
    document = to_cacao(Tree(seed).book(), AT, AT)
    assert errors(document, DECLARED) == []
    assert errors(document, MENDED) == []
    strict = {tuple(place[:2]) for place, _ in errors(document, STRICT)}
    commands = {
        ("workflow", name) for name, node in document["workflow"].items()
        if any("command" in each for each in node.get("commands", []))
    }  # fmt: skip
    assert strict <= commands  # nothing but the defect that MENDED mends


def test_the_schemas_see_a_wrong_export() -> None:
    document = to_cacao(Tree(1).book(), AT, AT)
    node = next(n for n in document["workflow"].values() if n["type"] == "action")
    del node["agent"]
    assert errors(document, DECLARED)
    assert errors(document, MENDED)
