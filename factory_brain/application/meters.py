"""The brain's counters as Prometheus text: what comes in, what is kept, who watches, who lags.

Asked at each scrape by the web; reads what others hold and counts only what nobody else does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from factory_brain.application.fleet import FleetView
from factory_brain.application.ingest import Ingest
from factory_brain.application.live_view import LiveView
from factory_brain.application.system_alarms import SystemAlarms
from shared.messages.bodies import PlaybookOutcome
from shared.metrics import Exposition
from shared.web.sse import Broadcaster

LANE_FIELDS = ("produced", "delivered", "buffered", "dropped", "quarantined")
More = Callable[[Exposition], Awaitable[None]]


@dataclass(slots=True)
class Meters:
    """Everything that a scrape is told of."""

    site: str
    ingest: Ingest
    fleet: FleetView
    live: LiveView
    broadcaster: Broadcaster
    system: SystemAlarms
    runs: Counter[str] = field(default_factory=Counter)
    more: list[More] = field(default_factory=list)
    """Parts that tell of themselves: each adds its metrics."""

    async def run_ended(self, outcome: PlaybookOutcome) -> None:
        """Count a playbook run's end."""
        self.runs[outcome.status] += 1

    async def text(self) -> str:
        """The answer to a scrape."""
        out = Exposition("andon_brain", {"site": self.site})
        self._ingest(out)
        self._edges(out)
        self._viewers(out)
        out.tell(
            "playbook_runs_total", "counter", "Playbook runs ended since the start, by outcome",
            [({"status": status}, n) for status, n in sorted(self.runs.items())],
        )  # fmt: skip
        out.tell(
            "system_conditions", "gauge", "Conditions of Andon itself that are on, by code",
            [
                ({"code": code}, n)
                for code, n in sorted(
                    Counter(c.code for c in self.system.conditions if c.active).items()
                )
            ],
        )  # fmt: skip
        for told in self.more:
            await told(out)
        return out.text()

    def _ingest(self, out: Exposition) -> None:
        meters = self.ingest.meters
        for name, text, counts in (
            ("ingest_events_total", "Events committed since the start, by lane", meters.events),
            ("ingest_frames_total", "Frames received since the start, by lane", meters.frames),
            ("ingest_quarantined_total", "Events set aside since the start", meters.quarantined),
        ):
            samples = [({"lane": lane}, float(n)) for lane, n in sorted(counts.items())]
            out.tell(name, "counter", text, samples)
        out.histogram(
            "commit_lag_seconds", "From an edge's reading to the commit here, oldest of each batch",
            meters.commit_lag,
        )  # fmt: skip
        out.tell(
            "untold_total", "counter", "Changes of which a listener could not be told",
            self.ingest.telling.untold,
        )  # fmt: skip

    def _edges(self, out: Exposition) -> None:
        edges = self.fleet.as_dto().edges
        out.tell(
            "edge_online", "gauge", "A heartbeat came within the last seconds",
            [({"edge": e.edge}, e.online) for e in edges],
        )  # fmt: skip
        for name in LANE_FIELDS:
            gauge = name == "buffered"
            out.tell(
                f"edge_{name}" + ("" if gauge else "_total"), "gauge" if gauge else "counter",
                f"Conservation of an edge's outbox by lane, as it last said: {name}",
                [
                    ({"edge": e.edge, "lane": lane}, getattr(c, name))
                    for e in edges for lane, c in sorted(e.lanes.items())
                ],
            )  # fmt: skip
        out.tell(
            "edge_oldest_buffered_seconds", "gauge", "Age of an edge's oldest event not yet here",
            [({"edge": e.edge}, (e.oldest_buffered_ms or 0) / 1000) for e in edges],
        )  # fmt: skip
        out.tell(
            "edge_clock_offset_seconds", "gauge", "How far an edge's clock is off",
            [
                ({"edge": e.edge}, e.clock_offset_ms / 1000)
                for e in edges if e.clock_offset_ms is not None
            ],
        )  # fmt: skip

    def _viewers(self, out: Exposition) -> None:
        sse, banner = self.broadcaster, self.live.banner()
        out.tell("viewers", "gauge", "Streams that are open", sse.viewers)
        out.tell("sse_frames_total", "counter", "Frames made for all viewers", sse.frames)
        out.tell("sse_overflows_total", "counter", "Viewers that could not keep up", sse.overflows)
        out.tell("alarms_unacked", "gauge", "Alarms that wait for somebody", banner.unacked)
        out.tell(
            "alarms_10min", "gauge", "Annunciations of the last ten minutes", banner.alarms_10min
        )
        out.tell("flood", "gauge", "The flood flag", banner.flood)
        out.tell("horn", "gauge", "This place sounds", banner.horn)
