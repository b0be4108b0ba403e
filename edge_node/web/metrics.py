"""The edge's counters as Prometheus text: conservation of each lane, the journal, the drivers.

A route of the local page, read from the newest status that the engine sent; it counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from fastapi import APIRouter, Response

from edge_node.application.status import EdgeStatus, decode_status
from shared.metrics import CONTENT_TYPE, Exposition
from shared.web.problem import ProblemError

LANE_FIELDS = ("produced", "delivered", "buffered", "dropped", "quarantined")


def metrics_router(status: Callable[[], bytes], guarded: list[Any]) -> APIRouter:
    """`GET /metrics`."""
    router = APIRouter(dependencies=guarded)

    @router.get("/metrics")
    async def metrics() -> Response:
        body = status()
        if not body:
            raise ProblemError(503, "engine_starting")
        return Response(exposition(decode_status(body)), media_type=CONTENT_TYPE)

    return router


def exposition(status: EdgeStatus) -> str:
    """The whole text; `produced = delivered + buffered + dropped + quarantined` in each lane."""
    out = Exposition("andon_edge", {"site": status.site, "edge": status.edge})
    for field in LANE_FIELDS:
        gauge = field == "buffered"
        out.tell(
            f"outbox_{field}" + ("" if gauge else "_total"), "gauge" if gauge else "counter",
            f"Events of the outbox by lane: {field}",
            [({"lane": lane}, getattr(c, field)) for lane, c in sorted(status.lanes.items())],
        )  # fmt: skip
    journal = status.journal
    rows: tuple[tuple[str, Literal["counter", "gauge"], str, float], ...] = (
        ("journal_degraded", "gauge", "The disk does not take what is written", journal.degraded),
        ("journal_waiting", "gauge", "Changes not yet durable", journal.waiting),
        ("journal_lost_samples_total", "counter", "Sample batches shed", journal.lost_samples),
        ("journal_lost_events_total", "counter", "Changes shed, told by gaps", journal.lost_events),
        ("journal_refused_total", "counter", "Changes set aside", journal.refused),
        ("brain_reachable", "gauge", "The factory answers", status.brain_reachable),
        ("horn", "gauge", "This edge sounds", status.horn),
        ("alarms", "gauge", "Alarms that are not at rest", len(status.alarms)),
    )
    for name, kind, text, value in rows:
        out.tell(name, kind, text, float(value))
    out.tell(
        "driver_connected", "gauge", "A source's driver is connected",
        [({"source": s}, d.state == "connected") for s, d in sorted(status.drivers.items())],
    )  # fmt: skip
    return out.text()
