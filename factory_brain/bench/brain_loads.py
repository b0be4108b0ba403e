"""Loads on a whole brain in a process of its own: memory, the alarm list, viewers of the stream.

Speaks to it as an edge (NATS) and as consoles (HTTP); measures its processor time from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil

from factory_brain.bench.servers import Nats, Postgres, cpu_s, until
from shared.alarm.states import AlarmState
from shared.bus.nats_bus import NatsBus
from shared.clock import SystemClock
from shared.embedded.ports import Ports
from shared.errors import AndonError
from shared.ids import new_epoch, uuid7
from shared.messages.bodies import AlarmTransition
from shared.messages.codec import encode
from shared.messages.control import Hello
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import LIVE, Node
from shared.paths import demo_sites
from shared.security import generate_key

EDGE = Node("f1", "e1")
PASSWORD = "bench-administrator"
FRAMES_PER_S = 5
Figures = dict[str, Any]


class BrainUnderLoad:
    """A brain process, its edge and its console."""

    def __init__(self, process: psutil.Process, web: httpx.AsyncClient, bus: NatsBus) -> None:
        self.process, self.web, self._bus = process, web, bus
        self._clock, self._epoch, self._seq = SystemClock(), new_epoch(), 0

    async def hello(self) -> None:
        """Register as an edge that has just started."""
        hello = Hello(
            source=EDGE.source, epoch=self._epoch, boot=new_epoch(), at=self._clock.now_ms()
        )
        await self._bus.request(EDGE.hello, encode(hello), 10)

    async def raise_alarms(self, first: int, last: int) -> None:
        """Alarms `first..last` stand, in frames as an edge sends them."""
        for at in range(first, last + 1, 500):
            end = min(at + 500, last + 1)
            await self._send([_raised(n, 1, self._clock) for n in range(at, end)])

        async def shown() -> bool:
            return len((await self.web.get("/api/alarms")).json()["rows"]) > last

        await until(f"{last} alarms in the list", shown, 120)

    async def touch(self, version: int) -> None:
        """One alarm changes: one frame for every viewer."""
        await self._send([_raised(0, version, self._clock)])

    async def _send(self, bodies: list[AlarmTransition]) -> None:
        events = [
            msgspec.Raw(
                encode(Event(id=uuid7(self._clock), type="alarm", time=b.source_time, body=b))
            )
            for b in bodies
        ]
        frame = Frame(
            source=EDGE.source, epoch=self._epoch, lane=LIVE, first=self._seq + 1, events=events
        )
        self._seq += len(events)
        await self._bus.publish_durable(EDGE.lane(LIVE), encode(frame), frame.message_id)

    def memory_mb(self) -> float:
        """Resident memory."""
        return round(self.process.memory_info().rss / 1e6, 1)


def _raised(number: int, version: int, clock: SystemClock) -> AlarmTransition:
    now = clock.now_ms()
    return AlarmTransition(
        alarm=f"FUR-01.TT-{number}.HIHI", occurrence=f"stands-{number}", version=version,
        annunciated_version=1, kind="raised" if version == 1 else "reconfigured",
        annunciate=version == 1, settings_version=1, priority=1 if number == 0 else 3,
        asset="FUR-01", tag=f"TT-{number}", side="HIHI", value=1291.5 + version, limit=1280.0,
        unit="°C", state=AlarmState(raw=True, active=True, acked=False).to_dict(),
        source_time=now, receive_time=now, raised_at=now - 1000,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def brain(folder: Path, server: Postgres, nats: Nats) -> AsyncIterator[BrainUnderLoad]:
    """Start the real process and log in."""
    url, port = await server.database("brain"), Ports().take(0)
    private, public = generate_key()
    for name, data in {
        "app": nats.password.encode(), "admin": PASSWORD.encode(), "site.key": private,
        "group.pub": public,
    }.items():  # fmt: skip
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)
    (folder / "playbooks").mkdir()
    settings = {
        "site": "f1", "site_dir": str(demo_sites() / "f1"),
        "playbook_dir": str(folder / "playbooks"), "secrets_dir": str(folder),
        "state_dir": str(folder), "nats_url": nats.url, "nats_password_file": str(folder / "app"),
        "database_url": url, "http_port": port, "admin_password_file": str(folder / "admin"),
        "approval_key_file": str(folder / "site.key"),
        "release_key_file": str(folder / "group.pub"), "log_level": "error",
    }  # fmt: skip
    config = folder / "brain.yaml"
    config.write_bytes(msgspec.json.encode(settings))  # JSON is YAML too
    with (folder / "brain.log").open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "factory_brain", "run", "--config", str(config),
            stdout=log, stderr=log,
        )  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    bus: NatsBus | None = None
    try:
        async with httpx.AsyncClient(base_url=base, timeout=60) as web:
            await _until_up(web, child, folder / "brain.log")
            login = {"username": "admin", "password": PASSWORD}
            answer = await web.post("/api/session", json=login)
            if answer.status_code >= 300:
                raise AndonError(f"the brain refused the login: {answer.text[:200]}")
            bus = await NatsBus.connect(
                nats.url, user="app", password=nats.password, name="bench", inbox=EDGE.inbox,
                site="f1",
            )  # fmt: skip
            under = BrainUnderLoad(psutil.Process(child.pid), web, bus)
            await under.hello()
            yield under
    finally:
        if bus is not None:
            await bus.close()
        if child.returncode is None:
            child.terminate()
            try:
                await asyncio.wait_for(child.wait(), 15)
            except TimeoutError:
                child.kill()
                await child.wait()


async def _until_up(
    web: httpx.AsyncClient, child: asyncio.subprocess.Process, log: Path
) -> None:  # fmt: skip
    async with asyncio.timeout(90):
        while True:
            if child.returncode is not None:
                told = (await asyncio.to_thread(log.read_text))[-2000:]
                raise AndonError(f"the brain did not start:\n{told}")
            with contextlib.suppress(httpx.TransportError):
                if (await web.get("/api/healthz")).status_code == 200:
                    return
            await asyncio.sleep(0.2)


async def alarm_list(under: BrainUnderLoad, asked: int) -> Figures:
    """Processor time of the application for its whole list, asked again and again."""
    await asyncio.gather(*(under.web.get("/api/alarms") for _ in range(3)))
    began = cpu_s(under.process.pid)
    started = time.monotonic()
    for _ in range(asked):
        await under.web.get("/api/alarms")
    seconds, spent = time.monotonic() - started, cpu_s(under.process.pid) - began
    began = cpu_s(under.process.pid)
    await asyncio.sleep(seconds)
    idle = cpu_s(under.process.pid) - began
    answer = await under.web.get("/api/alarms")
    return {
        "rows": len(answer.json()["rows"]), "bytes": len(answer.content), "asked": asked,
        "app_cpu_ms": round((spent - idle) / asked * 1e3, 2),
        "answer_ms": round(seconds / asked * 1e3, 2),
    }  # fmt: skip


async def viewers(under: BrainUnderLoad, count: int, seconds: float) -> Figures:
    """Processor time of the application while so many consoles get five frames a second."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(4 * count, 4096), hard), hard))
    watching = [_Viewer() for _ in range(count)]
    tasks: list[asyncio.Task[None]] = []
    try:
        for at in range(0, count, 50):
            tasks += [asyncio.create_task(each.watch(under.web)) for each in watching[at : at + 50]]
            await asyncio.sleep(0.05)

        async def all_see() -> bool:
            return all(each.frames for each in watching)

        await until("all viewers' first frame", all_see, 60)
        version = 2
        alone = await _load(under, watching, version, seconds)
        return {
            "viewers": count, "lost": sum(task.done() for task in tasks),
            "memory_mb": under.memory_mb(), **alone,
        }  # fmt: skip
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _load(
    under: BrainUnderLoad, watching: list[_Viewer], version: int, seconds: float
) -> Figures:
    before = sum(each.frames for each in watching)
    spent, began = cpu_s(under.process.pid), time.monotonic()
    sent = 0
    while (now := time.monotonic()) - began < seconds:
        await under.touch(version + sent)
        sent += 1
        await asyncio.sleep(max(began + sent / FRAMES_PER_S - time.monotonic(), 0))
    await asyncio.sleep(0.5)
    took = time.monotonic() - began
    spent = cpu_s(under.process.pid) - spent
    frames = sum(each.frames for each in watching) - before
    return {
        "frames_per_viewer_per_s": round(frames / len(watching) / (now - began), 2),
        "cores": round(spent / took, 3),
    }


class _Viewer:
    """A console's stream on a bare socket: counts the events."""

    def __init__(self) -> None:
        self.frames = 0

    async def watch(self, web: httpx.AsyncClient) -> None:
        """Until cancelled or cut off."""
        url = web.base_url
        reader, writer = await asyncio.open_connection(url.host, url.port)
        cookies = "; ".join(f"{name}={value}" for name, value in web.cookies.items())
        writer.write(
            f"GET /api/stream HTTP/1.1\r\nHost: {url.host}\r\nCookie: {cookies}\r\n\r\n".encode()
        )
        try:
            while data := await reader.read(65536):
                self.frames += data.count(b"event: ")
        finally:
            writer.close()
