"""The group's page of notices in a real Chromium on stubbed routes: taken, closed, decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.console.test_group_states import GroupStub
from tests.console.test_group_states import group as group

AT = 1_700_000_000_000
Body = dict[str, Any]
NAMED = {"zh": "炉温高", "en": "furnace hot"}


def a_notice(name: str, **more: Any) -> Body:
    days = [[19_600 + n, 6.0 + (24 if n > 30 else n % 3)] for n in range(36)]
    return {
        "id": name, "site": "f1", "site_name": {"zh": "一厂", "en": "f1"}, "what": "alarms",
        "alarm": "A.HI", "name": NAMED, "edge": "e1", "day": 19_635, "before": 7.0, "now": 30.0,
        "trend": days, "state": "open", "opened_at": AT, "taken_at": None, "taken_by": "",
        "closed_at": None, "closed_by": "", "reason": "", **more,
    }  # fmt: skip


def a_point(alarm: str, probability: float) -> Body:
    return {
        "site": "f1", "alarm": alarm, "edge": "e1", "name": NAMED, "priority": 4,
        "probability": probability, "low": probability - 0.1, "high": probability + 0.05,
        "labels": 40, "nuisance": 38, "raised": 12, "last_true_at": None, "because": ["new"],
    }  # fmt: skip


MODEL = {
    "site": "f1", "champion": "logistic", "labels": 74, "nuisance": 40, "scored": 70,
    "auc_logistic": 0.871, "auc_bayes": 0.812, "brier": 0.12, "brier_base": 0.24, "at": AT,
}  # fmt: skip
SHELVING = {
    "id": "s1", "site": "f1", "site_name": {"zh": "一厂", "en": "f1"}, "alarm": "A.HI",
    "edge": "e1", "name": NAMED, "kind": "shelve", "hours": 8, "status": "open", "labels": 40,
    "nuisance": 38, "probability": 0.93, "raised": 12, "last_true_at": None, "created_at": AT,
    "decided_at": None, "decided_by": "", "reason": "", "message": "",
}  # fmt: skip


def test_notices_are_taken_and_closed_and_the_ranking_shows_both_rankers(
    group: Callable[[], GroupStub],
) -> None:
    stub = group()
    whole = a_notice("n2", what="dismissed", alarm="", before=0.2, now=0.6)
    session = stub.bodies["/api/session"]
    stub.bodies |= {
        "/api/session": {**session, "actions": [*session["actions"], "propose_setting"]},
        "/api/notices": {"notices": [a_notice("n1"), whole]},
        "/api/nuisance": {"models": [MODEL], "points": [a_point("A.HI", 0.93)]},
        "/api/shelving-proposals": {"proposals": [SHELVING]},
        "POST /api/notices/n1/take": {"notices": [a_notice("n1", state="taken", taken_by="li")]},
        "POST /api/notices/n1/close": {"notices": []},
        "POST /api/shelving-proposals/s1/decision": {
            "proposals": [{**SHELVING, "status": "approved", "decided_by": "li", "reason": "阀"}]
        },
    }
    stub.at("/notices")
    page = stub.page
    rows = page.get_by_test_id("notice")
    rows.nth(1).wait_for()
    assert "60 %" in rows.nth(1).inner_text()
    assert rows.nth(0).locator("svg polyline").count() == 1
    assert rows.nth(0).locator('a[href="#/try/f1/A.HI"]').count() == 1
    rows.nth(0).get_by_test_id("take").click()
    page.locator('[data-testid="notice"][data-state="taken"]').wait_for()
    page.get_by_test_id("act-close-n1").click()
    page.get_by_test_id("why-close-n1").fill("新模具")
    page.get_by_test_id("do-close-n1").click()
    page.get_by_test_id("no-notices").wait_for()
    stub.say("notices", {"notices": [whole]})  # the stream tells of another
    rows.nth(0).wait_for()
    page.get_by_role("tab").nth(1).click()
    assert "0.871" in page.get_by_test_id("ranker").inner_text()
    assert "0.812" in page.get_by_test_id("ranker").inner_text()
    assert "93 %" in page.get_by_test_id("nuisance-point").inner_text()
    page.get_by_role("tab").nth(2).click()
    page.get_by_test_id("act-approve-s1").click()
    page.get_by_test_id("why-approve-s1").fill("阀门检修")
    page.get_by_test_id("do-approve-s1").click()
    page.locator('[data-testid="shelving"][data-status="approved"]').wait_for()
    assert stub.posted[1:] == [
        {"path": "/api/notices/n1/close", "reason": "新模具"},
        {"path": "/api/shelving-proposals/s1/decision", "decision": "approve",
         "reason": "阀门检修"},
    ]  # fmt: skip
