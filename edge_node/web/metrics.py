"""The edge's counters as Prometheus text: conservation of each lane, the journal, the drivers.

A route of the local page, read from the newest status that the engine sent; it counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, Response

from edge_node.application.status import EdgeStatus, decode_status
from shared.web.problem import ProblemError

KIND = "text/plain; version=0.0.4; charset=utf-8"
LANE_FIELDS = ("produced", "delivered", "buffered", "dropped", "quarantined")
Sample = tuple[dict[str, str], float]


def metrics_router(status: Callable[[], bytes], guarded: list[Any]) -> APIRouter:
    """`GET /metrics`."""
    router = APIRouter(dependencies=guarded)

    @router.get("/metrics")
    async def metrics() -> Response:
        body = status()
        if not body:
            raise ProblemError(503, "engine_starting")
        return Response(exposition(decode_status(body)), media_type=KIND)

    return router


def exposition(status: EdgeStatus) -> str:
    """The whole text; `produced = delivered + buffered + dropped + quarantined` in each lane."""
    who = {"site": status.site, "edge": status.edge}
    lines: list[str] = []

    def tell(name: str, kind: str, text: str, samples: Iterable[Sample]) -> None:
        lines.append(f"# HELP andon_edge_{name} {text}")
        lines.append(f"# TYPE andon_edge_{name} {kind}")
        for labels, value in samples:
            told = ",".join(f'{k}="{_escaped(v)}"' for k, v in {**who, **labels}.items())
            lines.append(f"andon_edge_{name}{{{told}}} {value:.17g}")

    for field in LANE_FIELDS:
        gauge = field == "buffered"
        tell(
            f"outbox_{field}" + ("" if gauge else "_total"), "gauge" if gauge else "counter",
            f"Events of the outbox by lane: {field}",
            [({"lane": lane}, getattr(c, field)) for lane, c in sorted(status.lanes.items())],
        )  # fmt: skip
    journal = status.journal
    for name, kind, text, value in (
        ("journal_degraded", "gauge", "The disk does not take what is written", journal.degraded),
        ("journal_waiting", "gauge", "Changes not yet durable", journal.waiting),
        ("journal_lost_samples_total", "counter", "Sample batches shed", journal.lost_samples),
        ("journal_lost_events_total", "counter", "Changes shed, told by gaps", journal.lost_events),
        ("journal_refused_total", "counter", "Changes set aside", journal.refused),
        ("brain_reachable", "gauge", "The factory answers", status.brain_reachable),
        ("horn", "gauge", "This edge sounds", status.horn),
        ("alarms", "gauge", "Alarms that are not at rest", len(status.alarms)),
    ):
        tell(name, kind, text, [({}, float(value))])
    tell(
        "driver_connected", "gauge", "A source's driver is connected",
        [({"source": s}, d.state == "connected") for s, d in sorted(status.drivers.items())],
    )  # fmt: skip
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
