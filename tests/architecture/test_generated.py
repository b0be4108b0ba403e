"""Files made from code are the ones that the code makes now."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from shared.bus.nats_conf import render_examples
from shared.cli import gen
from shared.cli.main import app
from shared.cli.reference import command_text, documents
from tests.architecture.tree import ROOT

MEND = "run `make gen` and commit what it writes"


def stale(made: dict[str, str]) -> list[str]:
    """Names whose file differs from the text made now."""
    return [
        name for name, text in made.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != text
    ]  # fmt: skip


def test_reference_documents_and_schemas_are_fresh() -> None:
    made = documents()
    assert len(made) >= 8
    assert stale(made) == [], MEND


def test_the_command_reference_is_fresh() -> None:
    text = command_text(app)
    assert "andon alarms conformance" in text
    assert "cannot be loaded" not in text, "a verb does not load"
    assert stale({"docs/reference/commands.md": text}) == [], MEND


def test_deploy_files_are_fresh() -> None:
    made = {f"deploy/nats/{name}": text for name, text in render_examples().items()}
    made["deploy/compose/compose.yaml"] = gen.compose_text()
    assert stale(made) == [], MEND


def test_a_stale_file_would_be_seen() -> None:
    assert stale({"README.md": "other"}) == ["README.md"]
    assert stale({"no/such/file": ""}) == ["no/such/file"]


@pytest.mark.parametrize("tier", ["brain", "cloud"])
def test_the_consoles_types_are_fresh(tier: str, tmp_path: Path) -> None:
    console = ROOT / "shared" / "console"
    tool = console / "node_modules" / ".bin" / "openapi-typescript"
    if not tool.exists() or shutil.which("node") is None:
        pytest.skip("NOT RUN: the console's packages are not installed (make setup)")
    made = tmp_path / "schema.d.ts"
    subprocess.run(
        [str(tool), f"openapi/{tier}.json", "-o", str(made)],
        cwd=console, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    held = console / "src" / "api" / f"schema.{tier}.d.ts"
    assert held.read_text() == made.read_text(), MEND
