"""Loads on the event store: events, alarm transitions and samples through the real receiver.

Each is set beside raw binary COPY of the same rows, measured in the same run.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

import factory_brain
from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.copy_rows import (
    EVENT_COLUMNS,
    SAMPLE_COLUMNS,
    event_rows,
    sample_rows,
)
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.application.fleet import FleetView
from factory_brain.application.ingest import LATE_MS, Ingest
from factory_brain.application.live_view import LiveView
from factory_brain.bench.servers import Postgres
from shared.alarm.states import AlarmState
from shared.clock import SystemClock
from shared.ids import new_epoch, uuid7
from shared.messages.bodies import AlarmTransition, SampleBatch, StateChange
from shared.messages.codec import decode, encode
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import HISTORY, LIVE, REPLAY
from shared.outbox.receiving import MAX_EVENTS, Received
from shared.postgres.migrate import migrate
from shared.postgres.outbox import PgOutbox
from shared.postgres.pool import connect_pool
from shared.postgres.receiver import FrameReceiver
from shared.web.sse import Broadcaster

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"
FRAME = 500
PACED = 100_000
Figures = dict[str, Any]


class World:
    """A brain's store as the brain wires it, in a new database."""

    def __init__(self, server: Postgres, pool: Any) -> None:
        self.server, self.pool, self.clock = server, pool, SystemClock()
        self.outbox = PgOutbox(pool, new_epoch())
        self.alarms, self.samples = AlarmStore(pool), SampleStore(pool)
        self.ingest = Ingest(self.clock, self.alarms, self.samples, self._forward)
        live = LiveView(
            {}, self.clock, Broadcaster(self.clock.now_ms), FleetView("f1", [], self.clock)
        )
        self.ingest.on_occurrence.append(live.on_occurrence)
        self.ingest.receiver = FrameReceiver(pool, self.clock, self.ingest.apply)

    @classmethod
    async def open(cls, server: Postgres, name: str) -> World:
        """Make the database and its tables."""
        url = await server.database(name)
        await migrate(url, MIGRATIONS)
        world = cls(server, await connect_pool(url, size=6))
        await world.alarms.partitions.make_ahead(world.clock.now_ms())
        return world

    async def _forward(self, tx: Any, events: list[Event]) -> None:
        encoded = [encode(event) for event in events]
        await self.outbox.append_many(tx, LIVE, self.clock.now_ms(), encoded)


@dataclass(slots=True)
class Meter:
    """Processor time of this process and of the server over a span."""

    server: Postgres
    began: float = field(default_factory=time.monotonic)
    own: float = field(default_factory=time.process_time)
    theirs: float = 0.0

    def __post_init__(self) -> None:
        self.theirs = self.server.cpu_s()

    def read(self, rows: int) -> Figures:
        """What it took."""
        seconds = time.monotonic() - self.began
        own = time.process_time() - self.own
        theirs = self.server.cpu_s() - self.theirs
        return {
            "rows": rows,
            "rows_per_s": round(rows / seconds),
            "brain_us_per_row": round(own / rows * 1e6, 2),
            "postgres_us_per_row": round(theirs / rows * 1e6, 2),
        }


def _frames(
    world: World, source: str, lane: str, count: int, body: Any
) -> Iterator[tuple[str, bytes]]:
    epoch, now = new_epoch(), world.clock.now_ms()
    for first in range(1, count + 1, FRAME):
        events = [
            msgspec.Raw(encode(Event(id=uuid7(world.clock), type="x", time=now, body=body(number))))
            for number in range(first, min(first + FRAME, count + 1))
        ]
        frame = Frame(source=source, epoch=epoch, lane=lane, first=first, events=events)
        yield lane, encode(frame)


def _state(number: int) -> StateChange:
    return StateChange(
        chart="furnace", asset=f"FUR-{number % 100:02d}", before="heating", after="holding"
    )


async def events(world: World, seconds: float, rate: int = PACED) -> Figures:
    """Generic events at a fixed rate over two lanes, then all of them again, then raw COPY."""
    each = int(seconds * rate / 2) // FRAME * FRAME
    lanes = {
        lane: [data for _, data in _frames(world, "f1.e1", lane, each, _state)]
        for lane in (LIVE, REPLAY)
    }
    lags: list[tuple[float, int]] = []
    held = await world.pool.fetchval("SELECT count(*) FROM event")
    meter = Meter(world.server)
    began = time.monotonic()
    step = FRAME * 2 / rate
    done = await asyncio.gather(
        *(_paced(world, frames, began, step, lags) for frames in lanes.values())
    )
    figures = {"target_per_s": rate, **meter.read(2 * each), **_percentiles(lags)}
    stored = await world.pool.fetchval("SELECT count(*) FROM event") - held
    every = [data for frames in lanes.values() for data in frames]
    meter = Meter(world.server)
    repeated = sum([await _at_once(world, frames) for frames in lanes.values()])
    figures["replay"] = {
        **meter.read(2 * each),
        "applied_again": repeated,
        "stored": stored,
        "stored_after": await world.pool.fetchval("SELECT count(*) FROM event") - held,
    }
    after = figures["replay"]["stored_after"]
    figures["replay"]["exact"] = sum(done) == stored == after == 2 * each and not repeated
    figures["copy"] = await _raw_events(world, every)
    return figures


async def unpaced(world: World, count: int, body: Any = _state, source: str = "f1.e3") -> Figures:
    """The same as fast as it goes, over two lanes."""
    half = count // 2 // FRAME * FRAME
    lanes = [
        [data for _, data in _frames(world, source, lane, half, body)] for lane in (LIVE, REPLAY)
    ]
    meter = Meter(world.server)
    await asyncio.gather(*(_at_once(world, frames) for frames in lanes))
    return meter.read(2 * half)


async def _paced(
    world: World, frames: list[bytes], began: float, step: float,
    lags: list[tuple[float, int]],
) -> int:  # fmt: skip
    """Frames fall due one by one; what is due is committed together. Returns what was applied."""
    left, applied, due = deque(frames), 0, began
    while left:
        wait = due - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        times: list[float] = []
        group: list[Frame] = []
        while left and due <= time.monotonic() and len(group) * FRAME < MAX_EVENTS:
            group.append(decode(left.popleft(), Frame))
            times.append(due)
            due += step
        if not group:
            continue
        receipts = await world.ingest.receive_many(group)
        now = time.monotonic()
        lags += [(now - at, FRAME) for at in times]
        applied += sum(receipt.applied for receipt in receipts)
    return applied


async def _at_once(world: World, frames: list[bytes]) -> int:
    applied = 0
    per = MAX_EVENTS // FRAME
    for at in range(0, len(frames), per):
        group = [decode(data, Frame) for data in frames[at : at + per]]
        receipts = await world.ingest.receive_many(group)
        applied += sum(receipt.applied for receipt in receipts)
    return applied


def _percentiles(lags: list[tuple[float, int]]) -> Figures:
    ordered = sorted(lag for lag, _ in lags)
    at = [ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.5, 0.99, 1)]
    names = ("commit_lag_p50_s", "commit_lag_p99_s", "commit_lag_max_s")
    return {name: round(value, 3) for name, value in zip(names, at, strict=True)}


async def _raw_events(world: World, frames: list[bytes]) -> Figures:
    """The same rows by binary COPY, one connection: into a bare table, and into one with the
    journal's own indexes."""
    copies: list[bytes] = []
    now = world.clock.now_ms()
    for at in range(0, len(frames), MAX_EVENTS // FRAME):
        group = [decode(data, Frame) for data in frames[at : at + MAX_EVENTS // FRAME]]
        items = [
            Received(frame.first + index, decode(raw, Event))
            for frame in group
            for index, raw in enumerate(frame.events)
        ]
        first = group[0]
        copies.append(event_rows(first.source, first.epoch, first.lane, now, items, LATE_MS))
    rows = len(frames) * FRAME
    result: Figures = {}
    for name, how in (("bare_table", ""), ("same_indexes", " INCLUDING ALL")):
        result[name] = await _copy(world, "event", how, copies, EVENT_COLUMNS, rows)
    return result


async def _copy(
    world: World, table: str, how: str, copies: list[bytes], columns: tuple[str, ...], rows: int
) -> Figures:
    async with world.pool.acquire() as connection:
        await connection.execute(f"CREATE TABLE bench_copy (LIKE {table}{how})")
        try:
            meter = Meter(world.server)
            for data in copies:  # each is a transaction of its own, durable
                await connection.copy_to_table(
                    "bench_copy", source=memoryview(data), columns=columns, format="binary"
                )
            return meter.read(rows)
        finally:
            await connection.execute("DROP TABLE bench_copy")


def _transition(alarms: int, number: int) -> AlarmTransition:
    """Alarms are raised, acknowledged, returned, one after the other."""
    life = ("raised", "acknowledged", "returned")
    alarm, kind = number // 3 % alarms, life[number % 3]
    active = kind != "returned"
    return AlarmTransition(
        alarm=f"FUR-01.TT-{alarm}.HIHI", occurrence=f"bench-{number // 3}",
        version=1 + (number % 3 == 2), annunciated_version=1, kind=kind,
        annunciate=kind == "raised", settings_version=1, priority=2, asset="FUR-01",
        tag=f"TT-{alarm}", side="HIHI", value=1291.5, limit=1280.0, unit="°C",
        state=AlarmState(raw=active, active=active, acked=kind != "raised").to_dict(),
        source_time=1_700_000_000_000 + number, receive_time=1_700_000_000_000 + number,
        raised_at=1_700_000_000_000 + number // 3,
    )  # fmt: skip


async def transitions(world: World, count: int) -> Figures:
    """Alarm transitions with everything that follows: occurrence, live list, outbox upward."""
    return await unpaced(world, count, partial(_transition, 1000), "f1.e2")


async def samples(world: World, count: int, tags: int = 10_000, per: int = 5000) -> Figures:
    """Slim samples in batches as an edge sends them, with their marks for the roll-ups."""
    frames, copies = [], []
    epoch, now = new_epoch(), world.clock.now_ms() - 3_600_000
    own = per // 10
    for number in range(count // per):
        first = number * own % tags
        names = [f"FUR-{(first + n) % tags:05d}.TT" for n in range(own)]
        indexes = array("i", [n for n in range(own) for _ in range(10)])
        base = now + number * own // tags * 1000
        times = array("q", [base + 100 * k for _ in range(own) for k in range(10)])
        values = array("d", [20.0 + k / 7 for _ in range(own) for k in range(10)])
        body = SampleBatch(
            names=names, tags=indexes.tobytes(), times=times.tobytes(), values=values.tobytes(),
            qualities=bytes(per),
        )  # fmt: skip
        event = Event(id=uuid7(world.clock), type="samples", time=now, body=body)
        frames.append(
            encode(
                Frame(
                    source="f1.e1", epoch=epoch, lane=HISTORY, first=number + 1,
                    events=[msgspec.Raw(encode(event))],
                )
            )
        )  # fmt: skip
        numbers = array("i", [(first + n) % tags for n in range(own) for _ in range(10)])
        copies.append(sample_rows(times, values, numbers, bytes(per)))
    rows = len(frames) * per
    meter = Meter(world.server)
    for at in range(0, len(frames), 8):
        group = [decode(data, Frame) for data in frames[at : at + 8]]
        await world.ingest.receive_many(group)
    figures = meter.read(rows)
    stored = await world.pool.fetchval("SELECT count(*) FROM sample_raw")
    figures["exact"] = stored == rows
    figures["copy"] = {
        name: await _copy(world, "sample_raw", how, copies, SAMPLE_COLUMNS, rows)
        for name, how in (("bare_table", ""), ("same_indexes", " INCLUDING ALL"))
    }
    return figures
