"""Trying a setting, and a playbook's way to a factory, in a real browser on the running system."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.console.test_console import log_in
from tests.support.running import RunningSystem

PageOf = Callable[[str], Page]
HOT = "CMP-01.TT-201.HI"
BOOK = """\
schema: playbook/v1
playbook: {name}
version: 1
name: {{zh: 控制台测试, en: Console test}}
triggers: [{{id: hot, alarm: A}}]
deadline: 30m
inputs:
  limit_c: {{type: number, default: 1200, unit: °C, tunable: {{min: 1100, max: 1300}}}}
steps:
  - {{id: note, log: noted}}
"""
pytestmark = pytest.mark.timeout(200)


def centre(system: RunningSystem, open_page: PageOf, path: str) -> Page:
    """A place in the group's console."""
    page = open_page(system.cloud_url)
    log_in(page, system.admin_password)
    page.get_by_test_id("urgency").wait_for()
    page.evaluate(f"location.hash = '{path}'")
    return page


def test_a_setting_is_tried_over_the_factorys_history_and_proposed(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    page = centre(running_system, open_page, "#/try/f1")
    page.get_by_test_id("try-find").fill(HOT)
    expect(page.get_by_test_id("try-point")).to_have_count(1)
    page.get_by_test_id("try-point").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("try-limit")).to_be_focused()
    pane = page.get_by_test_id("try-pane")
    # What runs is shown first, from the factory's own samples.
    expect(pane).to_have_attribute("data-fresh", "true", timeout=30_000)
    assert int(page.get_by_test_id("try-plot").get_attribute("data-points") or 0) > 0
    expect(page.get_by_test_id("try-propose")).to_be_disabled()
    page.get_by_test_id("try-limit").fill("999")  # far beyond the plant's bounds
    expect(page.get_by_test_id("try-refusal")).to_be_visible(timeout=30_000)
    page.get_by_test_id("try-limit").fill("105")
    page.get_by_test_id("try-off_delay_s").fill("5")
    expect(page.get_by_test_id("try-refusal")).to_have_count(0)
    expect(pane).to_have_attribute("data-fresh", "true", timeout=30_000)
    expect(page.get_by_test_id("history-counts")).to_be_visible()
    page.get_by_test_id("try-reason").fill("排气温度波动")
    page.keyboard.press("Enter")
    detail = page.get_by_test_id("proposal-detail")
    expect(detail).to_have_attribute("data-status", "open")
    expect(detail.get_by_test_id("made-by")).to_contain_text("排气温度波动")
    page.get_by_test_id("reason").fill("测试结束")
    page.get_by_test_id("reject").click()
    expect(detail).to_have_attribute("data-status", "rejected")


def test_a_version_is_offered_to_a_factory_and_waits_for_another_person(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    name = f"console-{secrets.token_hex(3)}"
    answer = running_system.client("cloud").post(
        "/api/playbook-variants", json={"text": BOOK.format(name=name), "note": "first"},
        headers={"Idempotency-Key": secrets.token_hex(12)},
    )  # fmt: skip
    assert answer.status_code == 201, answer.text
    page = centre(running_system, open_page, f"#/playbooks/{name}")
    expect(page.get_by_test_id("book-versions")).to_contain_text("v1")
    expect(page.get_by_test_id("book-ranking")).to_contain_text("还没有它的运行")
    page.keyboard.press("p")
    expect(page.get_by_test_id("release-kind")).to_be_focused()
    page.get_by_test_id("release-kind").select_option("inputs")
    page.get_by_test_id("release-canary").select_option("f1")
    expect(page.get_by_test_id("do-release")).to_be_disabled()  # no value, no reason
    page.get_by_test_id("input-limit_c").fill("1400")
    page.get_by_test_id("release-reason").fill("试一试")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("release-refused")).to_contain_text("1300")  # out of bounds
    page.get_by_test_id("input-limit_c").fill("1150")
    page.keyboard.press("Enter")
    rollout = page.get_by_test_id("book-rollout")
    expect(rollout).to_have_attribute("data-state", "proposed")
    expect(rollout).to_contain_text("limit_c = 1150")
    expect(rollout.get_by_test_id("act-approve")).to_have_count(0)  # one's own
    rollout.get_by_test_id("act-refuse").click()
    page.keyboard.type("测试结束")
    page.keyboard.press("Enter")
    expect(rollout).to_have_attribute("data-state", "refused")
    expect(rollout).to_contain_text("测试结束")
