"""What operators do, in a real browser on the running system."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.running import RunningSystem, until

HI, HIHI = "FUR-01.TT-101.HI", "FUR-01.TT-101.HIHI"
PRESSURE = "FUR-01.PT-101.LO"
PageOf = Callable[[str], Page]
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(autouse=True)
def _calm(running_system: RunningSystem) -> Iterator[None]:
    running_system.reset_plants()
    yield
    running_system.reset_plants()


def log_in(page: Page, password: str) -> None:
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", password)
    page.keyboard.press("Enter")
    page.get_by_test_id("logout").wait_for()


def silenced(page: Page) -> bool:
    """Press m until the console is quiet: another alarm that begins meanwhile sounds again."""
    page.keyboard.press("m")
    page.wait_for_timeout(500)
    return page.locator("[data-testid=silence].on").count() == 0


def row_of(page: Page, alarm: str) -> Locator:
    """The list's row of one alarm."""
    return page.locator(f'[data-testid=alarm-row][data-alarm="{alarm}"]')


def at_rest(system: RunningSystem, *alarms: str) -> None:
    """Everything acknowledged and gone from the list."""

    def gone() -> bool:
        for alarm in alarms:
            row = system.alarm("f1", alarm)
            if row is None:
                continue
            if not row["acked"] and row["state"] != "suppressed":
                system.acknowledge("f1", alarm)
            return False
        return True

    until(gone, 120, f"{alarms} at rest", 0.5)


def test_a_wrong_password_is_worded_in_both_languages(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    page = open_page(running_system.brain_url("f1"))
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", "wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("login-problem")).to_have_text("用户名或密码不正确")
    page.get_by_test_id("language").click()
    expect(page.get_by_test_id("login-problem")).to_have_text("Wrong user name or password")


def test_from_the_first_row_to_the_answered_run(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    system = running_system
    at_rest(system, HIHI, HI, "FUR-01.RUNAWAY")
    page = open_page(system.brain_url("f1"))
    log_in(page, system.admin_password)
    expect(page.get_by_test_id("link")).to_contain_text("实时")
    system.fault("furnace", "burner_runaway")
    hihi = row_of(page, HIHI)
    hihi.wait_for(timeout=90_000)
    expect(hihi.get_by_test_id("row-status")).to_contain_text("未确认")
    expect(page.get_by_test_id("count-1")).to_contain_text("1")
    # Somebody watches this page: it has the horn, and silence stops the sound alone.
    sounding = page.locator("[data-testid=silence].on")
    sounding.wait_for(timeout=20_000)
    until(lambda: silenced(page), 20, "silence")
    expect(hihi.get_by_test_id("row-status")).to_contain_text("未确认")

    # Keyboard: to the row, open it; the trend moves, the sheet is there.
    hihi.click()
    page.keyboard.press("o")
    detail = page.get_by_test_id("detail")
    detail.wait_for()
    expect(page.get_by_test_id("guidance")).to_contain_text("烧嘴失控")
    trend = page.get_by_test_id("trend")
    before = int(trend.get_attribute("data-points") or "0")
    expect(trend).not_to_have_attribute("data-points", str(before), timeout=20_000)

    # Acknowledge by key: the row changes by the server's delta.
    page.keyboard.press("a")
    expect(page.get_by_test_id("detail-state")).to_contain_text("已确认", timeout=15_000)

    # The playbook's question, answered by its button.
    ask = page.get_by_test_id("ask")
    ask.wait_for(timeout=60_000)
    expect(ask).to_contain_text("是否启动排烟风机")
    system.fault("furnace", "burner_runaway", on=False)
    page.get_by_test_id("answer-vent").click()
    expect(ask).to_have_count(0, timeout=30_000)
    run = system.get("f1", "/api/runs?limit=1")["runs"][0]["id"]
    until(lambda: system.get("f1", f"/api/runs/{run}")["status"] == "success", 120, "the run's end")
    page.goto(f"{system.brain_url('f1')}/#/runs/{run}")
    expect(page.get_by_test_id("run-status")).to_have_text("成功")
    at_rest(system, HIHI, HI, "FUR-01.RUNAWAY")


def test_language_switches_live_rows(running_system: RunningSystem, open_page: PageOf) -> None:
    system = running_system
    at_rest(system, HIHI, HI, "FUR-01.RUNAWAY")
    page = open_page(system.brain_url("f1"))
    # A flood that other tests left would fold the row into its incident.
    page.evaluate("localStorage.setItem('andon.grouping', 'off')")
    page.reload()
    log_in(page, system.admin_password)
    system.fault("furnace", "spike", delta=58.0, for_s=6.0)
    row = row_of(page, HI)
    row.wait_for(timeout=30_000)
    expect(row).to_contain_text("一段炉温高")
    page.get_by_test_id("language").click()
    expect(row).to_contain_text("Zone 1 temperature high")
    at_rest(system, HI)


def test_the_fleet_page_proves_conservation(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    page = open_page(running_system.brain_url("f1"))
    log_in(page, running_system.admin_password)
    page.goto(f"{running_system.brain_url('f1')}/#/fleet")
    edges = page.get_by_test_id("edge")
    expect(edges).to_have_count(2)
    expect(edges.first).to_contain_text("在线")
    expect(edges.first).to_contain_text("相等")


def test_a_proposal_is_approved_with_a_reason(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    system = running_system
    proposal = next(
        (p for p in system.get("cloud", "/api/proposals")["proposals"] if p["status"] == "open"),
        None,
    )
    for number in range(4 if proposal is None else 0):
        at_rest(system, PRESSURE)
        true_alarm = number == 3
        system.fault("furnace", "gas_pressure_low")
        row = until(
            lambda: (r := system.alarm("f1", PRESSURE)) and r["active"] and r,
            60, f"{PRESSURE} {number}",
        )  # fmt: skip
        if true_alarm:  # a real one lasts; the others are over as soon as they are told
            time.sleep(15)
        system.fault("furnace", "gas_pressure_low", on=False)
        until(
            lambda: (r := system.alarm("f1", PRESSURE)) is None or not r["active"],
            60, f"{PRESSURE} returns",
        )  # fmt: skip
        label = {"outcome": "true" if true_alarm else "nuisance", "cause": "test"}
        answer = system.post("f1", f"/api/occurrences/{row['occurrence']}/outcome", label)
        assert answer.json()["accepted"], answer.text
    page = open_page(system.cloud_url)
    log_in(page, system.admin_password)
    page.goto(f"{system.cloud_url}/#/proposals")
    page.locator("[data-testid=proposal][data-status=open]").first.click()
    detail = page.get_by_test_id("proposal-detail")
    detail.wait_for(timeout=30_000)
    expect(page.get_by_test_id("candidates")).to_be_visible()
    expect(page.get_by_test_id("approve")).to_be_disabled()  # a reason is needed
    page.get_by_test_id("reason").fill("控制台测试 / console test")
    page.get_by_test_id("approve").click()
    expect(page.get_by_test_id("rollout")).to_have_attribute(
        "data-status", "applied", timeout=60_000
    )
