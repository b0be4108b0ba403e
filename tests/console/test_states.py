"""States of the console that a live plant hardly reaches, on the built pages and stubbed routes.

The stream is a real ReadableStream that the test writes; nothing here needs a running system.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

DIST = Path(__file__).resolve().parents[2] / "shared" / "console" / "dist"
ORIGIN = "http://console.test"
AT = 1_790_000_000_000
SESSION = {
    "user": "wang", "roles": ["operator"], "grants": [{"role": "operator", "area": ""}],
    "actions": ["view", "acknowledge", "comment", "assign", "shelve", "hand_over"], "kind": "local",
    "tier": "factory", "site": "f1",
    "site_name": {"zh": "一号工厂", "en": "Factory 1"},
}  # fmt: skip
# Opened streams are written through `__say(event, data, id)`; all other calls go to the routes.
STREAM = """
(() => {
  const real = window.fetch.bind(window);
  const open = new Set();
  window.__streams = 0;
  window.__say = (event, data, id) => {
    const text = `${id ? `id: ${id}\\n` : ""}event: ${event}\\ndata: ${JSON.stringify(data)}\\n\\n`;
    for (const writer of open) writer.enqueue(new TextEncoder().encode(text));
  };
  window.fetch = (url, init) => {
    if (!String(url).endsWith("/api/stream")) return real(url, init);
    window.__streams += 1;
    if (window.__hang) return new Promise((_, no) => init.signal.addEventListener("abort", no));
    window.__lastId = new Headers(init.headers).get("last-event-id");
    let mine;
    const body = new ReadableStream({ start: (c) => { mine = c; open.add(c); } });
    init.signal.addEventListener("abort", () => { open.delete(mine); try { mine.error(); } catch {} });
    return Promise.resolve(new Response(body, { headers: { "content-type": "text/event-stream" } }));
  };
})();
"""  # noqa: E501
Row = dict[str, Any]


def a_row(alarm: str, **changes: Any) -> Row:
    """One unacknowledged row."""
    return {
        "alarm": alarm, "occurrence": f"o-{alarm}", "version": 3, "annunciated_version": 3,
        "edge": "e1", "asset": "FUR-01", "tag": alarm, "name": {"zh": "炉温高", "en": "Hot"},
        "priority": 2, "state": "unacknowledged", "isa": "B", "active": True, "acked": False,
        "value": 1.0, "limit": 2.0, "unit": "°C", "raised_at": AT, "returned_at": None,
        "received_at": AT, "acked_by": None, "acked_at": None, "also_acked_by": [], "count": 1,
        "late": False, "local_action": None, "run": None, "outcome": None, "ack_pending": False,
        "system": False, "assigned_to": "", "comments": 0, "shelf": None, "suppressed_by": [],
        "permit": None, "pending": [], "refused": None, "incident": "", "first_out": "",
        "marks": [], "hidden_behind": "", **changes,
    }  # fmt: skip


def a_banner(rows: list[Row]) -> dict[str, Any]:
    """The counts that belong to these rows."""
    unacked = sum(not row["acked"] for row in rows)
    return {
        "by_priority": {"2": {"active": len(rows), "unacked": unacked}}, "unacked": unacked,
        "oldest_unacked_at": AT if unacked else None, "alarms_10min": 1, "shelved": 0,
        "flood": len(rows) > 10, "flood_since": AT if len(rows) > 10 else None,
        "suppressed": 0, "out_of_service": 0, "edges_online": 2, "edges_total": 2,
        "cloud_online": True, "horn": False, "system": [],
    }  # fmt: skip


class Stub:
    """The factory's answers as the test wants them."""

    def __init__(self, page: Page, rows: list[Row]) -> None:
        self.page, self.rows, self.seq = page, rows, 1
        self.snapshots = 0
        self.posted: list[dict[str, Any]] = []
        self.refused: dict[str, str] = {}
        self.outside: list[str] = []
        page.add_init_script(STREAM)
        page.route("**/*", self._answer)

    def open(self) -> None:
        """Open the console and wait until its stream stands."""
        self.page.goto(f"{ORIGIN}/")
        self.page.get_by_test_id("banner").wait_for()
        self.page.wait_for_function("window.__streams > 0")

    def delta(self, rows: list[Row], seq: int | None = None) -> None:
        """Send changed rows down the stream."""
        self.seq = seq or self.seq + 1
        data = {
            "epoch": "E", "seq": self.seq, "at": AT, "rows": rows, "removed": [],
            "banner": a_banner(rows),
        }  # fmt: skip
        self.page.evaluate("([d, id]) => __say('delta', d, id)", [data, f"E-{self.seq}"])

    def _answer(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        if f"{url.scheme}://{url.netloc}" != ORIGIN:
            self.outside.append(route.request.url)
            return route.abort()
        if not url.path.startswith("/api/"):
            return self._file(route, url.path)
        if url.path == "/api/alarms/actions":
            return self._ack(route)
        if url.path == "/api/alarms":
            self.snapshots += 1
        bodies: dict[str, Any] = {
            "/api/session": SESSION,
            "/api/runs": {"runs": []},
            "/api/alarms": {
                "epoch": "E", "seq": self.seq, "at": AT, "rows": self.rows,
                "banner": a_banner(self.rows),
            },
        }  # fmt: skip
        return route.fulfill(json=bodies.get(url.path, {"items": [], "next": None}))

    def _file(self, route: Route, path: str) -> None:
        file = DIST / (path.lstrip("/") or "index.html")
        kind = mimetypes.guess_type(file.name)[0] or "text/plain"
        route.fulfill(body=file.read_bytes(), content_type=kind)

    def _ack(self, route: Route) -> None:
        body = json.loads(route.request.post_data or "{}")
        self.posted.append({**body, "key": route.request.headers.get("idempotency-key")})
        results = [
            {
                "occurrence": item["occurrence"],
                "accepted": item["alarm"] not in self.refused,
                "code": self.refused.get(item["alarm"], "ok"),
                "params": {},
            }
            for item in body["items"]
        ]
        route.fulfill(json={"results": results})


@pytest.fixture
def stub(browser: Browser) -> Iterator[Callable[[list[Row]], Stub]]:
    """Makes a page of its own on stubbed routes; an error of the page fails the test."""
    context = browser.new_context(viewport={"width": 1500, "height": 820}, locale="zh-CN")
    faults: list[str] = []
    made: list[Stub] = []

    def make(rows: list[Row]) -> Stub:
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        made.append(Stub(page, rows))
        return made[-1]

    yield make
    context.close()
    assert faults == []
    assert [url for one in made for url in one.outside] == []


def test_silence_of_the_link_frames_the_page_and_an_empty_list_is_not_healthy(
    stub: Callable[[list[Row]], Stub],
) -> None:
    one = stub([])
    page = one.page
    page.clock.install()
    one.open()
    expect(page.get_by_test_id("empty")).to_contain_text("当前没有告警")
    expect(page.get_by_test_id("stale")).to_have_count(0)
    page.evaluate("window.__hang = true")  # from here on connections are not answered
    page.clock.fast_forward(12_000)
    expect(page.get_by_test_id("stale")).to_contain_text("起未更新")
    expect(page.get_by_test_id("empty")).to_contain_text("状态未知")
    # An attempt that nobody answers is given up; the next one names its position.
    page.evaluate("window.__hang = false")
    page.clock.fast_forward(12_000)
    page.wait_for_function("window.__lastId !== null && window.__streams > 2")
    assert page.evaluate("window.__lastId") == "E-1"
    expect(page.get_by_test_id("stale")).to_have_count(0)
    expect(page.get_by_test_id("empty")).to_contain_text("当前没有告警")


def test_refused_rows_say_why_and_the_rest_waits_for_its_delta(
    stub: Callable[[list[Row]], Stub],
) -> None:
    one = stub([a_row("A", raised_at=AT + 2), a_row("B", raised_at=AT + 1), a_row("C")])
    one.refused = {"B": "not_seen", "C": "code_nobody_worded"}
    page = one.page
    one.open()
    rows = page.get_by_test_id("alarm-row")
    expect(rows).to_have_count(3)
    for _ in range(3):
        page.keyboard.press("j")
        page.keyboard.press("x")
    page.keyboard.press("a")
    tray = page.get_by_test_id("refusals")
    expect(tray).to_contain_text("不是最新状态")
    expect(tray).to_contain_text("code_nobody_worded")
    # What was on the screen went out, under a key, on a page without a secure context.
    assert [(i["alarm"], i["version"]) for i in one.posted[0]["items"]] == [
        ("A", 3), ("B", 3), ("C", 3),
    ]  # fmt: skip
    assert len(one.posted[0]["key"]) == 36
    # Accepted is not acknowledged: only the delta changes the row.
    first = page.locator("[data-alarm=A]")
    expect(first.get_by_test_id("row-status")).to_have_text("发送中")
    expect(first).to_have_attribute("data-state", "unacknowledged")
    one.delta([a_row("A", raised_at=AT + 2, acked=True, state="acknowledged", acked_by="wang")])
    expect(first).to_have_attribute("data-state", "acknowledged")
    expect(first.get_by_test_id("row-status")).to_contain_text("已确认")


def test_rows_hold_still_under_the_pointer_and_new_ones_gather(
    stub: Callable[[list[Row]], Stub],
) -> None:
    one = stub([a_row("A"), a_row("B", raised_at=AT - 1)])
    page = one.page
    one.open()
    rows = page.get_by_test_id("alarm-row")
    expect(rows).to_have_count(2)
    page.locator("[data-alarm=B]").hover()
    one.delta([a_row("NEW", priority=1, raised_at=AT + 5)])
    expect(page.get_by_test_id("fresh")).to_contain_text("新增 1 条")
    assert [r.get_attribute("data-alarm") for r in rows.all()] == ["A", "B"]
    # A pointer that leaves lets them in; a tick goes on holding, and the chip lets them in.
    page.mouse.move(5, 5)
    expect(rows.first).to_have_attribute("data-alarm", "NEW")
    page.locator("[data-alarm=B] input").click()
    page.mouse.move(5, 5)
    one.delta([a_row("NEWER", priority=1, raised_at=AT + 9)])
    expect(rows.first).to_have_attribute("data-alarm", "NEW")
    page.get_by_test_id("fresh").click()
    expect(rows.first).to_have_attribute("data-alarm", "NEWER")
    expect(page.get_by_test_id("ticked")).to_contain_text("1")


def test_a_gap_in_the_stream_fetches_the_picture_again(
    stub: Callable[[list[Row]], Stub],
) -> None:
    one = stub([a_row("A")])
    page = one.page
    one.open()
    expect(page.get_by_test_id("alarm-row")).to_have_count(1)
    before = one.snapshots
    one.rows = [a_row("A"), a_row("MISSED")]
    one.delta([a_row("A", value=9.0)], seq=7)
    expect(page.locator("[data-alarm=MISSED]")).to_have_count(1)
    assert one.snapshots > before


def test_ten_thousand_rows_scroll_with_few_nodes(stub: Callable[[list[Row]], Stub]) -> None:
    rows = [a_row(f"T{n:05}", priority=1 + n % 4, raised_at=AT - n) for n in range(10_000)]
    one = stub(rows)
    page = one.page
    one.open()
    page.get_by_test_id("alarm-row").first.wait_for()
    nodes = page.evaluate("document.querySelectorAll('*').length")
    assert nodes < 1_500, nodes
    page.get_by_test_id("alarm-body").evaluate("e => e.scrollTo(0, e.scrollHeight)")
    page.locator("[data-alarm=T09999]").wait_for()
    assert page.evaluate("document.querySelectorAll('*').length") < 1_500
    # The keyboard reaches the first row from there at once.
    page.keyboard.press("j")
    page.keyboard.press("Home")
    page.locator("[data-alarm=T00000]").wait_for()


def test_a_flood_folds_into_its_incident_and_hides_neither_the_worst_nor_what_returned(
    stub: Callable[[list[Row]], Stub],
) -> None:
    many = [
        a_row(f"P{n:02}", priority=3, incident="i1", hidden_behind="" if n < 4 else "P00")
        for n in range(14)
    ]
    many[0]["first_out"] = "first"
    worst = a_row("WORST", priority=1, incident="i1", marks=["chattering"])
    back = a_row(
        "BACK", priority=3, incident="i1", active=False, state="rtn_unacknowledged",
        returned_at=AT + 1,
    )  # fmt: skip
    one = stub([*many, worst, back])
    page = one.page
    one.open()
    expect(page.get_by_test_id("rate")).to_contain_text("告警泛滥")
    rows = page.get_by_test_id("alarm-row")
    assert [r.get_attribute("data-alarm") for r in rows.all()] == ["WORST", "BACK"]
    expect(rows.first).to_contain_text("抖动")
    group = page.get_by_test_id("alarm-group")
    expect(group).to_contain_text("14 条")
    expect(group).to_contain_text("P00")
    # By keyboard: down to the group, unfold it; the parent still counts what is behind it.
    for key in ("j", "j", "j", "ArrowRight"):
        page.keyboard.press(key)
    expect(rows).to_have_count(6)
    expect(page.locator("[data-alarm=P00]").get_by_test_id("behind")).to_contain_text("+10")
    expect(page.locator("[data-alarm=P00]").get_by_test_id("first-out")).to_have_text("首出")


def test_the_edges_refusal_stands_on_the_row_and_the_palette_finds_actions(
    stub: Callable[[list[Row]], Stub],
) -> None:
    one = stub([a_row("A"), a_row("B", raised_at=AT - 1)])
    page = one.page
    one.open()
    page.locator("[data-alarm=A]").click()
    page.keyboard.press("Control+k")
    page.keyboard.type("搁置")
    page.keyboard.press("Enter")
    page.get_by_test_id("minutes").fill("20")
    page.get_by_test_id("reason").fill("test")
    page.keyboard.press("Enter")
    first = page.locator("[data-alarm=A]")
    expect(first.get_by_test_id("row-status")).to_have_text("发送中")
    assert one.posted[-1]["action"] == "shelve"
    assert one.posted[-1]["args"] == {"reason": "test", "minutes": 20}
    refused = {
        "action": "shelve", "code": "Bad_ShelvingTimeOutOfRange", "actor": "wang",
        "at": AT + 10**12,
    }  # fmt: skip
    one.delta([a_row("A", refused=refused)])
    expect(first.get_by_test_id("row-status")).to_contain_text("边缘拒绝：搁置时间须大于零")
    expect(page.get_by_test_id("refusals")).to_contain_text("搁置时间")
    page.get_by_role("button", name="知道了").click()
    # What was refused stays marked, its words in the tooltip.
    expect(first.get_by_test_id("row-refused")).to_contain_text("搁置")
