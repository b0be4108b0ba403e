"""A plugin for continuous integration: a console test that skips itself has failed.

Loaded by `.ci/run` with `-p`; elsewhere a missing browser skips loudly.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

WHERE = "tests/console"


def _fail(report: Any) -> None:
    if report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure in CI: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test or its fixture skipped."""
    report = yield
    if item.nodeid.startswith(WHERE):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """A whole module skipped itself."""
    report = yield
    if collector.nodeid.startswith(WHERE):
        _fail(report)
    return report
