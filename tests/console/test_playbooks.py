"""A playbook from the first line to its run, in a real browser, by two people."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.running import RunningSystem

WRITER, REVIEWER, PASSWORD = "console-writer", "console-reviewer", "Playbooks-are-plant-data-7"
BOOK = "console-walk"
EVIL = "<img/src=x/onerror=pwned=1>"
PageOf = Callable[[str], Page]
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module", autouse=True)
def _people(running_system: RunningSystem) -> None:
    for name in (WRITER, REVIEWER):
        grants = [{"role": "engineer", "area": ""}, {"role": "shift-lead", "area": ""}]
        body = {"username": name, "password": PASSWORD, "grants": grants}
        answer = running_system.post("f1", "/api/accounts", body)
        assert answer.status_code in (200, 201), answer.text


def logged_in(system: RunningSystem, open_page: PageOf, who: str) -> Page:
    page = open_page(system.brain_url("f1"))
    page.fill("input[name=username]", who)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_test_id("logout").wait_for()
    page.goto(f"{system.brain_url('f1')}/#/playbooks")
    return page


def said(page: Page, act: str, why: str = "") -> None:
    """Press an act, write why, send it: by keyboard."""
    page.get_by_test_id(f"act-{act}").click()
    expect(page.get_by_test_id(f"why-{act}")).to_be_focused()
    page.keyboard.type(why)
    page.keyboard.press("Enter")


def test_written_mended_reviewed_by_somebody_else_and_run(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    writer = logged_in(running_system, open_page, WRITER)
    writer.get_by_test_id("new-draft").click()
    writer.get_by_test_id("draft-name").fill(BOOK)
    writer.keyboard.press("Enter")
    yaml = writer.get_by_test_id("yaml")
    expect(yaml).to_contain_text(f"playbook: {BOOK}")
    expect(writer.get_by_test_id("errors")).to_have_attribute("data-errors", "0")

    # Written by keyboard: the language's own verbs are offered and taken with Enter.
    yaml.focus()
    writer.keyboard.press("Control+End")
    writer.keyboard.type("  - id: told\n")
    writer.keyboard.type("lo")
    offered = writer.locator(".cm-tooltip-autocomplete [role=option]").filter(has_text="log")
    expect(offered.first).to_be_visible()
    writer.wait_for_timeout(150)  # the editor lets no key take what came up under the fingers
    writer.keyboard.press("Enter")
    writer.keyboard.type('"told"')
    expect(yaml).to_contain_text('log: "told"')

    # A mistake is told at its place while it is written, and keeps the draft from the review.
    writer.keyboard.type(f"\n{EVIL}: 1")
    wrong = writer.get_by_test_id("finding").filter(has_text="<img")
    expect(wrong).to_be_visible()
    expect(writer.locator(".cm-lintRange-error").first).to_contain_text("<img")
    expect(writer.locator(".cm-lint-marker-error").first).to_be_visible()
    writer.keyboard.press("Control+s")
    expect(writer.get_by_test_id("save")).to_be_disabled()
    said(writer, "submit")
    expect(writer.get_by_test_id("refused-submit")).to_contain_text("处错误")
    writer.keyboard.press("Escape")

    # The list leads to the place; there it is mended, and Esc then Tab leaves the editor.
    wrong.get_by_role("button").press("Enter")
    expect(yaml).to_be_focused()
    writer.keyboard.press("Shift+End")
    writer.keyboard.type("on_error: continue")
    expect(writer.get_by_test_id("errors")).to_have_attribute("data-errors", "0")
    expect(writer.locator(".cm-lintRange-error")).to_have_count(0)
    writer.keyboard.press("Escape")
    writer.keyboard.press("Tab")
    expect(yaml).not_to_be_focused()
    assert writer.evaluate("window.pwned") is None
    writer.keyboard.press("Control+s")
    expect(writer.get_by_test_id("save")).to_be_disabled()
    said(writer, "submit", "第一版 first one")
    status = writer.get_by_test_id("draft-status")
    expect(status).to_have_attribute("data-status", "submitted")
    said(writer, "approve")
    expect(writer.get_by_test_id("refused-approve")).to_contain_text("须由他人复核")

    reviewer = logged_in(running_system, open_page, REVIEWER)
    draft = reviewer.get_by_test_id("draft").filter(has_text=BOOK)
    draft.focus()
    reviewer.keyboard.press("Enter")
    expect(reviewer.get_by_test_id("remark").first).to_contain_text("first one")
    reviewer.get_by_test_id("tab-write").press("ArrowRight")
    expect(reviewer.get_by_test_id("tree")).to_contain_text("note")
    reviewer.get_by_test_id("tab-tree").press("ArrowRight")
    expect(reviewer.get_by_test_id("diff")).to_contain_text("+playbook: " + BOOK)
    expect(reviewer.get_by_test_id("step-change")).to_have_count(2)
    said(reviewer, "approve", "可以 good")
    status = reviewer.get_by_test_id("draft-status")
    expect(status).to_have_attribute("data-status", "released")

    # It is live: a run of it by hand ends.
    reviewer.goto(f"{running_system.brain_url('f1')}/#/playbooks/{BOOK}")
    expect(reviewer.get_by_test_id("live-version")).to_contain_text("1")
    reviewer.get_by_test_id("start").click()
    ended = reviewer.get_by_test_id("run-status")
    expect(ended).to_have_attribute("data-status", "success", timeout=20_000)
    expect(reviewer.locator("[data-step=note]")).to_contain_text("/steps/note")


def test_a_playbook_shows_its_tree_its_versions_and_what_it_would_have_fired_on(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    page = logged_in(running_system, open_page, WRITER)
    row = page.locator('[data-testid=playbook][data-playbook="furnace-overtemp"]')
    row.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("tree").locator("[data-step=hold-heat]")).to_be_visible()
    page.get_by_test_id("tab-tree").press("ArrowRight")
    page.get_by_test_id("tab-inputs").press("ArrowRight")
    expect(page.get_by_test_id("version")).to_have_count(1)
    page.get_by_test_id("tab-replay").click()
    page.get_by_test_id("replay").click()
    expect(page.get_by_test_id("replay-counts")).to_be_visible()
    page.get_by_test_id("language").click()
    expect(page.get_by_test_id("replay")).to_have_text("See what would have fired")
    page.get_by_test_id("language").click()
    # Withdrawn with a reason that everybody reads, and put back.
    said(page, "withdraw", "换烧嘴 burner is changed")
    expect(page.get_by_test_id("withdrawn")).to_contain_text("换烧嘴")
    said(page, "put-back", "完成 done")
    expect(page.get_by_test_id("withdrawn")).to_have_count(0)
