"""The command centre in a real browser on the running system: dispatch, mail, fleet, figures."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.console.test_console import PRESSURE, at_rest, log_in
from tests.support.running import RunningSystem, until

PageOf = Callable[[str], Page]
EXPERT = "console-test-expert"
SKILL = "console-test-skill"
pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def incident(running_system: RunningSystem) -> Iterator[str]:
    """An open incident of factory 1 in the group's set, and an expert who can see to it."""
    system = running_system
    system.reset_plants()
    body = {"kind": "expert", "name": {"zh": "测试专家", "en": "Expert"}, "skills": [SKILL]}
    answer = system.client("cloud").put(
        f"/api/dispatch/resources/{EXPERT}", json={**body, "site": "f1"},
        headers={"Idempotency-Key": secrets.token_hex(12)},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    system.fault("furnace", "gas_pressure_low")

    def opened() -> str | None:
        found = system.get("cloud", "/api/group/incidents?site=f1&state=open")["items"]
        return next((each["id"] for each in found), None)

    yield until(opened, 60, "an incident in the group's set", 0.3)
    system.fault("furnace", "gas_pressure_low", on=False)
    at_rest(system, PRESSURE)


def centre(system: RunningSystem, open_page: PageOf) -> Page:
    """The group's console as it opens."""
    page = open_page(system.cloud_url)
    log_in(page, system.admin_password)
    page.get_by_test_id("urgency").wait_for()
    return page


def test_the_groups_pages_by_keyboard(
    running_system: RunningSystem, open_page: PageOf, incident: str
) -> None:
    page = centre(running_system, open_page)
    an_expert_is_sent(page, incident)
    the_desk_is_written_to(page, running_system, open_page)
    a_push_is_looked_at(page)
    page.keyboard.press("5")
    expect(page.get_by_test_id("comparison")).to_contain_text("REHEAT")
    page.keyboard.press("6")
    expect(page.get_by_test_id("factory-figures")).to_have_count(2)


def an_expert_is_sent(page: Page, incident: str) -> None:
    """Offered with its clocks, accepted, called off with a reason."""
    expect(page.get_by_test_id("urgent")).to_have_count(2)
    expect(page.get_by_test_id("urgent").first).to_have_attribute("data-site", "f1")
    page.locator(f'[data-testid=group-incident][data-incident="{incident}"]').focus()
    page.keyboard.press("Enter")
    page.get_by_test_id("group-incident-box").wait_for()
    page.keyboard.press("g")
    expect(page.get_by_test_id("assign-skills")).to_be_focused()
    page.keyboard.type(SKILL)
    page.keyboard.press("Enter")
    mine = page.get_by_test_id("assignment").filter(has_text="测试专家")
    expect(mine).to_have_attribute("data-state", "offered")
    expect(mine.get_by_test_id("sla-accept")).to_contain_text("剩")
    mine.get_by_test_id("move-accept").click()
    expect(mine).to_have_attribute("data-state", "accepted")
    expect(mine.get_by_test_id("sla-accept")).to_have_count(0)
    expect(mine.get_by_test_id("sla-arrive")).to_be_visible()
    mine.get_by_test_id("act-cancel").click()
    page.keyboard.type("测试结束")
    page.keyboard.press("Enter")
    expect(mine).to_have_count(0)


def the_desk_is_written_to(page: Page, system: RunningSystem, open_page: PageOf) -> None:
    """The message reaches the factory's pages, and its acknowledgement comes back by itself."""
    words = f"集团消息 {secrets.token_hex(3)}"
    page.keyboard.press("w")
    expect(page.get_by_test_id("message-text")).to_be_focused()
    page.keyboard.type(words)
    page.keyboard.press("Control+Enter")
    sent = page.get_by_test_id("message").filter(has_text=words)
    expect(sent).to_have_attribute("data-status", "received", timeout=20_000)

    desk = open_page(system.brain_url("f1"))
    log_in(desk, system.admin_password)
    told = desk.get_by_test_id("group-message").filter(has_text=words)
    told.get_by_test_id("act-mail").click()
    desk.keyboard.type("已派人查看")
    desk.keyboard.press("Enter")
    expect(told).to_have_count(0)
    expect(sent).to_have_attribute("data-status", "acknowledged", timeout=20_000)
    expect(sent).to_contain_text("已派人查看")


def a_push_is_looked_at(page: Page) -> None:
    """The fleet is told, and a push shows each point before anybody can begin it."""
    page.keyboard.press("Escape")  # away from the text: keys are off while one types
    page.keyboard.press("7")
    edges = page.get_by_test_id("fleet-edge")
    expect(edges).to_have_count(3, timeout=40_000)  # told a while after the start
    expect(edges.first).to_contain_text("在线")
    page.keyboard.press("p")
    expect(page.get_by_test_id("push-alarm")).to_be_focused()
    page.keyboard.type(PRESSURE)
    expect(page.get_by_test_id("push-preview")).to_be_disabled()  # nothing would change
    page.get_by_test_id("push-on").fill("4")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("push-sum")).to_have_attribute("data-changes", "1")
    expect(page.get_by_test_id("push-point")).to_contain_text("4 s")
    expect(page.get_by_test_id("do-push")).to_be_disabled()  # a reason is needed
    page.get_by_test_id("push-on").fill("86000")
    expect(page.get_by_test_id("push-sum")).to_have_count(0)  # not what was looked at
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("push-sum")).to_have_attribute("data-refused", "1")
    expect(page.get_by_test_id("do-push")).to_have_count(0)
    page.locator("h1").first.click()
