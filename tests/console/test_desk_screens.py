"""The alarm desk in a real browser on the running system: what shift leaders do all day."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.console.test_console import HI, HIHI, at_rest, log_in, row_of
from tests.support.running import RunningSystem, until

PRESSURE = "FUR-01.PT-101.LO"
NEXT = "console-next-shift"
PASSWORD = "Night-shift-takes-over-7"
PageOf = Callable[[str], Page]
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(autouse=True, scope="module")
def _calm(running_system: RunningSystem) -> Iterator[None]:
    """One alarm stands through all of these tests: each of them does something else about it."""
    running_system.reset_plants()
    at_rest(running_system, PRESSURE, HIHI, HI, "FUR-01.RUNAWAY")
    yield
    running_system.reset_plants()
    at_rest(running_system, PRESSURE, HI)


def desk_page(system: RunningSystem, open_page: PageOf) -> Page:
    """A logged-in alarm list, one line for each alarm, whatever flood other tests left."""
    page = open_page(system.brain_url("f1"))
    page.evaluate("localStorage.setItem('andon.grouping', 'off')")
    page.reload()
    log_in(page, system.admin_password)
    return page


def raise_pressure(system: RunningSystem, page: Page) -> None:
    """The alarm stands, and the page shows it."""
    system.fault("furnace", "gas_pressure_low")
    row_of(page, PRESSURE).wait_for(timeout=60_000)


def test_a_bulk_acknowledgement_of_a_mixed_selection_lists_what_was_refused(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    system = running_system
    system.reset_plants()  # with little gas the furnace is too cold for a spike to tell
    page = desk_page(system, open_page)
    system.fault("furnace", "spike", delta=58.0, for_s=6.0)
    row_of(page, HI).wait_for(timeout=30_000)  # it stays until it is acknowledged
    raise_pressure(system, page)
    row = system.alarm("f1", PRESSURE)
    assert row is not None
    assert row["acked"] or system.acknowledge("f1", PRESSURE)["accepted"]
    expect(row_of(page, PRESSURE)).to_have_attribute("data-state", "acknowledged", timeout=20_000)
    for alarm in (PRESSURE, HI):
        row_of(page, alarm).click()
        page.keyboard.press("x")
    expect(page.get_by_test_id("ticked")).to_contain_text("2")
    page.keyboard.press("a")
    # The valid one is done, the other one says why not, in the tray and on its row.
    until(lambda: (r := system.alarm("f1", HI)) is None or r["acked"], 20, f"{HI} acknowledged")
    tray = page.get_by_test_id("refusals")
    expect(tray.get_by_role("listitem")).to_have_count(1)
    expect(tray).to_contain_text("已经确认过")
    expect(row_of(page, PRESSURE).get_by_test_id("row-status")).to_contain_text("已经确认过")


def test_shelve_with_a_reason_by_keyboard_see_it_in_the_list_and_unshelve(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    system = running_system
    page = desk_page(system, open_page)
    raise_pressure(system, page)
    row = row_of(page, PRESSURE)
    row.click()
    # s, a duration, a reason, Enter: no mouse, and nothing without a reason.
    page.keyboard.press("s")
    dialog = page.get_by_test_id("action-dialog")
    expect(page.get_by_test_id("do")).to_be_disabled()
    expect(page.get_by_test_id("reason")).to_be_focused()
    dialog.locator("[data-minutes='15']").focus()
    page.keyboard.press("Space")
    page.get_by_test_id("reason").focus()
    page.keyboard.type("换传感器 gauge swap")
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    # The list holds still under the cursor: the row says so, and leaves when it is let go.
    expect(row).to_have_attribute("data-state", "shelved", timeout=20_000)
    page.get_by_test_id("held-shelved").click()
    held = page.locator(f'[data-testid=held][data-alarm="{PRESSURE}"]')
    expect(held).to_contain_text("换传感器 gauge swap")
    expect(held).to_contain_text(re.compile("剩 1[45]m"))
    expect(held).to_contain_text("admin")
    expect(held.get_by_test_id("still")).to_be_visible()
    held.get_by_test_id("held-unshelve").click()
    expect(held).to_have_count(0, timeout=20_000)
    page.mouse.move(5, 5)  # over the list the pointer would hold back what comes anew
    page.goto(f"{system.brain_url('f1')}/#/alarms")
    row_of(page, PRESSURE).wait_for(timeout=40_000)


def test_assign_and_comment_by_keyboard_and_a_file_beside_the_alarm(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    system = running_system
    page = desk_page(system, open_page)
    raise_pressure(system, page)
    row = row_of(page, PRESSURE)
    row.click()
    page.keyboard.press("g")
    page.get_by_test_id("assign-to").fill("li-night")
    page.keyboard.press("Enter")
    expect(row).to_contain_text("→ li-night", timeout=15_000)
    # The row may tell of it before the answer has closed the form, which takes the keys till then.
    expect(page.get_by_test_id("action-dialog")).to_have_count(0)
    page.keyboard.press("c")
    expect(page.get_by_test_id("text")).to_be_focused()
    page.keyboard.type("阀门已检查")
    page.keyboard.press("Enter")
    expect(row).to_contain_text("✎", timeout=15_000)
    page.keyboard.press("o")
    expect(page.get_by_test_id("timeline")).to_contain_text("阀门已检查", timeout=15_000)
    note = {"name": "valve.txt", "mimeType": "text/plain", "buffer": b"checked at 06:10\n"}
    page.get_by_test_id("file-input").set_input_files(note)  # pyright: ignore
    file = page.get_by_test_id("file")
    expect(file).to_contain_text("valve.txt")
    with page.expect_download() as download:
        file.get_by_role("link").click()
    assert download.value.path().read_bytes() == b"checked at 06:10\n"
    page.once("dialog", lambda sure: sure.accept())
    file.get_by_role("button").click()
    expect(file).to_have_count(0)


def test_a_shift_is_handed_over_and_signed_by_somebody_else(
    running_system: RunningSystem, open_page: PageOf
) -> None:
    system = running_system
    account = {
        "username": NEXT, "password": PASSWORD, "grants": [{"role": "operator", "area": ""}],
    }  # fmt: skip
    made = system.post("f1", "/api/accounts", account)
    assert made.status_code == 200 or made.json()["code"] == "account_exists", made.text
    page = desk_page(system, open_page)
    raise_pressure(system, page)
    page.goto(f"{system.brain_url('f1')}/#/handover")
    draft = page.get_by_test_id("handover-draft")
    expect(draft.locator("[data-section=standing]")).to_contain_text(PRESSURE)
    page.get_by_test_id("handover-note").fill("燃气压力偏低，已通知维修 gas pressure low")
    page.get_by_test_id("handover-make").click()
    report = page.get_by_test_id("handover-report")
    expect(report).to_contain_text("gas pressure low")
    expect(report.locator("[data-section=standing]")).to_contain_text(PRESSURE)
    # Who gives it cannot take it.
    expect(page.get_by_test_id("not-yourself")).to_be_visible()
    expect(page.get_by_test_id("sign")).to_have_count(0)
    place = page.evaluate("location.hash")

    other = open_page(system.brain_url("f1"))
    other.fill("input[name=username]", NEXT)
    other.fill("input[name=password]", PASSWORD)
    other.keyboard.press("Enter")
    other.get_by_test_id("logout").wait_for()
    other.goto(f"{system.brain_url('f1')}/{place}")
    other.get_by_test_id("sign-note").fill("知道了")
    other.get_by_test_id("sign").click()
    expect(other.get_by_test_id("signed")).to_contain_text(NEXT)
    stored = until(
        lambda: system.get("f1", f"/api/handover/{place.rsplit('/', 1)[1]}")["entry"], 10, "stored"
    )
    assert (stored["created_by"], stored["signed_by"]) == ("admin", NEXT)
