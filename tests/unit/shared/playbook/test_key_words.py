"""Every key of a playbook and every kind of failure has its meaning, in both languages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.cli.playbook_keys import playbook_text
from shared.paths import ROOT
from shared.playbook.kinds import KINDS
from shared.playbook.schema import schema
from shared.playbook.wording import PARTS

HAN = re.compile(r"[\u4e00-\u9fff]")
INTERPRETER = sorted((ROOT / "shared" / "playbook").glob("walk*.py"))
ENGINE = [
    *sorted((ROOT / "factory_brain" / "application" / "playbooks").glob("*.py")),
    ROOT / "factory_brain" / "adapters" / "outward_http.py",
]


def parts() -> dict[str, Any]:
    built = schema()
    return {"Playbook": built, **built["$defs"]}


def test_every_key_is_worded_and_nothing_else() -> None:
    assert {name: {"", *part["properties"]} for name, part in parts().items()} == {
        name: set(keys) for name, keys in PARTS.items()
    }


def test_what_is_worded_is_in_both_languages() -> None:
    for part, keys in PARTS.items():
        for key, (zh, en) in keys.items():
            assert HAN.search(zh) or zh == "all、any 或个数" or ":、" in zh, (part, key)
            assert en, (part, key)
            assert not HAN.search(en), (part, key)


def test_the_schema_carries_the_meanings_and_defaults_as_people_write_them() -> None:
    found = parts()
    assert found["Playbook"]["properties"]["deadline"]["default"] == "45m"
    within = found["AskSpec"]["properties"]["within"]
    assert within["description"] == "多久之内回答 / how long there is to answer"
    assert "default" not in found["Step"]["properties"]["retry"], "absent is not null"
    assert all(p["description"] for part in found.values() for p in part["properties"].values())


def test_the_reference_tells_type_default_and_meaning() -> None:
    text = playbook_text("", schema())
    row = next(line for line in text.splitlines() if line.startswith("| `stale_after`"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:3] == ["duration", "`30m`"]
    assert "停机超过这么久" in cells[3]
    assert "| `expires` | duration | **required / 必填** |" in text


def test_every_kind_that_a_run_can_fail_with_is_in_the_table() -> None:
    used = {kind for path in [*INTERPRETER, *ENGINE] for kind in kinds_in(path)}
    assert {"timeout", "journal_mismatch", "command_unknown", "edge_unreachable"} <= used
    assert used <= set(KINDS)
    for kind in KINDS.values():
        assert all(kind)
        assert HAN.search(kind.zh)
        assert HAN.search(kind.mend_zh)


def kinds_in(path: Path) -> Iterator[str]:
    """The values of every `"kind": "…"` of a source file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        pairs = zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ()
        for key, value in pairs:
            if isinstance(key, ast.Constant) and key.value == "kind":
                found = value.body if isinstance(value, ast.IfExp) else value
                if isinstance(found, ast.Constant) and isinstance(found.value, str):
                    yield found.value


def test_the_kinds_of_failure_are_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference" / "error-codes.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"| `{kind}` |" not in text] == []
