"""An edge engine as a process of its own, scripted drivers, two real NATS servers, a test's brain.

For tests/integration/test_edge_engine.py; everything here is started and ended by its own handle.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shared.bus.nats_bus import NatsBus
from shared.bus.nats_conf import NatsServer, Upstream, edge_leaf, leaf_url, render
from shared.bus.streams import factory_streams
from shared.embedded.nats_server import find_nats_server
from shared.embedded.ports import LOOPBACK, Ports, answers
from shared.messages.bodies import AlarmTransition, GapRecord, SampleBatch
from shared.messages.codec import decode, encode
from shared.messages.control import Committed, Health, Hello, Welcome
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import Node, any_node
from shared.outbox.watermark import judge
from shared.security import generate_key

NODE = Node("f9", "e9")
HIHI, HI = "X-1.TT-1.HIHI", "X-1.TT-1.HI"
DRIVER = Path(__file__).with_name("scripted_driver.py")
SITE = {
    "site.yaml": {
        "site": "f9", "name": {"zh": "试验厂", "en": "Test"},
        "edges": [{"id": "e9", "name": {"zh": "边缘", "en": "Edge"}}],
    },
    "tags/t.yaml": {
        "sources": [
            {"id": "s1", "edge": "e9", "driver": "opcua", "url": "opc.tcp://x"},
            {"id": "s2", "edge": "e9", "driver": "opcua", "url": "opc.tcp://y"},
        ],
        "tags": [
            {"id": i, "source": s, "address": f"ns=2;s={i}", "asset": "X-1",
             "name": {"zh": i, "en": i}, **more}
            for i, s, more in (
                ("TT-1", "s1", {"deadband": 0.5}), ("SP-1", "s1", {}),
                ("ESD-1", "s1", {"type": "boolean"}), ("TT-2", "s2", {"stale_after": "2s"}),
                ("SP-2", "s2", {}),
            )
        ],
    },
    "alarms/a.yaml": {
        "alarms": [
            {"id": "X-1.TT-1.HIHI", "edge": "e9", "asset": "X-1", "tag": "TT-1", "side": "HIHI",
             "limit": 120, "deadband": 2, "priority": 1, "safety": True,
             "name": {"zh": "高高", "en": "HIHI"}},
            {"id": "X-1.TT-1.HI", "edge": "e9", "asset": "X-1", "tag": "TT-1", "side": "HI",
             "limit": 100, "deadband": 2, "priority": 2, "suppressed_by": ["X-1.TT-1.HIHI"],
             "bounds": {"limit_min": 90, "limit_max": 115}, "name": {"zh": "高", "en": "HI"}},
            {"id": "X-1.TT-2.STALE", "edge": "e9", "asset": "X-1", "tag": "TT-2", "kind": "stale",
             "stale_after": "2s", "priority": 3, "name": {"zh": "无数据", "en": "stale"}},
            {"id": "X-1.TT-2.HI", "edge": "e9", "asset": "X-1", "tag": "TT-2", "side": "HI",
             "limit": 100, "priority": 3, "name": {"zh": "高", "en": "HI"}},
            {"id": "X-1.SP-2.HI", "edge": "e9", "asset": "X-1", "tag": "SP-2", "side": "HI",
             "limit": 500, "priority": 3, "name": {"zh": "高", "en": "HI"},
             "bounds": {"limit_min": 490, "limit_max": 600, "filters": ["mean5min"]}},
        ]
    },
    "reflexes/r.yaml": {
        "reflexes": [
            {"id": "cool", "alarm": "X-1.TT-1.HIHI", "device": "X-1/burner", "operation": "set",
             "args": {"pct": 40}, "verify": 'tag("SP-1").good && tag("SP-1").value <= 40.5',
             "verify_within": "2s", "safe_direction": True},
        ]
    },
    "bindings.yaml": {
        "devices": {
            "X-1/burner": {
                "type": "burner", "edge": "e9", "source": "s1",
                "operations": {"set": {"write": "ns=2;s=SP", "arg": "pct", "min": 20, "max": 100,
                                       "capture_before": "SP-1"}},
                "interlocks": ["tag('ESD-1').good && !tag('ESD-1').value"],
            },
            "X-1/second": {
                "type": "valve", "edge": "e9", "source": "s2",
                "operations": {"set": {"write": "ns=2;s=SP2", "arg": "pct", "min": 0, "max": 100,
                                       "max_per_min": 2, "capture_before": "SP-2"}},
            },
        }
    },
}  # fmt: skip


def write_site(folder: Path) -> None:
    """The test's site as files."""
    for name, document in SITE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(document, allow_unicode=True))


async def until(what: Callable[[], Any], seconds: float = 40.0, why: str = "") -> Any:
    """Poll until `what()` is true, within a deadline."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {why}"
        await asyncio.sleep(0.02)
    return found


class Engine:
    """The engine's process."""

    def __init__(self, folder: Path, nats_url: str, **more: object) -> None:
        self.folder = folder
        self.state = Path(str(more.pop("state_dir", folder / "state")))
        self.site = folder / "site"
        write_site(self.site)
        self.release, release = generate_key()
        self.approval, approval = generate_key()
        (folder / "release.pub").write_bytes(release)
        (folder / "approval.pub").write_bytes(approval)
        if not (folder / "password").exists():
            (folder / "password").write_text("app-e9")
        settings = {
            "site": "f9", "edge": "e9", "site_dir": str(self.site), "state_dir": str(self.state),
            "nats_url": nats_url, "nats_user": "app", "log_level": "debug",
            "nats_password_file": str(folder / "password"),
            "release_key_file": str(folder / "release.pub"),
            "approval_key_file": str(folder / "approval.pub"),
            "driver_command": [sys.executable, str(DRIVER)],
            "device_credentials": {
                s: {"control": str(folder / f"{s}.sock"), "writes": str(folder / "writes"),
                    "echo": {"ns=2;s=SP": "SP-1", "ns=2;s=SP2": "SP-2"}}
                for s in ("s1", "s2")
            },
            **more,
        }  # fmt: skip
        (folder / "edge.yaml").write_text(yaml.safe_dump(settings))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its log goes to a file."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge_node", "run", "--config",
                 str(self.folder / "edge.yaml")], stdout=log, stderr=log,
            )  # fmt: skip

    async def ready(self) -> None:
        """Wait for both drivers, with plain values in."""
        await until(lambda: "edge_started" in self.log_text(), 15, self.log_text()[-2000:])
        await self.tell("s1", samples=[["TT-1", 80], ["SP-1", 70], ["ESD-1", 0]])
        await self.tell("s2", samples=[["TT-2", 80], ["SP-2", 10]])

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def log_text(self) -> str:
        """All it has logged."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        lines = (line for line in self.log_text().splitlines() if line.startswith("{"))
        return [parsed for line in lines if (parsed := json.loads(line))["event"] == name]

    def writes(self) -> list[dict[str, Any]]:
        """Every write a driver has received."""
        path = self.folder / "writes"
        return [json.loads(x) for x in path.read_text().splitlines()] if path.exists() else []

    async def tell(self, source: str, **order: object) -> None:
        """One order to a scripted driver."""
        deadline = time.monotonic() + 40
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self.folder / f"{source}.sock")
                writer.write(json.dumps(order).encode() + b"\n")
                try:
                    answer = await asyncio.wait_for(reader.readline(), 3)
                finally:
                    writer.transport.abort()  # also when the child was killed under our hands
                if answer:
                    return
            except (OSError, TimeoutError):
                assert time.monotonic() < deadline, f"driver {source} does not listen"
            await asyncio.sleep(0.05)


@dataclass
class Brain:
    """A factory that commits in memory: watermarks, events by position, health."""

    bus: NatsBus
    marks: dict[tuple[str, str], int] = field(default_factory=dict)
    events: dict[tuple[str, str, int], Event] = field(default_factory=dict)
    order: list[Event] = field(default_factory=list)
    conflicts: int = 0
    health: list[Health] = field(default_factory=list)
    epochs: list[str] = field(default_factory=list)
    refuse: bool = False
    _task: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Streams, subscriptions, consumers."""
        for spec in factory_streams(NODE.site):
            await self.bus.ensure_stream(spec)
        await self.bus.ensure_bucket(NODE.directive_bucket)
        await self.bus.subscribe(any_node(NODE.site, "*", "hello"), self._hello)
        await self.bus.subscribe(NODE.health, self._on_health)
        for stream, kind in (("EVENTS", "alarm"), ("SAMPLES", "sample")):
            self._task.append(asyncio.create_task(self._consume(stream, kind)))

    async def stop(self) -> None:
        """End it."""
        for task in self._task:
            task.cancel()
        await asyncio.gather(*self._task, return_exceptions=True)
        await self.bus.close()

    async def _hello(self, _: str, data: bytes) -> bytes:
        hello = decode(data, Hello)
        if hello.epoch not in self.epochs:
            self.epochs.append(hello.epoch)
        marks = {f"{epoch}/{lane}": seq for (epoch, lane), seq in self.marks.items()}
        return encode(
            Welcome(accepted=not self.refuse, at=round(time.time() * 1000), watermarks=marks)
        )

    async def _on_health(self, _: str, data: bytes) -> None:
        self.health.append(decode(data, Health))

    async def _consume(self, stream: str, kind: str) -> None:
        subject = any_node(NODE.site, "*", kind, "*")
        async for batch in self.bus.consume(stream, f"brain-{kind}", subject):
            for delivery in batch:
                await self._take(decode(delivery.data, Frame))
                await delivery.ack()

    async def _take(self, frame: Frame) -> None:
        key = (frame.epoch, frame.lane)
        first = decode(bytes(frame.events[0]), Event).body
        through = first.last if isinstance(first, GapRecord) else None
        verdict = judge(frame, self.marks.get(key, 0), through)
        for seq, raw in verdict.repeated:
            known = self.events.get((*key, seq))
            if known is not None and encode(known) != encode(decode(bytes(raw), Event)):
                self.conflicts += 1
        for seq, raw in verdict.fresh:
            event = decode(bytes(raw), Event)
            self.events[(*key, seq)] = event
            self.order.append(event)
        self.marks[key] = verdict.watermark
        marks = {f"{frame.epoch}/{frame.lane}": verdict.watermark}
        report = Committed(source=frame.source, watermarks=marks)
        await self.bus.publish(NODE.committed, encode(report))

    def bodies(self, kind: type) -> list[Any]:
        """All bodies of one kind, in order of arrival."""
        return [e.body for e in self.order if isinstance(e.body, kind)]

    def alarms(self, alarm: str = "") -> list[tuple[str, str, int]]:
        """(kind, occurrence, version) of transitions, in order of arrival."""
        return [
            (b.kind, b.occurrence, b.version)
            for b in self.bodies(AlarmTransition) if not alarm or b.alarm == alarm
        ]  # fmt: skip

    def gapless(self) -> bool:
        """Whether every lane holds exactly 1..watermark."""
        seen: dict[tuple[str, str], list[int]] = defaultdict(list)
        for epoch, lane, seq in self.events:
            seen[epoch, lane].append(seq)
        return all(sorted(seqs) == list(range(1, len(seqs) + 1)) for seqs in seen.values())

    def samples(self) -> list[SampleBatch]:
        """All sample batches."""
        return self.bodies(SampleBatch)


class World:
    """Factory and edge server, each stoppable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        take = Ports().take
        leaf = edge_leaf("f9", "e9", "leaf-e9")

        def server(name: str, **more: Any) -> NatsServer:
            return NatsServer(name, name, str(folder / name), take(), take(), "app-" + name[-2:],
                              "sys", **more)  # fmt: skip

        factory = server("f9", leaf_port=take(), leaves=(leaf,))
        up = Upstream(leaf_url(leaf, LOOPBACK, factory.leaf_port or 0))
        self.servers = {"f9": factory, "f9-e9": server("f9-e9", upstream=up)}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def url(self, name: str) -> str:
        """Client URL of a server."""
        return f"nats://{LOOPBACK}:{self.servers[name].client_port}"

    async def start(self, name: str) -> None:
        """Start one server and wait for its port."""
        path = self.folder / f"{name}.conf"
        path.write_text(render(self.servers[name]))
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(  # noqa: ASYNC220 - ended by `stop`
                [str(find_nats_server()), "-c", str(path)], stdout=log, stderr=log
            )
        port = self.servers[name].client_port
        await until(lambda: answers(port), 40, f"{name} does not listen")

    def stop(self, name: str) -> None:
        """Stop one server."""
        process = self._running.pop(name)
        process.terminate()
        process.wait(10)

    async def brain(self) -> Brain:
        """A brain on the factory's server."""
        bus = await NatsBus.connect(
            self.url("f9"), user="app", password="app-f9", name="brain",
            inbox=Node("f9", "brain").inbox, site="f9",
        )  # fmt: skip
        brain = Brain(bus)
        await brain.start()
        return brain


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """Both servers, ended at the end."""
    made = World(folder)
    try:
        await made.start("f9")
        await made.start("f9-e9")
        yield made
    finally:
        for name in list(made._running):
            made.stop(name)


async def ask(brain: Brain, subject: str, message: object, kind: type[Any]) -> Any:
    return decode(await brain.bus.request_down(NODE, subject, encode(message), 8), kind)


async def raised(brain: Brain, alarm: str) -> AlarmTransition:
    def found() -> AlarmTransition | None:
        bodies = brain.bodies(AlarmTransition)
        return next((b for b in reversed(bodies) if b.alarm == alarm and b.kind == "raised"), None)

    return await until(found, 40, f"{alarm} not raised: {brain.alarms()}")
