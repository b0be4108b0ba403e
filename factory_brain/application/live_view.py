"""The operators' live list in memory, and its deltas: one encoded frame a tick for all viewers.

Fed after commits only, rebuilt from the store at start; owns no truth.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import msgspec

from factory_brain.application.fleet import FleetView
from factory_brain.domain.rows import Occurrence, is_open, make_row, sounds
from shared.alarm.definition import AlarmDefinition
from shared.clock import Clock
from shared.ids import new_epoch
from shared.web.dto import (
    AlarmDelta,
    AlarmRow,
    AlarmSnapshot,
    Banner,
    Run,
    RunList,
    Text,
)
from shared.web.sse import Broadcaster

TICK_S = 0.25
TICK_CRITICAL_S = 0.1
RATE_WINDOW_MS = 600_000


class LiveView:
    """Rows by alarm, with the newest occurrence of each."""

    def __init__(
        self, definitions: dict[str, AlarmDefinition], clock: Clock, broadcaster: Broadcaster,
        fleet: FleetView,
    ) -> None:  # fmt: skip
        self._definitions, self._clock = definitions, clock
        self._broadcaster, self._fleet = broadcaster, fleet
        self.epoch = new_epoch()
        self.seq = 0
        self._occurrences: dict[str, Occurrence] = {}
        self._rows: dict[str, AlarmRow] = {}
        self._stale: set[str] = set()
        """Alarms whose row is made when it is next looked at: a flood changes some many times."""
        self._changed: set[str] = set()
        self._removed: set[str] = set()
        self._runs: dict[str, Run] = {}
        self._rate: deque[int] = deque(maxlen=10_000)
        self._system: list[Text] = []
        self._wake = asyncio.Event()
        self._banner: Banner | None = None
        self.horn_edges: set[str] = set()
        """Edges whose annunciation this brain holds now."""
        self.cloud_online = False

    def load(self, occurrences: list[Occurrence], annunciated_at: list[int]) -> None:
        """Rebuild from the store."""
        for occurrence in occurrences:
            self._put(occurrence)
        self._rate.extend(annunciated_at)

    def set_system(self, texts: list[Text]) -> None:
        """The product's own conditions, for the banner."""
        self._system = texts
        self._wake.set()

    async def on_occurrence(self, occurrence: Occurrence, moved: bool) -> None:
        """A committed change of one occurrence."""
        transition = occurrence.transition
        if moved and transition.annunciate:
            self._rate.append(transition.source_time or occurrence.raised_at)
        self._put(occurrence)

    def _put(self, occurrence: Occurrence) -> None:
        alarm = occurrence.alarm
        shown = self._occurrences.get(alarm)
        other = shown is not None and shown.occurrence != occurrence.occurrence
        if shown and other and shown.raised_at > occurrence.raised_at:
            return  # history corrected; the newer occurrence stays in the list
        if shown and not other and shown.order_key > occurrence.order_key:
            return  # read before, told after the newer transition
        if is_open(occurrence):
            self._occurrences[alarm] = occurrence
            self._stale.add(alarm)
            self._changed.add(alarm)
            self._removed.discard(alarm)
        elif shown and shown.occurrence == occurrence.occurrence:
            del self._occurrences[alarm]
            self._rows.pop(alarm, None)
            self._stale.discard(alarm)
            self._changed.discard(alarm)
            self._removed.add(alarm)
        self._wake.set()

    def _fresh(self) -> dict[str, AlarmRow]:
        for alarm in self._stale:
            occurrence = self._occurrences[alarm]
            self._rows[alarm] = make_row(occurrence, self._definitions.get(alarm))
        self._stale.clear()
        return self._rows

    def touch(self) -> None:
        """Something on the banner may have changed."""
        self._wake.set()

    def run_changed(self, run: Run) -> None:
        """A playbook run changed."""
        self._runs[run.id] = run.model_copy(update={"steps": []})
        self._wake.set()

    def occurrence(self, alarm: str) -> Occurrence | None:
        """The occurrence shown for an alarm."""
        return self._occurrences.get(alarm)

    @property
    def occurrences(self) -> list[Occurrence]:
        """All shown occurrences."""
        return list(self._occurrences.values())

    def snapshot(self) -> AlarmSnapshot:
        """The whole list."""
        return AlarmSnapshot(
            epoch=self.epoch,
            seq=self.seq,
            at=self._clock.now_ms(),
            rows=list(self._fresh().values()),
            banner=self.banner(),
        )

    def banner(self) -> Banner:
        """What every page shows."""
        now = self._clock.now_ms()
        while self._rate and self._rate[0] < now - RATE_WINDOW_MS:
            self._rate.popleft()
        by_priority = {p: {"active": 0, "unacked": 0} for p in (1, 2, 3, 4)}
        hidden = {"shelved": 0, "suppressed": 0, "out_of_service": 0}
        unacked_at: list[int] = []
        for row in self._fresh().values():
            if row.state in hidden:
                hidden[row.state] += 1
                continue
            counts = by_priority[row.priority]
            counts["active"] += row.active
            if not row.acked:
                counts["unacked"] += 1
                unacked_at.append(row.raised_at)
        online, total = self._fleet.online_counts()
        return Banner(
            by_priority=by_priority,
            unacked=len(unacked_at),
            oldest_unacked_at=min(unacked_at, default=None),
            alarms_10min=len(self._rate),
            **hidden,
            edges_online=online,
            edges_total=total,
            cloud_online=self.cloud_online,
            horn=any(
                occurrence.edge in self.horn_edges and sounds(occurrence)
                for occurrence in self._occurrences.values()
            ),
            system=self._system + self._fleet.complaints(),
        )

    async def broadcast_for_ever(self) -> None:
        """Send merged deltas, four times a second at most (ten for priority 1)."""
        while True:
            with contextlib.suppress(TimeoutError):  # the rate window moves by itself
                async with asyncio.timeout(5.0):
                    await self._wake.wait()
            self._wake.clear()
            rows = self._fresh()
            urgent = any(rows[alarm].priority == 1 for alarm in self._changed if alarm in rows)
            self._flush()
            await asyncio.sleep(TICK_CRITICAL_S if urgent else TICK_S)

    def _flush(self) -> None:
        if self._runs:
            runs, self._runs = self._runs, {}
            body = RunList(runs=list(runs.values())).model_dump_json().encode()
            self._broadcaster.send("runs", body)
        banner = self.banner()
        if not self._changed and not self._removed and banner == self._banner:
            return
        self.seq += 1
        self._banner = banner
        delta = AlarmDelta(
            epoch=self.epoch,
            seq=self.seq,
            at=self._clock.now_ms(),
            rows=[self._rows[alarm] for alarm in self._changed if alarm in self._rows],
            removed=sorted(self._removed),
            banner=banner,
        )
        self._changed.clear()
        self._removed.clear()
        self._broadcaster.send(
            "delta", delta.model_dump_json().encode(), f"{self.epoch}-{self.seq}"
        )

    def hello_frame(self) -> bytes:
        """First frame of a stream: where the list stands."""
        return msgspec.json.encode({"epoch": self.epoch, "seq": self.seq})
