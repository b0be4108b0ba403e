"""What the group wants to change, decided at the factory: built page, stubbed routes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.console.test_states import AT, ORIGIN, SESSION, Stub

Body = dict[str, Any]
SETTING = {
    "limit": 1230.0, "deadband": 5.0, "on_delay_s": 1.0, "off_delay_s": 2.0, "filter": "raw",
}  # fmt: skip


def a_directive(**more: Any) -> Body:
    """One directive with one change."""
    change = {
        "alarm": "FUR-01.TT-101.HI", "name": {"zh": "一段炉温高", "en": "Zone 1 hot"},
        "asset": "FUR-01", "tag": "TT-101", "unit": "°C", "side": "HI", "priority": 2,
        "old": SETTING, "new": {**SETTING, "limit": 1236.0}, "per_day": 2.0,
        "before_per_day": 9.0, "true_alarms": 3, "nuisance": 12,
        "trial": {"before": 7, "after": 1, "hours": 6.0},
    }  # fmt: skip
    return {
        "id": "d1", "edge": "e1", "counter": 4, "kind": "settings", "status": "waiting",
        "code": "", "params": {}, "at": AT, "issued_at": AT, "expires_at": 1 << 42,
        "group_people": "li, zhao", "reason": "误报多", "rollout": "r1", "stage": "canary_line",
        "changes": [change], "more": 0, "unchanged": 2, "models": [], "needed": 2,
        "consents": [], "newer": None, **more,
    }  # fmt: skip


class FactoryStub(Stub):
    """The factory's answers about directives."""

    def __init__(self, page: Page) -> None:
        super().__init__(page, [])
        self.actions = ["view", "decide_directive"]
        self.answers: list[tuple[int, Body]] = []
        self.show(a_directive())

    def show(self, directive: Body) -> None:
        self.list = {"policy": "ask", "needed": 2, "items": [directive]}

    def _answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path == "/api/session":
            return route.fulfill(json={**SESSION, "actions": self.actions})
        if path == "/api/directives":
            return route.fulfill(json=self.list)
        if path.endswith("/samples"):
            times = [AT - 60_000, AT]
            return route.fulfill(
                json={"tag": "TT-101", "unit": "°C", "t": times, "v": [1200.0, 1234.0],
                      "q": [0, 0], "source": "store"}
            )  # fmt: skip
        if path == "/api/directives/e1/4/decision":
            self.posted.append(json.loads(route.request.post_data or "{}"))
            status, body = self.answers.pop(0)
            return route.fulfill(status=status, json=body)
        return super()._answer(route)


@pytest.fixture
def factory(browser: Browser) -> Iterator[Callable[[], FactoryStub]]:
    """Makes a page of its own; an error of the page fails the test."""
    context = browser.new_context(viewport={"width": 1500, "height": 820}, locale="zh-CN")
    faults: list[str] = []

    def make() -> FactoryStub:
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        return FactoryStub(page)

    yield make
    context.close()
    assert faults == []


def opened(one: FactoryStub) -> Page:
    """The page of directives."""
    one.page.goto(f"{ORIGIN}/#/directives")
    one.page.get_by_test_id("directive").wait_for()
    return one.page


def test_a_directive_is_read_in_words_and_approved_by_keyboard(
    factory: Callable[[], FactoryStub],
) -> None:
    one = factory()
    page = opened(one)
    pane = page.get_by_test_id("directive")
    expect(pane).to_contain_text("li, zhao")
    expect(pane).to_contain_text("限值由 1230 改为 1236 °C")
    expect(pane.get_by_test_id("directive-labels")).to_contain_text("误报 12 次")
    expect(pane.get_by_test_id("directive-trial")).to_contain_text("6h00")
    expect(pane).to_contain_text("另有 2 项")
    expect(page.locator("nav .ask").last).to_have_text("1")
    page.keyboard.press("a")
    expect(page.get_by_test_id("do-approve")).to_be_disabled()  # a reason is needed
    said = {"actor": "wang", "accept": True, "reason": "看过曲线", "at": AT}
    first = a_directive(consents=[said])
    one.answers.append((200, first))
    one.show(first)
    page.keyboard.type("看过曲线")
    page.keyboard.press("Enter")
    # Four eyes: it still waits, and not for the same person.
    expect(pane.get_by_test_id("second-person")).to_be_visible()
    expect(pane).to_have_attribute("data-status", "waiting")
    assert one.posted == [{"accept": True, "reason": "看过曲线"}]
    code = {"code": "superseded", "params": {}, "type": "", "title": "", "status": 409}
    one.answers.append((409, code))
    page.keyboard.press("x")
    page.keyboard.type("还是不要")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("refused-refuse")).to_contain_text("已有更新的指令")


def test_who_has_no_right_reads_only(factory: Callable[[], FactoryStub]) -> None:
    one = factory()
    one.actions = ["view"]
    page = opened(one)
    expect(page.get_by_test_id("no-right")).to_be_visible()
    expect(page.get_by_test_id("act-approve")).to_have_count(0)
    page.keyboard.press("a")
    expect(page.get_by_test_id("do-approve")).to_have_count(0)
