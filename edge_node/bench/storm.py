"""A storm behind the kernel: every sample is a transition, through life cycle, records and outbox.

Called by the bench; runs the engine's own classes on a database of its own.
"""

from __future__ import annotations

import tempfile
import time
from array import array
from itertools import count
from pathlib import Path

from edge_node.adapters.sqlite_store import SqliteStore
from edge_node.application.ipc import Samples
from edge_node.application.pipeline import Pipeline
from edge_node.application.records import AlarmRecord, Change, Emit, PutAlarm, event
from edge_node.bench.measure import batch_of, rate
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import Transition
from edge_node.domain.tags import TagTable
from shared.alarm.definition import AlarmDefinition, Words
from shared.alarm.point import Setting
from shared.clock import SystemClock
from shared.ids import uuid7
from shared.messages.bodies import GapRecord
from shared.messages.envelope import Event
from shared.site.model import SourceSpec, TagSpec

GROUP = 100
"""Transitions in one commit, as the journal groups them."""


def pipeline_of(tags: int) -> Pipeline:
    """A pipeline with one limit alarm without delay on each tag of source `s`."""
    clock = SystemClock()
    words = {"zh": "T", "en": "T"}
    specs = [
        TagSpec.model_validate(
            {"id": f"T{i}", "source": "s", "address": f"T{i}", "asset": "A-1", "name": words}
        )
        for i in range(tags)
    ]
    alarms = [
        AlarmDefinition(
            id=f"T{i}.HI", edge="e", asset="A-1", tag=f"T{i}", kind="limit",
            name=Words("T", "T"), priority=2, side="HI", setting=Setting(80.0),
        )
        for i in range(tags)
    ]  # fmt: skip
    source = SourceSpec.model_validate(
        {"id": "s", "edge": "e", "driver": "mqtt", "url": "device:d"}
    )
    book = AlarmBook(alarms, lambda: uuid7(clock))
    pipeline = Pipeline(TagTable([source], specs), book, clock)
    pipeline.start()
    return pipeline


class Storm:
    """Up and down in turn."""

    def __init__(self, tags: int) -> None:
        self.pipeline = pipeline_of(tags)
        order = array("i", range(tags))
        now = self.pipeline.steady()
        self._batches = [
            Samples(**dict(zip(("tags", "times", "values", "qualities"), columns, strict=True)))
            for columns in (
                batch_of(order, array("d", [95.0]) * tags, now),
                batch_of(order, array("d", [50.0]) * tags, now),
            )
        ]
        self._turn = count()

    def transitions(self) -> list[Transition]:
        """One batch: a transition of every alarm."""
        return self.pipeline.take("s", self._batches[next(self._turn) % 2])


def life_cycle(tags: int, seconds: float) -> float:
    """Transitions per second of CPU: kernel, life cycle, occurrence and version, wire form."""
    storm = Storm(tags)
    return round(rate(lambda: len(storm.transitions()), seconds))


def with_outbox(tags: int, seconds: float) -> dict[str, float]:
    """The same with records and events committed to the database in groups."""
    storm, clock = Storm(tags), SystemClock()

    def gap_event(gap: GapRecord) -> Event:
        return event(uuid7(clock), "outbox.gap", clock.now_ms(), gap)

    def change(transition: Transition) -> Change:
        body = transition.body
        told = event(uuid7(clock), f"alarm.{body.kind}", body.source_time, body)
        return [PutAlarm(AlarmRecord.of_transition(transition)), Emit(told)]

    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "edge.db", "bench", lambda _: "live", gap_event)

        def run() -> int:
            made = storm.transitions()
            for start in range(0, len(made), GROUP):
                store.commit([change(t) for t in made[start : start + GROUP]], clock.now_ms())
            return len(made)

        began, cpu = time.perf_counter(), time.process_time()
        done = 0
        while time.process_time() - cpu < seconds:
            done += run()
        wall, spent = time.perf_counter() - began, time.process_time() - cpu
        store.close()
    return {"events_per_cpu_s": round(done / spent), "events_per_s": round(done / wall)}
