"""`andon playbook export|import`, and files that are damaged in any place."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shared.cli.playbook import app
from shared.playbook.cacao.export import to_cacao
from shared.playbook.cacao.reading import from_cacao
from shared.playbook.faults import PlaybookFaults
from shared.playbook.loader import load_playbook
from tests.support.cacao_schemas import soarca
from tests.support.playbook_trees import Tree

FURNACE = (
    Path(__file__).resolve().parents[5] / "playbooks" / "library" / "furnace"
    / "furnace-overtemp.yaml"
)  # fmt: skip


def ran(*words: str, code: int = 0) -> str:
    """The output of a verb."""
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result.stdout


def test_out_and_back(tmp_path: Path) -> None:
    there, back = tmp_path / "f.json", tmp_path / "f.yaml"
    ran("export", str(FURNACE), "--out", str(there))
    told = json.loads(ran("import", str(there), "--out", str(back), "--json"))
    assert load_playbook(back).digest == load_playbook(FURNACE).digest == told["digest"]
    assert (told["draft"], told["todo"], told["written"]) == (False, [], [str(back)])
    assert ran("export", str(FURNACE)) == there.read_text(encoding="utf-8")


def test_a_foreign_file_says_what_is_left_to_do(tmp_path: Path) -> None:
    given = tmp_path / "ssh.json"
    given.write_text(json.dumps(soarca()["ssh-playbook"]), encoding="utf-8")
    told = json.loads(ran("import", str(given), "--json"))
    assert told["draft"] is True
    assert {"zh", "en"} == set(told["todo"][0]["message"])
    assert "no_trigger" in [finding["code"] for finding in told["faults"]]
    assert "schema: playbook/v1" in ran("import", str(given))


def test_what_is_refused_or_not_there(tmp_path: Path) -> None:
    given = tmp_path / "loop.json"
    given.write_text(json.dumps(soarca()["infinite_playbook"]), encoding="utf-8")
    told = json.loads(ran("import", str(given), "--json", code=1))
    assert [fault["code"] for fault in told["faults"]] == ["cacao_loop"]
    assert "cacao_loop" in ran("import", str(given), code=1)
    ran("import", str(tmp_path / "none.json"), code=2)
    ran("export", str(tmp_path / "none.yaml"), code=2)
    ran("export", str(FURNACE), "--out", str(tmp_path / "none" / "f.json"), code=2)


JUNK: list[Any] = [None, 0, -1, True, "", "x", [], [1], {}, {"a": 1}, [[]], "${1/0}", "end--x"]


def places(part: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    found: list[tuple[Any, Any]] = []
    if isinstance(part, dict | list):
        for key in list(part) if isinstance(part, dict) else range(len(part)):
            found += [(part, key), *places(part[key])]
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_read_or_refused_and_never_a_crash(seed: int) -> None:
    chance = random.Random(seed)
    whole = [json.dumps(to_cacao(Tree(seed).book(), 0, 0)),
             json.dumps(chance.choice(list(soarca().values())))]  # fmt: skip
    refused = 0
    for _ in range(25):
        document = json.loads(chance.choice(whole))
        for _ in range(chance.randint(1, 3)):
            holder, key = chance.choice(places(document))
            if isinstance(holder, dict) and chance.random() < 0.3:
                holder.pop(key, None)
            elif isinstance(holder, dict) or key < len(holder):
                holder[key] = chance.choice(JUNK)
        try:
            from_cacao(json.dumps(document), "d.json")
        except PlaybookFaults as error:
            refused += 1
            assert str(error)
    assert refused
