"""The operators' live list in memory, and its deltas: one encoded frame a tick for all viewers.

Fed after commits only, rebuilt from the store at start; owns no truth.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

import msgspec

from factory_brain.application.fleet import FleetView
from factory_brain.application.list_json import ListJson
from factory_brain.domain.holds import NOTHING_SAID, SaidOfAlarm
from factory_brain.domain.rows import (
    NOT_UNDERSTOOD,
    Occurrence,
    Understood,
    in_front,
    is_open,
    make_row,
    sounds,
)
from factory_brain.domain.system_words import system_sounds
from factory_brain.domain.warning_words import CLASS as EARLY_WARNING
from factory_brain.domain.warning_words import is_own
from shared.alarm.definition import AlarmDefinition
from shared.alarm.kpi.floods import FloodFlag
from shared.alarm.kpi.limits import DEFAULT, KpiLimits
from shared.clock import Clock
from shared.ids import new_epoch
from shared.tracing import OFF, Traces
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
MAX_ROWS = 500
"""Rows of one delta; of a flood the highest priorities go first, the rest with the next ticks."""
RATE_WINDOW_MS = 600_000
LINK = "link-"
"""Alarms of linked systems have no edge of their own that could sound: they sound here."""


class LiveView:
    """Rows by alarm, with the newest occurrence of each."""

    def __init__(
        self, definitions: dict[str, AlarmDefinition], clock: Clock, broadcaster: Broadcaster,
        fleet: FleetView, limits: KpiLimits = DEFAULT,
    ) -> None:  # fmt: skip
        self._definitions, self._clock = definitions, clock
        self._broadcaster, self._fleet = broadcaster, fleet
        self.epoch = new_epoch()
        self.seq = 0
        self._occurrences: dict[str, Occurrence] = {}
        self._newest: dict[str, int] = {}
        """Alarm -> when its newest occurrence was raised, also when that is over."""
        self._rows: dict[str, AlarmRow] = {}
        self._json = ListJson()
        self._stale: set[str] = set()
        """Alarms whose row is made when it is next looked at: a flood changes some many times."""
        self._changed: set[str] = set()
        self._removed: set[str] = set()
        self._runs: dict[str, Run] = {}
        self.traces: Traces = OFF
        self._traced: dict[str, tuple[str, int]] = {}
        self._flood = FloodFlag(limits)
        self._system: list[Text] = []
        self.said: Callable[[str], SaidOfAlarm] = lambda _: NOTHING_SAID
        """What people have said about an alarm; set by the desk."""
        self.understood: Callable[[str], Understood] = lambda _: NOT_UNDERSTOOD
        """What is known of an occurrence's incident; set by the part that knows."""
        self._behind: dict[str, set[str]] = {}
        """Alarm -> those whose rows depend on whether it still stands."""
        self._wake = asyncio.Event()
        self._critical = asyncio.Event()
        """A change of a priority 1 waits to be sent."""
        self._banner: Banner | None = None
        self.horn_edges: set[str] = set()
        """Edges whose annunciation this brain holds now."""
        self.cloud_online = False

    def load(self, occurrences: list[Occurrence], annunciated_at: list[int]) -> None:
        """Rebuild from the store."""
        for occurrence in occurrences:
            self._put(occurrence)
        for at in annunciated_at:
            self._flood.add(at)

    def reload(self, occurrences: list[Occurrence], before: dict[str, Occurrence]) -> None:
        """Bring the list to what is stored; what changed here since `before` is newer still."""
        shown = {each.alarm for each in occurrences}
        for alarm, held in before.items():
            if alarm not in shown and self._occurrences.get(alarm) is held:
                self._remove(alarm)
        for each in occurrences:
            held = self._occurrences.get(each.alarm)
            if held is before.get(each.alarm) and held != each:
                self._put(each)
        self._wake.set()

    def set_system(self, texts: list[Text]) -> None:
        """The product's own conditions, for the banner."""
        self._system = texts
        self._wake.set()

    async def on_occurrence(self, occurrence: Occurrence, moved: bool) -> None:
        """A committed change of one occurrence."""
        self._put(occurrence)

    async def annunciated(self, times: list[int]) -> None:
        """Committed annunciations: the banner's rate and flood flag."""
        for at in times:
            self._flood.add(at)
        self._wake.set()

    def _put(self, occurrence: Occurrence) -> None:
        alarm = occurrence.alarm
        shown = self._occurrences.get(alarm)
        other = shown is not None and shown.occurrence != occurrence.occurrence
        if occurrence.raised_at < self._newest.get(alarm, occurrence.raised_at):
            return  # history corrected; an overtaken occurrence is not shown, nor shown again
        self._newest[alarm] = occurrence.raised_at
        if shown and not other and shown.order_key > occurrence.order_key:
            return  # read before, told after the newer transition
        if is_open(occurrence):
            self._occurrences[alarm] = occurrence
            self._stale.add(alarm)
            self._changed.add(alarm)
            self._removed.discard(alarm)
        elif shown and (not other or shown.raised_at < occurrence.raised_at):
            self._remove(alarm)
        for child in self._behind.pop(alarm, ()):
            self.said_changed(child)
        self._wake.set()
        if occurrence.transition.priority == 1:
            self._critical.set()

    def _remove(self, alarm: str) -> None:
        del self._occurrences[alarm]
        self._rows.pop(alarm, None)
        self._stale.discard(alarm)
        self._changed.discard(alarm)
        self._removed.add(alarm)

    def _fresh(self) -> dict[str, AlarmRow]:
        for alarm in self._stale:
            occurrence = self._occurrences[alarm]
            definition = self._definitions.get(alarm)
            understood = self.understanding(occurrence)
            said = self.said(alarm)
            self._rows[alarm] = make_row(occurrence, definition, said, understood)
        self._stale.clear()
        return self._rows

    def understanding(self, occurrence: Occurrence) -> Understood:
        """What its row shows of its incident.

        What is known of incidents follows a moment later, or longer in a storm: nothing that has
        returned, and nothing whose parent has, may be hidden for so long.
        """
        found = self.understood(occurrence.occurrence)
        if not found.hidden_behind:
            return found
        self._behind.setdefault(found.hidden_behind, set()).add(occurrence.alarm)
        parent = self._occurrences.get(found.hidden_behind)
        if occurrence.view.state.active and parent is not None and in_front(parent):
            return found
        return replace(found, hidden_behind="")

    def said_changed(self, alarm: str) -> None:
        """Something was said about an alarm: its row is made anew."""
        if alarm in self._occurrences:
            self._stale.add(alarm)
            self._changed.add(alarm)
            self._wake.set()

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
        """All shown occurrences of the plant; what Andon itself says is not among them."""
        return [each for each in self._occurrences.values() if not is_own(each.alarm)]

    def snapshot(self) -> AlarmSnapshot:
        """The whole list."""
        return AlarmSnapshot(
            epoch=self.epoch,
            seq=self.seq,
            at=self._clock.now_ms(),
            rows=list(self._fresh().values()),
            banner=self.banner(),
        )

    def snapshot_json(self) -> bytes:
        """The whole list as JSON: rows that have not changed are not encoded again."""
        rows = self._fresh()
        empty = AlarmSnapshot(
            epoch=self.epoch, seq=self.seq, at=self._clock.now_ms(), rows=[], banner=self.banner()
        )
        return self._json.encode(empty, rows)

    def banner(self) -> Banner:
        """What every page shows."""
        now = self._clock.now_ms()
        rate = self._flood.look(now)
        by_priority = {p: {"active": 0, "unacked": 0} for p in (1, 2, 3, 4)}
        hidden = {"shelved": 0, "suppressed": 0, "out_of_service": 0}
        unacked_at: list[int] = []
        early = 0
        for row in self._fresh().values():
            if row.alarm_class == EARLY_WARNING:
                early += row.active  # counted apart: it is no alarm of the plant
                continue
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
            alarms_10min=rate,
            flood=self._flood.on,
            flood_since=self._flood.since,
            **hidden,
            early_warnings=early,
            edges_online=online,
            edges_total=total,
            cloud_online=self.cloud_online,
            horn=any(
                (
                    occurrence.edge in self.horn_edges
                    or occurrence.edge.startswith(LINK)
                    or system_sounds(occurrence.alarm)
                )
                and sounds(occurrence)
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
            self._critical.clear()
            self._flush()
            await asyncio.sleep(TICK_CRITICAL_S)
            with contextlib.suppress(TimeoutError):  # a priority 1 ends the longer tick
                async with asyncio.timeout(TICK_S - TICK_CRITICAL_S):
                    await self._critical.wait()

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
        sent = self._next_changed()
        delta = AlarmDelta(
            epoch=self.epoch,
            seq=self.seq,
            at=self._clock.now_ms(),
            rows=[self._rows[alarm] for alarm in sent if alarm in self._rows],
            removed=sorted(self._removed),
            banner=banner,
        )
        self._changed.difference_update(sent)
        self._removed.clear()
        if self._changed:
            self._wake.set()
        began = self._clock.now_ms()
        self._broadcaster.send(
            "delta", delta.model_dump_json().encode(), f"{self.epoch}-{self.seq}"
        )
        if self._traced:
            self._trace_sent([*sent, *delta.removed], began)

    def traced(self, alarm: str, context: str, committed: int) -> None:
        """The next frame with this alarm belongs to a trace."""
        if len(self._traced) >= MAX_ROWS:  # shown by no frame: the oldest goes
            del self._traced[next(iter(self._traced))]
        self._traced[alarm] = (context, committed)

    def _trace_sent(self, sent: list[str], began: int) -> None:
        now = self._clock.now_ms()
        for alarm in sent:
            context, committed = self._traced.pop(alarm, ("", 0))
            if context:
                shown = self.traces.span("brain.projection", context, committed, began, alarm=alarm)
                viewers = str(self._broadcaster.viewers)
                self.traces.span("brain.sse", shown, began, now, viewers=viewers)

    def _next_changed(self) -> list[str]:
        if len(self._changed) <= MAX_ROWS:
            return list(self._changed)
        worst = sorted(self._changed, key=lambda a: self._occurrences[a].transition.priority)
        return worst[:MAX_ROWS]

    def hello_frame(self) -> bytes:
        """First frame of a stream: where the list stands."""
        return msgspec.json.encode({"epoch": self.epoch, "seq": self.seq})
