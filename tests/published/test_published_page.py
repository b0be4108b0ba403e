"""The page of published cases says what the tests' own tables say."""

from __future__ import annotations

from pathlib import Path

from tests.published import test_cacao as cacao
from tests.published import test_cel_pinned as cel
from tests.published import test_open_workflow_http as workflow
from tests.published import test_standard_webhooks as webhooks
from tests.support.cacao_schemas import files

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "published-cases.md"


def row(source: str) -> str:
    """The line of one source."""
    (found,) = [
        line for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| {source}")
    ]  # fmt: skip
    return found


def test_the_page_counts_as_the_tests_do() -> None:
    assert f"| {len(files())} schemas |" in row("CACAO JSON")
    told = f"| {len(cacao.IMPORTED)} imported as drafts, {len(cacao.REFUSED)} refused"
    assert told in row("SOARCA")
    assert all(f"`{name}`" in row("SOARCA") for name in cacao.REFUSED)
    said = [each for feature in workflow.SCENARIOS.values() for each in feature.values()]
    out = sum(each.startswith("left out") for each in said)
    here = said.count(workflow.HERE)
    text = f"| {len(said)} scenarios | {len(said) - out}: {len(said) - out - here} offline, {here} "
    assert text in row("Open Workflow conformance")
    right, otherwise = sum(cel.RIGHT.values()), sum(cel.OTHERWISE.values())
    assert f"| {right + otherwise} | {right} as cel-spec, {otherwise} otherwise" in row("cel-spec")
    # the empty secret, the unpadded one and `sign` are tests of their own
    cases = 3 + len(webhooks.REFUSED) + len(webhooks.ACCEPTED) - 1  # with and without: one case
    assert f"| {cases} cases and the vector | {cases} |" in row("Standard Webhooks, Python")
