"""A brain's store with its sinks, on a real PostgreSQL; the sinks can be ended at any moment.

Used by tests/integration/test_sinks*.py; events and samples come through the real receiver.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.adapters.postgres.sink_store import PgSinkStore
from factory_brain.adapters.sinks.registry import open_sink
from factory_brain.application.ingest import Ingest
from factory_brain.application.sinks.forwarder import Forwarder
from factory_brain.application.sinks.forwarding import Forwarding
from factory_brain.application.sinks.port import Sink
from factory_brain.domain.samples import Columns
from shared.alarm.states import AlarmState
from shared.clock import SystemClock
from shared.messages.bodies import AlarmTransition, SampleBatch
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from shared.paths import demo_sites
from shared.postgres.receiver import FrameReceiver
from shared.service import supervise
from shared.site.loader import load_site
from shared.site.sinks import SinkSpec

HIHI = "FUR-01.TT-101.HIHI"
TAGS = ["TT-101", "TT-102", "TT-103", "DOOR-1"]
Sample = tuple[str, int, float, int]


class SinkWorld:
    """A brain's store and its sinks."""

    def __init__(self, pool: asyncpg.Pool, folder: Path) -> None:
        self.pool, self.folder, self.clock = pool, folder, SystemClock()
        self.site = load_site(demo_sites() / "f1")
        self.store = PgSinkStore(pool, self.site, self.clock)

        async def forward(*_: Any) -> None:
            return None

        self.ingest = Ingest(self.clock, AlarmStore(pool), SampleStore(pool), forward)
        self.ingest.receiver = FrameReceiver(pool, self.clock, self.ingest.apply)
        self.ingest.on_samples.append(self.store.on_samples)
        self.seq: dict[str, int] = {}
        self.events: set[str] = set()
        self.samples: set[Sample] = set()
        self.conditions: list[tuple[str, bool]] = []
        self.forwarding: Forwarding | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._brains, self.rounds = 0, 0
        self.random = random.Random(4)

    def sink(self, name: str, kind: str, url: str, secret: str = "", **more: Any) -> SinkSpec:
        """Write one more sink into the site."""
        if secret:
            (self.folder / f"{name}.secret").write_text(secret)
            more["secret"] = f"{name}.secret"
        chosen = {
            "id": name, "kind": kind, "url": url, "events": "true",
            "samples": {"tags": ["*"]}, "begin": "start", "period": "100ms", "batch": 400,
        }  # fmt: skip
        spec = SinkSpec.model_validate(chosen | more)
        self.site.sinks[name] = spec
        return spec

    async def start(self) -> Forwarding:
        """A brain begins to forward."""
        self._brains += 1
        owner = f"brain-{self._brains}"

        def journal(name: str) -> Feed:
            return Feed(self.pool, f"sink-{name}", begin=self.site.sinks[name].begin)

        async def make(spec: SinkSpec) -> Forwarder:
            sink = await self.opened(spec)
            return _Counted(
                self, spec, sink, journal(spec.id), self.store, self.site, self.clock, owner
            )  # fmt: skip

        async def behind(name: str, active: bool, params: dict[str, Any]) -> None:
            del params
            self.conditions.append((name, active))

        self.forwarding = Forwarding(self.site, self.clock, self.store, make, journal, behind)
        await self.forwarding.prepare()
        self._tasks = [
            asyncio.create_task(supervise(name, body)) for name, body in
            (("sinks", self.forwarding.run), ("sinks-prune", self.forwarding.prune_for_ever))
        ]  # fmt: skip
        return self.forwarding

    async def opened(self, spec: SinkSpec) -> Sink:
        """The real one."""
        return await open_sink(spec, self.folder, "f1")

    async def kill(self) -> None:
        """End the sinks wherever they are; another brain need not wait for this one's lease."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks and self.forwarding is not None:
            await asyncio.wait(tasks, timeout=10)
            await self.forwarding.close()
        await self.pool.execute("UPDATE sink_position SET until = 0")

    async def send_events(self, count: int, edge: str = "e1", ago_ms: int = 0) -> None:
        """Alarms raised, some at the same millisecond."""
        now = self.clock.now_ms() - ago_ms
        first = self.seq.get(edge, 0) + 1
        bodies = [_transition(f"{edge}-o{first + n}", now + n // 7) for n in range(count)]
        await self._frames(edge, first, [
            Event(id=f"{edge}-{first + n}", type="alarm.raised", time=body.source_time, body=body)
            for n, body in enumerate(bodies)
        ])  # fmt: skip
        self.events |= {f"{edge}-{first + n}" for n in range(count)}

    async def _frames(self, edge: str, first: int, events: list[Event]) -> None:
        self.seq[edge] = first + len(events) - 1
        for n in range(0, len(events), 250):
            part = [msgspec.Raw(encode(each)) for each in events[n : n + 250]]
            await self.ingest.receive(
                Frame(source=f"f1.{edge}", epoch="ep", lane="live", first=first + n, events=part)
            )

    async def send_samples(self, rows: list[Sample], edge: str = "e1") -> None:
        """One batch of samples, as an edge sends it."""
        each = Columns.of(rows)
        body = SampleBatch(
            names=each.names, tags=each.tags.tobytes(), times=each.times.tobytes(),
            values=each.values.tobytes(), qualities=each.qualities,
        )  # fmt: skip
        lane, key = "history", f"{edge}/history"
        first = self.seq.get(key, 0) + 1
        self.seq[key] = first
        event = Event(id=f"{edge}-h{first}", type="samples", time=self.clock.now_ms(), body=body)
        await self.ingest.receive(
            Frame(source=f"f1.{edge}", epoch="ep", lane=lane, first=first,
                  events=[msgspec.Raw(encode(event))])
        )  # fmt: skip
        self.samples |= set(rows)

    async def send_many_samples(self, count: int) -> None:
        """Batches over the last half hour."""
        now = self.clock.now_ms() - 1_800_000
        for n in range(0, count, 500):
            await self.send_samples([
                (TAGS[i % len(TAGS)], now + i, self.random.uniform(-1e3, 1e3), i % 3)
                for i in range(n, min(n + 500, count))
            ])  # fmt: skip


class _Counted(Forwarder):
    """Tells how often it has looked."""

    def __init__(self, world: SinkWorld, *parts: Any) -> None:
        super().__init__(*parts)
        self._world = world

    async def round(self) -> bool:
        more = await super().round()
        self._world.rounds += 1
        return more


def _transition(occurrence: str, at: int) -> AlarmTransition:
    state = AlarmState(raw=True, active=True, acked=False).to_dict()
    return AlarmTransition(
        alarm=HIHI, occurrence=occurrence, version=1, annunciated_version=1, kind="raised",
        annunciate=True, settings_version=1, priority=1, asset="FUR-01", tag="TT-101", side="HIHI",
        value=1291.5, limit=1280.0, unit="°C", state=state, source_time=at, receive_time=at,
        raised_at=at, actor='quote " back\\slash, 换行\nzweite',
    )  # fmt: skip
