"""States of the group's console that a calm plant hardly reaches: built page, stubbed routes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.console.test_states import AT, ORIGIN, SESSION, Stub

Body = dict[str, Any]
ACTIONS = ["view", "decide_proposal", "steer_rollout", "dispatch"]
STAGES = ("dry_run", "shadow", "canary_line", "canary_factory", "all")


def a_rollout(state: str, stage: str | None, **more: Any) -> Body:
    """One roll-out in full, which is more than a row of the list."""
    setting = {"limit": 6.0, "deadband": 0.4, "on_delay_s": 2.0, "off_delay_s": 2.0}
    at = STAGES.index(stage) if stage else -1
    marks = ["passed" if n < at else "now" if n == at else "ahead" for n in range(len(STAGES))]
    return {
        "id": "r1", "state": state, "stage": stage, "at": AT, "hold": "", "hold_params": {},
        "waits": None, "code": "", "params": {}, "why": None, "policy": "careful",
        "created_at": AT, "created_by": "li", "agreed_by": "", "expires_at": AT + 10**9,
        "reason": "test", "proposals": ["p1"], "sites": ["f1"], "points": 1, "excluded": {},
        "actions": [],
        "stages": [
            {"stage": s, "state": m, "points": 1, "edges": 1, "answered": 1, "dwell_s": 60.0}
            for s, m in zip(STAGES, marks, strict=True)
        ],
        "changes": [
            {"site": "f1", "edge": "e1", "alarm": "A.HI", "line": "L1", "old": setting,
             "new": {**setting, "on_delay_s": 6.0}, "stage": "canary_line", "per_day": 2.0,
             "before_per_day": 9.0, "excluded": ""}
        ],
        "results": [], "gate": [], "gate_more": 0, "factories": [], "moves": [],
        **more,
    }  # fmt: skip


def an_urgent(site: str, **more: Any) -> Body:
    """One factory of the list by urgency."""
    return {
        "site": site, "name": {"zh": f"{site} 厂", "en": site}, "score": 0, "parts": {},
        "online": True, "active": 0, "unacked": 0, "worst_priority": None,
        "oldest_unacked_at": None, "in_ten_minutes": 0, "incidents": 0, "last_seen": AT, **more,
    }  # fmt: skip


class GroupStub(Stub):
    """The group's answers as the test wants them."""

    def __init__(self, page: Page) -> None:
        self.bodies: Body = {
            "/api/session": {**SESSION, "tier": "group", "actions": ACTIONS},
            "/api/factories": {"factories": []},
            "/api/proposals": {"proposals": []},
            "/api/rollouts": {"rollouts": []},
            "/api/dispatch/factories": {"factories": []},
            "/api/dispatch/assignments": {"assignments": []},
            "/api/dispatch/messages": {"messages": []},
            "/api/dispatch/resources": {"resources": []},
        }
        super().__init__(page, [])

    def show(self, rollout: Body) -> None:
        """One roll-out in the list and in full."""
        self.bodies["/api/rollouts"] = {"rollouts": [rollout]}
        self.bodies["/api/rollouts/r1"] = rollout

    def at(self, path: str) -> None:
        """Open one of the group's pages and wait until its stream stands."""
        self.page.goto(f"{ORIGIN}/command.html#{path}")
        self.page.get_by_test_id("banner").wait_for()
        self.page.wait_for_function("window.__streams > 0")

    def say(self, event: str, data: Body) -> None:
        """Send one event down the stream."""
        self.page.evaluate("([e, d]) => __say(e, d)", [event, data])

    def _answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if not path.startswith("/api/"):
            return super()._answer(route)
        if route.request.method == "POST":
            body = json.loads(route.request.post_data or "{}")
            self.posted.append({"path": path, **body})
            return route.fulfill(json=self.bodies[f"POST {path}"])
        return route.fulfill(json=self.bodies.get(path, {"items": [], "next": None}))


@pytest.fixture
def group(browser: Browser) -> Iterator[Callable[[], GroupStub]]:
    """Makes a page of its own on stubbed routes; an error of the page fails the test."""
    context = browser.new_context(viewport={"width": 1500, "height": 820}, locale="zh-CN")
    faults: list[str] = []

    def make() -> GroupStub:
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        return GroupStub(page)

    yield make
    context.close()
    assert faults == []


def test_a_second_person_agrees_and_never_the_first(group: Callable[[], GroupStub]) -> None:
    one = group()
    waits = {"zh": "等待第二人会签", "en": "waits"}
    waiting = {"hold": "second_person", "waits": waits, "actions": ["agree", "abort"]}
    one.show(a_rollout("waiting", None, created_by="wang", **waiting))
    one.at("/rollouts/r1")
    page = one.page
    expect(page.get_by_test_id("rollout-waits")).to_contain_text("等待第二人会签")
    expect(page.get_by_test_id("second-person")).to_contain_text("另一人")
    expect(page.get_by_test_id("act-agree")).to_have_count(0)

    one.show(a_rollout("waiting", None, **waiting))
    one.say("rollouts", one.bodies["/api/rollouts"])
    page.get_by_test_id("act-agree").click()
    expect(page.get_by_test_id("do-agree")).to_be_disabled()  # a reason is needed
    going = a_rollout("dry_run", "dry_run", agreed_by="wang", actions=["pause", "abort"])
    one.bodies["POST /api/rollouts/r1/actions"] = going
    one.show(going)
    page.keyboard.type("看过了")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("rollout-detail")).to_have_attribute("data-state", "dry_run")
    assert one.posted == [
        {"path": "/api/rollouts/r1/actions", "action": "agree", "reason": "看过了"}
    ]
    expect(page.get_by_test_id("rollout-detail")).to_contain_text("wang 会签")


def test_a_rollout_says_why_it_was_taken_back_and_where_it_stopped(
    group: Callable[[], GroupStub],
) -> None:
    one = group()
    one.show(a_rollout("paused", "shadow", actions=["resume", "abort"]))
    one.at("/rollouts")
    page = one.page
    detail = page.get_by_test_id("rollout-detail")
    shadow = detail.locator("li[data-stage=shadow]")
    expect(shadow).to_have_attribute("data-mark", "paused")
    expect(page.get_by_test_id("rollout-changes")).to_contain_text("9 → 2")
    why = {"zh": "A.HI 漏报了已记录的故障", "en": "A.HI missed a fault"}
    trial = {"A.HI": {"now": [12, 80.0], "new": [3, 9.0], "coverage_s": 3600.0}}
    result = {"site": "f1", "edge": "e1", "counter": 1, "at": AT, "alarms": ["A.HI"], "code": ""}
    results = [
        {**result, "directive": "d1", "kind": "dry_run", "stage": "dry_run", "status": "applied",
         "params": {"alarms": trial}},
        {**result, "directive": "d2", "kind": "rollback", "stage": "canary_line", "counter": 3,
         "status": "refused", "code": "nobody_worded_this", "params": {"alarm": "A.HI"}},
    ]  # fmt: skip
    back = a_rollout(
        "rolling_back", "canary_line", code="fault_missed", why=why, results=results, at=AT + 1
    )
    one.show(back)
    one.say("rollouts", one.bodies["/api/rollouts"])
    expect(page.get_by_test_id("rollout-why")).to_contain_text("漏报了已记录的故障")
    expect(detail.locator("li[data-stage=canary_line]")).to_have_attribute("data-mark", "stopped")
    expect(page.get_by_test_id("rollout-acts")).to_have_count(0)
    expect(page.get_by_test_id("rollout-changes")).to_contain_text("12 → 3")
    expect(page.get_by_test_id("rollout-results")).to_contain_text("nobody_worded_this")
    expect(page.get_by_test_id("rollout-row")).to_contain_text("正在回退")


def test_silence_flood_and_a_missed_deadline_stand_out(group: Callable[[], GroupStub]) -> None:
    one = group()
    one.at("/centre")
    page = one.page
    page.get_by_text("还没有工厂登记").wait_for()
    calm = an_urgent("f3")
    silent = an_urgent("f2", online=False, score=300, parts={"silence": 300})
    flood = an_urgent("f1", score=700, parts={"flood": 300, "priority": 400}, worst_priority=1)
    one.say("urgency", {"factories": [flood, silent, calm]})
    rows = page.get_by_test_id("urgent")
    assert [r.get_attribute("data-site") for r in rows.all()] == ["f1", "f2", "f3"]
    expect(rows.nth(0).get_by_test_id("mark-flood")).to_have_text("告警泛滥")
    expect(rows.nth(1).get_by_test_id("mark-silence")).to_contain_text("失联")
    expect(rows.nth(2).locator("[data-testid^=mark]")).to_have_count(0)
    expect(page.get_by_test_id("banner")).to_contain_text("1 个工厂告警泛滥")
    now = page.evaluate("Date.now()")
    asked = {
        "id": "a1", "site": "f1", "incident": "i1", "chain": "a1", "resource": "zhang",
        "skills": [], "state": "accepted", "offered_at": now - 9 * 10**6, "accept_by": now - 8**8,
        "on_site_by": now - 300_000, "at": now, "by": "li", "note": "", "missed": True,
        "history": [],
    }  # fmt: skip
    one.say("assignments", {"assignments": [asked]})
    mine = page.get_by_test_id("assignment")
    expect(mine.get_by_test_id("sla-arrive")).to_contain_text("超 5m")
    expect(mine).to_contain_text("已超到场时限")
    page.keyboard.press("j")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_contain_text("给工厂发消息")


def test_a_proposal_shows_the_factorys_history_once_it_has_answered(
    group: Callable[[], GroupStub],
) -> None:
    one = group()
    setting = {"limit": 6.0, "deadband": 0.4, "on_delay_s": 2.0, "off_delay_s": 2.0}
    none = dict.fromkeys(
        ("alarms_per_day", "false_per_day", "false_alarms", "missed", "delay_s",
         "standing_h_per_day")
    )  # fmt: skip
    proposal = {
        "id": "p1", "site": "f1", "edge": "e1", "alarm": "A.LO", "name": {"zh": "压力低", "en": ""},
        "unit": "kPa", "status": "open", "created_at": AT, "decided_at": None, "decided_by": None,
        "reason": None, "current": setting, "proposed": {**setting, "limit": 5.8}, "bounds": {},
        "candidates": [], "explanation": {"zh": "三句话", "en": ""}, "rollout": None, "plan": None,
        "evidence": {"labelled": 0, "true_alarms": 0, "nuisance": 0, "vanish": [], "later": []},
        "source": "person", "made_by": "li", "made_because": "试试", "trend": [], "shadow": None,
        "bars": {"now": {**none, "alarms_per_day": 8.0}, "proposed": {**none, "alarms_per_day": 2}},
    }  # fmt: skip
    known = {
        "proposal": "p1", "status": "known", "answered_at": AT, "since": AT, "until": AT + 10**7,
        "coverage": 0.5, "limit_now": 6.0, "limit_proposed": 5.8, "before": 9, "after": 4, "new": 0,
        "points": [[AT + n * 10**6, 5.0, 7.0] for n in range(10)], "vanish_more": 3,
        "vanish": [{"raised_at": AT + 10**6, "cleared_at": AT + 2 * 10**6, "told_at": None}],
        "later": [], "later_more": 0,
        "faults": [
            {"fault": "F-7", "start": AT, "end": AT + 10**6, "before_s": 20.0, "after_s": None}
        ],
    }  # fmt: skip
    one.bodies["/api/proposals"] = {"proposals": [proposal]}
    one.bodies["/api/proposals/p1/history"] = {**known, "status": "asked", "points": []}
    one.at("/proposals")
    page = one.page
    history = page.get_by_test_id("proposal-history")
    expect(history).to_contain_text("等待答复")
    one.bodies["/api/proposals/p1/history"] = known
    expect(page.get_by_test_id("history-counts")).to_have_text("告警 9 次 → 4 次")
    expect(history.locator("canvas")).to_be_visible()
    expect(page.get_by_test_id("history-vanish").locator("summary")).to_contain_text("4")
    expect(page.get_by_test_id("history-faults")).to_contain_text("将漏报")
    expect(page.get_by_test_id("made-by")).to_contain_text("由 li 提出")
    bar = page.locator("[data-testid=proposal-bars] [data-key=alarms_per_day]")
    expect(bar).to_have_attribute("data-next", "2")
    page.keyboard.press("r")
    expect(page.get_by_test_id("reason")).to_be_focused()
