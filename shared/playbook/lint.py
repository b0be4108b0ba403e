"""Static checks that a schema cannot make, over the whole language, each with a place and a mend.

Called by `andon playbook lint` and before a release; opens no socket. The rules are worded in
`lint_rules.py`; what they look at is in the other `lint_*.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.playbook.lint_calls import Calls
from shared.playbook.lint_document import Document
from shared.playbook.lint_expressions import Expressions, body_ids
from shared.playbook.lint_flow import Flow
from shared.playbook.lint_offline import mistakes
from shared.playbook.lint_plant import Site
from shared.playbook.lint_report import Finding, Plant, Report
from shared.playbook.lint_scopes import Scopes
from shared.playbook.lint_steps import Steps
from shared.playbook.loader import Loaded
from shared.playbook.model import Playbook

__all__ = ["Finding", "Plant", "forbidding", "lint"]


def lint(
    loaded: Loaded, plant: Plant | None = None, books: Mapping[str, Playbook] | None = None
) -> list[Finding]:
    """All findings, errors and advice, in the order of the text.

    `books` are the playbooks that it may call; None: what it calls is not known here.
    """
    report, book = Report(loaded, plant, books), loaded.playbook
    scopes = Scopes(book)
    expressions = Expressions(report, body_ids(book.steps))
    asks = frozenset(step.id for step in book.all_steps() if step.ask is not None)
    steps, calls = Steps(report, expressions, asks), Calls(report)
    site = Site(report, plant) if plant is not None else None
    for place in scopes.places:
        steps.check(place)
        if place.step.call is not None:
            calls.check(place.step.call, place.path)
        if site is not None:
            site.step(place)
    Flow(report).whole()
    head = Document(report, expressions, scopes)
    head.check()
    if site is not None:
        site.head()
    for code, path, params in mistakes(book, plant.devices if plant else None):
        report.add(code, path, **params)
    if not forbidding(report.findings()):
        head.unused()
    return report.findings()


def forbidding(findings: Iterable[Finding]) -> list[Finding]:
    """Those with which a playbook is not released."""
    return [finding for finding in findings if finding.forbids]
