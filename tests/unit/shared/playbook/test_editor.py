"""Check 2: a YAML editor completes verbs and the site's names, and underlines mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.cli.playbook import schema_text
from shared.paths import demo_sites, playbook_library
from shared.playbook.lint import Plant
from shared.site.loader import load_site
from tests.support.language_server import Editor, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
HEAD = "schema: playbook/v1\nplaybook: p\nversion: 1\nname: p\n"


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    schema = tmp_path_factory.mktemp("schema") / "site.schema.json"
    schema.write_text(schema_text(Plant.of(load_site(demo_sites() / "f1"))), encoding="utf-8")
    with Editor(schema) as running:
        yield running


def test_check_02_verbs_are_completed(editor: Editor) -> None:
    found = editor.complete("file:///verbs.yaml", HEAD + "steps:\n  - id: a\n    |\n")
    assert {"command", "ask", "notify", "parallel", "for_each", "compensate_all"} <= set(found)


def test_check_02_device_types_are_completed(editor: Editor) -> None:
    text = HEAD + "devices:\n  burner:\n    type: |\nsteps:\n  - {id: a, log: x}\n"
    found = editor.complete("file:///types.yaml", text)
    assert {"burner.modulating", "fan.exhaust", "compressor.screw"} <= set(found)


def test_check_02_operations_and_alarms_are_completed(editor: Editor) -> None:
    text = HEAD + "steps:\n  - id: a\n    command:\n      device: burner\n      op: |\n"
    assert "set_output" in editor.complete("file:///ops.yaml", text)
    text = HEAD + "triggers:\n  - id: t\n    alarm: |\nsteps:\n  - {id: a, log: x}\n"
    assert "FUR-01.TT-101.HIHI" in editor.complete("file:///alarms.yaml", text)


def test_check_02_a_key_says_what_it_means(editor: Editor) -> None:
    text = HEAD + "steps:\n  - id: a\n    wait_until:\n      with|in: 5m\n      condition: x\n"
    shown = editor.hover("file:///hover.yaml", text)
    assert "最多等多久" in shown
    assert "how long at most" in shown


def test_check_02_mistakes_are_underlined(editor: Editor) -> None:
    good = (playbook_library() / "furnace" / "furnace-overtemp.yaml").read_text(encoding="utf-8")
    lines = [line for line in good.splitlines(keepends=True) if "yaml-language-server" not in line]
    good = "".join(lines)
    assert editor.complaints("file:///good.yaml", good) == []
    wrong = good.replace("type: burner.modulating", "type: burner.electric")
    [complaint] = editor.complaints("file:///wrong.yaml", wrong)
    line = good[: good.index("type: burner.modulating")].count("\n")
    assert complaint["range"]["start"]["line"] == line


def test_check_02_the_server_is_the_one_that_is_pinned() -> None:
    package = Path(__file__).parents[4] / "shared" / "console" / "package.json"
    assert '"yaml-language-server": "1.25.0"' in package.read_text(encoding="utf-8")
