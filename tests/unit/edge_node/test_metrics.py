"""The counters as Prometheus text, through the page's own route."""

from __future__ import annotations

import httpx

from edge_node.application.status import (
    DriverStatus,
    EdgeStatus,
    JournalStatus,
    LaneStatus,
    Names,
    encode_status,
)
from edge_node.web.desk import Desk
from edge_node.web.local_api import Gate, create_app
from shared.clock import ManualClock

STATUS = EdgeStatus(
    site="f1", edge="e1", name=Names("边缘", 'edge "one"'), at=1, brain_reachable=True,
    annunciating=False, horn=False,
    lanes={"live": LaneStatus(produced=10, delivered=6, buffered=2, dropped=1, quarantined=1)},
    drivers={'plc"1': DriverStatus(state="connected"), "mq": DriverStatus(state="failed")},
    journal=JournalStatus(lost_events=3, refused=1),
)  # fmt: skip


async def read(desk: Desk) -> httpx.Response:
    app = create_app(desk, Gate(None, ManualClock()), "127.0.0.1")
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get("/metrics")


async def test_the_conservation_of_each_lane_can_be_read() -> None:
    desk = Desk(lambda _: None)
    assert (await read(desk)).status_code == 503
    desk.on_status(encode_status(STATUS))
    answer = await read(desk)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = dict(
        line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")
    )
    lane = '{site="f1",edge="e1",lane="live"}'
    total = [
        float(values[f"andon_edge_outbox_{name}{lane}"])
        for name in ("delivered_total", "buffered", "dropped_total", "quarantined_total")
    ]
    assert sum(total) == float(values[f"andon_edge_outbox_produced_total{lane}"]) == 10
    assert values['andon_edge_journal_lost_events_total{site="f1",edge="e1"}'] == "3"
    assert values['andon_edge_driver_connected{site="f1",edge="e1",source="plc\\"1"}'] == "1"
    assert values['andon_edge_driver_connected{site="f1",edge="e1",source="mq"}'] == "0"
