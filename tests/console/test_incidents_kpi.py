"""Incidents, figures, notifications and the log as people use them, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.console.test_console import at_rest, log_in
from tests.support.running import RunningSystem, until

PRESSURE = "FUR-01.PT-101.LO"
PageOf = Callable[[str], Page]
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(autouse=True)
def _calm(running_system: RunningSystem) -> Iterator[None]:
    running_system.reset_plants()
    yield
    running_system.reset_plants()


def incident_of(system: RunningSystem, alarm: str) -> dict[str, Any]:
    """The open incident that holds an alarm's present occurrence."""

    def found() -> dict[str, Any] | None:
        row = system.alarm("f1", alarm)
        for one in system.get("f1", "/api/incidents?state=open")["items"]:
            detail = system.get("f1", f"/api/incidents/{one['id']}")
            if row and any(m["occurrence"] == row["occurrence"] for m in detail["members"]):
                return one
        return None

    return until(found, 30, f"the incident of {alarm}", 0.5)


def over(system: RunningSystem, incident: str) -> None:
    """All its alarms acknowledged and gone: a busy machine may have made a tag stale meanwhile."""
    members = system.get("f1", f"/api/incidents/{incident}")["members"]
    at_rest(system, *{member["alarm"] for member in members})


def fallen(system: RunningSystem) -> dict[str, Any]:
    """The gas pressure falls; returns its incident, which has nothing from before."""
    for old in system.get("f1", "/api/incidents?state=open")["items"]:
        over(system, old["id"])
        at = f"/api/incidents/{old['id']}"
        system.post("f1", f"{at}/acknowledge", {})
        closing = {"cause": "unknown", "outcome": "drill"}
        answer = system.post("f1", f"{at}/close", closing)
        assert answer.status_code == 200, answer.text
    at_rest(system, PRESSURE)
    system.fault("furnace", "gas_pressure_low")
    system.wait_alarm("f1", PRESSURE, "unacknowledged", 60)
    return incident_of(system, PRESSURE)


def raised(system: RunningSystem) -> dict[str, Any]:
    """The gas pressure falls, and is back again; returns its incident."""
    incident = fallen(system)
    system.fault("furnace", "gas_pressure_low", on=False)
    system.wait_alarm("f1", PRESSURE, "rtn_unacknowledged", 60)
    return incident


def test_an_incident_is_closed_by_keyboard_with_cause_and_outcome(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    system = running_system
    incident = raised(system)
    page = open_page(system.brain_url("f1"))
    log_in(page, system.admin_password)
    page.goto(f"{system.brain_url('f1')}/#/incidents")
    row = page.locator(f'[data-testid=incident-row][data-incident="{incident["id"]}"]')
    row.wait_for()
    expect(row).to_contain_text("未确认")

    # Keys alone: to the row, in, take it, acknowledge.
    for _ in range(page.get_by_test_id("incident-row").count()):
        page.keyboard.press("j")
        if row.evaluate("row => row === document.activeElement"):
            break
    page.keyboard.press("Enter")
    status = page.get_by_test_id("incident-status")
    expect(status).to_have_attribute("data-status", "open")
    page.keyboard.press("g")
    expect(page.get_by_test_id("incident-view")).to_contain_text("负责人 admin")
    page.keyboard.press("a")
    expect(status).to_have_attribute("data-status", "acknowledged")
    entry = page.locator("[data-testid=entry]")
    expect(entry.and_(page.locator("[data-lane=people][data-kind=incident_own]"))).to_be_visible()
    expect(entry.and_(page.locator("[data-lane=alarm][data-kind=raised]")).first).to_contain_text(
        "±"
    )

    # Cause and outcome are asked for; the alarms must be over (they are acknowledged meanwhile).
    over(system, incident["id"])
    expect(page.get_by_test_id("settled")).to_be_visible(timeout=30_000)
    page.keyboard.press("e")
    expect(page.get_by_test_id("close-cause")).to_be_focused()
    expect(page.get_by_test_id("act-send")).to_be_disabled()
    page.get_by_test_id("close-cause").select_option("gas-supply")
    page.keyboard.press("Tab")
    page.get_by_test_id("close-outcome").select_option("nuisance")
    page.keyboard.press("Tab")
    page.keyboard.type("console test")
    page.keyboard.press("Control+Enter")
    expect(status).to_have_attribute("data-status", "closed")
    expect(page.get_by_test_id("incident-cause")).to_contain_text("煤气供应")
    expect(page.get_by_test_id("incident-cause")).to_contain_text("误扰告警")
    told = system.get("f1", f"/api/incidents/{incident['id']}")["incident"]
    assert (told["cause"], told["outcome"], told["owner"]) == ("gas-supply", "nuisance", "admin")

    # It has left the open ones and stands among the closed ones.
    page.keyboard.press("Escape")
    expect(row).to_have_count(0)
    page.get_by_test_id("tab-closed").click()
    expect(row).to_contain_text("煤气供应")


def test_an_incident_with_a_standing_alarm_cannot_be_closed(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    system = running_system
    incident = fallen(system)
    page = open_page(system.brain_url("f1"))
    log_in(page, system.admin_password)
    page.goto(f"{system.brain_url('f1')}/#/incidents/{incident['id']}")
    status = page.get_by_test_id("incident-status")
    page.get_by_test_id("act-contain").click()
    page.get_by_test_id("act-send").click()
    expect(status).to_have_attribute("data-status", "contained")
    page.get_by_test_id("act-close").click()
    page.get_by_test_id("close-cause").select_option("gas-supply")
    page.get_by_test_id("close-outcome").select_option("true")
    page.get_by_test_id("act-send").click()
    problem = page.get_by_test_id("incident-acts").get_by_role("alert")
    expect(problem).to_contain_text("未恢复")
    expect(status).to_have_attribute("data-status", "contained")
    system.fault("furnace", "gas_pressure_low", on=False)
    at_rest(system, PRESSURE)


def test_the_figures_open_the_alarms_behind_them(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    system = running_system
    raised(system)
    at_rest(system, PRESSURE)
    page = open_page(system.brain_url("f1"))
    log_in(page, system.admin_password)
    page.goto(f"{system.brain_url('f1')}/#/kpi")
    total = page.get_by_test_id("kpi-annunciations")
    total.wait_for()
    until(lambda: _refreshed(page) > 0, 20, "a counted alarm", 0.5)
    expect(page.get_by_test_id("kpi-plot")).to_have_attribute("data-points", re.compile("^1"))
    shown = int(total.get_attribute("data-value") or 0)
    told = system.get("f1", "/api/kpi")["performance"]["annunciations"]
    assert abs(told - shown) <= 1  # another one may have sounded in between
    total.click()
    behind = page.locator(f'[data-testid=behind-row][data-alarm="{PRESSURE}"]')
    expect(behind).to_be_visible()
    # Narrowed to an area where it is not, it is not counted.
    page.locator("input[list=kpi-areas]").fill("CMP-01")
    page.keyboard.press("Tab")
    expect(page.get_by_test_id("kpi-behind")).to_have_count(0)
    page.get_by_test_id("tab-performance").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_test_id("kpi-top10_pct").click()
    expect(page.get_by_test_id("kpi-behind")).to_be_visible()
    expect(behind).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("kpi-behind")).to_have_count(0)


def _refreshed(page: Page) -> int:
    page.keyboard.press("r")
    page.wait_for_timeout(300)
    return int(page.get_by_test_id("kpi-annunciations").get_attribute("data-value") or 0)


def test_a_test_message_stands_in_the_log_and_in_the_audit(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    system = running_system
    page = open_page(system.brain_url("f1"))
    log_in(page, system.admin_password)
    page.goto(f"{system.brain_url('f1')}/#/notifications")
    expect(page.get_by_test_id("roster").first).to_contain_text("班长")
    page.get_by_test_id("notify-test").first.click()
    sent = page.locator("[data-testid=notify-row][data-outcome=sent]", has_text="测试")
    until(lambda: _listed(page, sent.count), 30, "the message in the log", 0.5)
    page.goto(f"{system.brain_url('f1')}/#/audit")
    page.get_by_test_id("audit-action").fill("notification_test")
    page.keyboard.press("Enter")
    rows = page.get_by_test_id("audit-row")
    expect(rows.first).to_contain_text("测试通知")
    page.goto(f"{system.brain_url('f1')}/#/system")
    expect(page.get_by_test_id("ready")).to_have_attribute("data-ready", "true")


def _listed(page: Page, count: Callable[[], int]) -> int:
    page.keyboard.press("r")
    page.wait_for_timeout(300)
    return count()
