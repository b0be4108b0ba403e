"""The edge's own page in a browser, on a real edge with nothing above it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.support.edge_world import HI, HIHI, Engine

pytestmark = pytest.mark.timeout(180)
TT2_HI = "X-1.TT-2.HI"


def run(work: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine while the browser holds this thread's loop."""
    failed: list[BaseException] = []

    def target() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert not failed, failed


def within(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Poll until `what()` is true."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, str]]:
    """A running edge without a NATS server; both alarms of TT-1 and one of TT-2 raised."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    folder = tmp_path_factory.mktemp("edge")
    engine = Engine(folder, "nats://127.0.0.1:9", page_port=port)
    engine.start()
    try:

        async def begin() -> None:
            await engine.ready()
            for value in (80.0, 90.0, 125.0):
                await engine.tell("s1", samples=[["TT-1", value]])
                await asyncio.sleep(0.3)
            await engine.tell("s2", samples=[["TT-2", 130]])

        run(begin())
        yield engine, f"http://127.0.0.1:{port}"
    finally:
        engine.stop()


@pytest.fixture
def page(edge: tuple[Engine, str], open_page: Callable[[str], Page]) -> Page:
    """The page with an operator's name filled in, and both alarms there."""
    url = edge[1]

    def ready() -> bool:
        try:
            status = httpx.get(f"{url}/api/status", trust_env=False).json()
        except httpx.HTTPError:
            return False
        raised = {row["alarm"] for row in status.get("alarms", [])}
        return {HIHI, TT2_HI} <= raised

    within(ready)
    opened = open_page(url)
    expect(row_of(opened, HIHI)).to_be_visible()
    opened.locator("#actor").fill("王工")
    return opened


def row_of(page: Page, alarm: str) -> Any:
    return page.locator(f'#rows tr[data-alarm="{alarm}"]')


def test_the_list_works_by_keyboard_alone_and_shows_each_state_in_its_own_way(page: Page) -> None:
    expect(page.locator("html")).to_have_attribute("lang", "zh")
    expect(page.locator("#brain")).to_contain_text("工厂大脑失联")
    assert "unacked" in (row_of(page, HIHI).get_attribute("class") or "")
    row_of(page, HIHI).focus()
    page.keyboard.press("a")
    expect(row_of(page, HIHI).locator(".state")).to_have_class("state acknowledged")
    page.keyboard.press("End")
    page.keyboard.press("Home")
    expect(page.locator('#rows tr[aria-selected="true"]')).to_have_count(1)
    first = page.evaluate("document.activeElement.dataset.alarm")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.alarm") != first
    # HI is hidden by HIHI by design: it is there, and looks like nothing else does.
    hidden = row_of(page, HI)
    expect(hidden.locator(".state")).to_have_class("state suppressed")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#brain")).to_contain_text("cannot be reached")
    page.keyboard.press("l")


def test_an_alarm_is_shelved_for_a_time_with_a_reason_and_comes_back(page: Page) -> None:
    row_of(page, TT2_HI).focus()
    page.keyboard.press("s")
    expect(page.locator("#ask")).to_be_visible()
    page.keyboard.press("Enter")  # without a reason nothing happens
    expect(page.locator("#ask")).to_be_visible()
    page.evaluate("document.getElementById('ask-minutes').step = 'any'")
    page.evaluate("document.getElementById('ask-minutes').min = '0'")
    page.locator("#ask-minutes").fill("0.07")
    page.locator("#ask-reason").fill("换传感器")
    page.keyboard.press("Enter")
    expect(row_of(page, TT2_HI).locator(".state")).to_have_class("state shelved")
    expect(row_of(page, TT2_HI)).to_contain_text("至 ")
    expect(page.locator("#message")).to_contain_text("已执行")
    expect(row_of(page, TT2_HI).locator(".state")).not_to_have_class("state shelved")  # expired


def test_a_refusal_is_worded_in_the_language_of_the_page(page: Page) -> None:
    row_of(page, TT2_HI).focus()
    page.keyboard.press("s")
    page.locator("#ask-minutes").fill("100000")
    page.locator("#ask-reason").fill("太久")
    page.keyboard.press("Enter")
    expect(page.locator("#message")).to_contain_text("未被接受")
    said = page.locator("#message").inner_text()
    assert any("\u4e00" <= letter <= "\u9fff" for letter in said.partition(":")[2]), said


def test_the_trend_is_drawn_from_the_edge_s_own_history(page: Page) -> None:
    row_of(page, HIHI).focus()
    page.keyboard.press("t")
    curve = page.locator("#curve")
    expect(curve).to_be_visible()
    expect(curve).to_have_attribute("data-limits", "2")
    within(lambda: int(curve.get_attribute("data-points") or 0) >= 4)
    within(lambda: int(curve.get_attribute("data-raises") or 0) >= 1)
    inks = page.evaluate(
        """() => { const c = document.getElementById("curve");
             const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
             let blue = 0; for (let i = 0; i < d.length; i += 4)
               if (d[i] < 60 && d[i + 2] > 80 && d[i + 3] > 200) blue++; return blue; }"""
    )
    assert inks > 50
    expect(page.locator("#trend-text")).to_contain_text("125")
    page.keyboard.press("-")
    page.keyboard.press("ArrowLeft")
    within(lambda: "aria-label" in (curve.evaluate("e => e.getAttributeNames().join()")))
    page.keyboard.press("Escape")
    expect(page.locator("#list")).to_be_visible()


def test_sources_backlog_and_the_edge_itself_are_told(page: Page, tmp_path: Path) -> None:
    page.keyboard.press("Escape")
    page.locator('#views button[data-view="system"]').click()
    expect(page.locator("#drivers tr")).to_have_count(2)
    expect(page.locator("#lanes")).to_contain_text("补传")
    expect(page.locator("#lanes")).to_contain_text("平衡")
    expect(page.locator("#facts")).to_contain_text("全速历史")
    page.locator('#views button[data-view="every"]').click()
    expect(row_of(page, "X-1.TT-2.STALE")).to_be_visible()
    page.locator("#find").fill("TT-1")
    expect(page.locator("#rows tr")).to_have_count(2)
    page.screenshot(path=str(tmp_path / "every.png"))
