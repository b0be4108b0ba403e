"""The edge's road in small, of real parts (store, journal, drainer, NATS), and how it is killed.

As a program it is a nursery: everything is imported once, each life is a fork that kills itself at
a numbered point around its writes. Points lie before every SQL statement and around every publish,
confirmation and registration; no product code knows of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_node.adapters.sqlite_store import SqliteStore
from edge_node.application.journal import Journal, JournalOutbox
from edge_node.application.records import AlarmRecord, Emit, PutAlarm, PutMeta, event
from edge_node.application.uplink import Lanes
from shared.alarm.states import AlarmState
from shared.bus.nats_bus import NatsBus
from shared.bus.port import Bus
from shared.clock import Clock, SystemClock
from shared.ids import new_epoch, uuid7
from shared.messages.bodies import AlarmTransition, GapRecord
from shared.messages.control import Counts
from shared.messages.envelope import Event
from shared.messages.subjects import HISTORY, LIVE, REPLAY, Node
from shared.outbox.drainer import Drainer
from shared.outbox.port import Caps
from shared.outbox.registration import register

EDGE = Node("f1", "e1")
HUNG_S = 30
Connect = Callable[[], Any]


def transition(number: int, clock: Clock, run: int) -> Emit:
    """Change `number` of a run: raises and returns of a few alarms, one occurrence for each two."""
    active = number % 2 == 0
    body = AlarmTransition(
        alarm=f"A-{number % 8 // 2}", occurrence=f"o-{run}-{number // 2}",
        version=1 if active else 2, annunciated_version=1,
        kind="raised" if active else "returned", annunciate=active,
        state=AlarmState(raw=active, active=active, acked=not active).to_dict(),
        settings_version=1, priority=2, asset="X", tag="T", value=float(number),
        source_time=clock.now_ms(), receive_time=clock.now_ms(), raised_at=clock.now_ms(),
    )  # fmt: skip
    return Emit(event(f"{run}:{number}", f"alarm.{body.kind}", clock.now_ms(), body))


@dataclass
class Road:
    """One life of an edge's store, journal and drainer."""

    folder: Path
    connect: Connect
    clock: Clock = field(default_factory=SystemClock)
    caps: Caps | None = None
    epoch: str = field(default_factory=new_epoch)

    def __post_init__(self) -> None:
        self.lanes = Lanes()
        self.store = SqliteStore(
            self.folder / "edge.db", self.epoch, self.lanes, self._gap_event, self.caps
        )
        self.journal = Journal(self.store, self.clock)
        self.outbox = JournalOutbox(self.journal)
        self.bus: Bus | None = None
        self.drainer: Drainer | None = None
        self._tasks: list[asyncio.Task[Any]] = []

    def _gap_event(self, gap: GapRecord) -> Event:
        return event(uuid7(self.clock), "outbox.gap", self.clock.now_ms(), gap)

    async def open(self) -> None:
        """Run the journal, connect, register, drain."""
        self._tasks.append(asyncio.create_task(self.journal.run()))
        self._tasks.append(asyncio.create_task(self._link()))

    async def _link(self) -> None:
        bus = self.bus = await self.connect()
        drainer = self.drainer = Drainer(EDGE, self.outbox, bus)
        self.journal.on_commit = drainer.wake
        welcome = await register(
            bus, EDGE, self.outbox, self.clock, epoch=self.epoch, boot=self.epoch
        )
        assert welcome.accepted, welcome
        drainer.link_up = True
        self.lanes.drainer = drainer
        await drainer.run()

    def write(self, number: int, run: int, lane: str | None = None) -> asyncio.Future[None]:
        """Alarm state and event of one change."""
        emit = transition(number, self.clock, run)
        if lane is not None:
            emit = Emit(emit.event, lane)
        body = emit.event.body
        assert isinstance(body, AlarmTransition)
        record = AlarmRecord(
            alarm=body.alarm, state=body.state, occurrence=body.occurrence, version=body.version,
            annunciated_version=1,
        )  # fmt: skip
        return self.journal.write([PutAlarm(record), emit, PutMeta("last", str(number).encode())])

    async def drained(self, seconds: float = 20) -> None:
        """Wait until the upper tier has confirmed everything."""
        async with asyncio.timeout(seconds):
            while self.journal.waiting or await self.outbox.pending():
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        """End it in order."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.journal.close()
        if self.bus is not None:
            await self.bus.close()


def conserved(path: Path) -> tuple[bool, dict[str, Counts]]:
    """Whether the counters of an edge's file agree with its rows, counted one by one."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("BEGIN")  # one picture: the edge goes on writing meanwhile
        lanes = {
            lane: Counts(produced=p, delivered=d, dropped=x, quarantined=q)
            for lane, p, d, x, q in db.execute(
                "SELECT lane, sum(produced), sum(delivered), sum(dropped), sum(quarantined) "
                "FROM outbox_lane GROUP BY lane"
            )
        }
        rows = dict(db.execute("SELECT lane, count(*) FROM outbox GROUP BY lane").fetchall())
        size = db.execute("SELECT events FROM outbox_size").fetchone()[0]
    finally:
        db.close()
    holds = size == sum(rows.values()) and all(
        c.produced == c.delivered + rows.get(lane, 0) + c.dropped + c.quarantined
        for lane, c in lanes.items()
    )
    return holds, lanes


class Points:
    """Counts the points that a life passes and ends it at one of them."""

    def __init__(self, kill_at: int | None) -> None:
        self.kill_at, self.passed, self.counting = kill_at, 0, True
        self.last = ""

    def pass_by(self, what: str) -> None:
        """A point; the life may end here."""
        if not self.counting:
            return
        self.passed += 1
        if self.passed == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


class WatchedBus:
    """A bus whose publishes are points: before, sent but not yet confirmed, confirmed."""

    def __init__(self, bus: NatsBus, points: Points) -> None:
        self._bus, self._points = bus, points

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def publish_durable(self, subject: str, data: bytes, message_id: str) -> None:
        """Publish with points around it."""
        self._points.pass_by("publish")
        sent = asyncio.create_task(self._bus.publish_durable(subject, data, message_id))
        await asyncio.sleep(0)
        self._points.pass_by("sent")
        await asyncio.sleep(0.001)
        self._points.pass_by("under way")
        await sent
        self._points.pass_by("confirmed")

    async def request(self, subject: str, data: bytes, timeout_s: float) -> bytes:
        """A registration with points around it."""
        self._points.pass_by("hello")
        answer = await self._bus.request(subject, data, timeout_s)
        self._points.pass_by("welcome")
        return answer

    async def subscribe(self, subject: str, handler: Any, *, workers: int = 1) -> None:
        """Watermark reports are points before and after they are acted on."""

        async def watched(at: str, data: bytes) -> bytes | None:
            self._points.pass_by("report")
            answer = await handler(at, data)
            self._points.pass_by("reported")
            return answer

        await self._bus.subscribe(subject, watched, workers=workers)


async def live(order: dict[str, Any]) -> None:
    """One life: drain what the last one left, then write and drain until the end or the kill."""
    folder, run = Path(order["folder"]), int(order["run"])
    ledger = os.open(folder / f"ledger-{run}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    points = Points(order["kill_at"])
    points.counting = bool(order["from_start"])
    chance = random.Random(order["seed"] * 100_003 + run)

    def say(line: str) -> None:
        os.write(ledger, f"{line}\n".encode())

    async def connect() -> WatchedBus:
        bus = await NatsBus.connect(
            order["url"], user="app", password=order["password"], name="edge", inbox=EDGE.inbox
        )
        return WatchedBus(bus, points)

    path = folder / "edge.db"
    if path.exists() and not conserved(path)[0]:
        say("x counters and rows of the file disagree")
    road = Road(folder, connect)
    road.store._db.set_trace_callback(lambda sql: points.pass_by(sql[:40]))
    await road.open()
    if not order["from_start"]:
        await road.drained()
        say("drained")
        points.counting = True
    for number in range(int(order["writes"])):
        say(f"i {number}")
        lane = HISTORY if number % 5 == 4 else None
        done = road.write(number, run, lane)
        done.add_done_callback(lambda _, n=number: say(f"a {n}"))
        if chance.random() < 0.5:
            await asyncio.wait({done}, timeout=5)
        else:
            await asyncio.sleep(chance.random() * 0.004)
    await road.drained()
    points.counting = False
    await road.close()
    say(f"end {points.passed}")


def nursery() -> None:
    """Read orders, fork a life for each, say how it ended."""
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.alarm(HUNG_S)
            with suppress(KeyboardInterrupt):
                asyncio.run(live(order))
            os._exit(0)
        if order["kill_after_s"] is not None:
            time.sleep(order["kill_after_s"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"run": order["run"], "status": status}), flush=True)


if __name__ == "__main__":
    assert {LIVE, REPLAY}
    nursery()
