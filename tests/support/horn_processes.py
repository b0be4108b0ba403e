"""The horn among real processes: one edge, two brains, their NATS servers, PostgreSQL, consoles.

Faults are done to the processes themselves; who sounds is read as people would hear it: the edge's
own page and the stream of each attended console. For tests/chaos/test_annunciation_real.py.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec

from shared.bus.nats_conf import Upstream, edge_leaf, leaf_url
from shared.embedded.ports import LOOPBACK, Ports
from tests.support import edge_world
from tests.support.brain_world import until
from tests.support.chaos_proxy import SilentLink
from tests.support.edge_world import Engine
from tests.support.servers import PostgresForTests
from tests.support.two_brains import BrainProcess

LEASE_S = 3.0
LOOK_S = 0.05
START_S = 240.0
"""A busy machine takes its time to start a process; nothing is measured by it."""
EDGE = "e9"
FAULTS_OF_HTTP = (httpx.TransportError, httpx.StreamError)


class Console:
    """A page that somebody watches: what its banner says, while its brain lives."""

    def __init__(self, brain: BrainProcess) -> None:
        self.brain, self.watched = brain, asyncio.Event()
        self.banner: dict[str, Any] | None = None
        self.said = ""
        """Who sounds for the edge, as the brain said last."""
        self.stopped = False
        """The brain's process is stopped: what the page still shows counts for nothing."""
        self._task = asyncio.create_task(self._watch())
        self._asking = asyncio.create_task(self._ask())

    @property
    def sounds(self) -> bool:
        """Whether this page sounds for the edge: by the page's own rule, and for nothing else.

        A page that has lost its brain counts as silent, whatever it may still play.
        """
        shown = self.banner
        sounds = bool(shown and shown["horn"] and shown["unacked"]) and not self.stopped
        return sounds and self.said == "brain"

    def leave(self) -> None:
        """Nobody watches any more."""
        self.watched.clear()
        self.banner = None
        self._task.cancel()
        self._task = asyncio.create_task(self._watch())

    async def _ask(self) -> None:
        while True:
            try:
                answer = await self.brain.web.get("/api/annunciation", timeout=1)
                self.said = answer.json()[EDGE] if answer.status_code == 200 else ""
            except httpx.TransportError:
                self.said = ""
            await asyncio.sleep(LOOK_S)

    async def _watch(self) -> None:
        while True:
            await self.watched.wait()
            with suppress(*FAULTS_OF_HTTP):
                timeout = httpx.Timeout(5, read=None)
                async with self.brain.web.stream("GET", "/api/stream", timeout=timeout) as answer:
                    if answer.status_code == 200:
                        await self._read(answer)
            self.banner = None
            await asyncio.sleep(0.3)

    async def _read(self, answer: httpx.Response) -> None:
        event = ""
        async for line in answer.aiter_lines():
            kind, _, rest = line.partition(": ")
            if kind == "event":
                event = rest
            elif kind == "data" and event == "resync":
                shown = await self.brain.web.get("/api/alarms")
                if shown.status_code == 200:
                    self.banner = shown.json()["banner"]
            elif kind == "data" and event in ("delta", "snapshot"):
                self.banner = msgspec.json.decode(rest)["banner"]

    async def close(self) -> None:
        """End it."""
        for task in (self._task, self._asking):
            task.cancel()
        await asyncio.gather(self._task, self._asking, return_exceptions=True)


class HornPlant:
    """All processes, and how to hurt them."""

    def __init__(self, folder: Path, servers: edge_world.World, link: SilentLink, url: str) -> None:
        self.folder, self.servers, self.link, self.url = folder, servers, link, url
        port = Ports().take(0)
        self.edge = Engine(folder / "edge", servers.url("f9-e9"), page_port=port)
        self.page = httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=1.0)
        self.brains: list[BrainProcess] = []
        self.consoles: list[Console] = []
        self.edge_up = False
        self.restarts = 0
        """Brains that ended by themselves and were started again, as a service manager does."""

    async def add_brain(self, name: str) -> None:
        """One more brain, starting."""
        folder = self.folder
        config = {
            "site": "f9", "site_dir": str(self.edge.site), "state_dir": str(folder / name),
            "playbook_dir": str(folder / "books"), "secrets_dir": str(folder),
            "brain_name": name, "approval_key_file": str(folder / "approval.key"),
            "release_key_file": str(self.edge.folder / "release.pub"),
            "nats_url": self.servers.url("f9"), "nats_password_file": str(folder / "app"),
            "database_url": self.url, "http_port": Ports().take(0), "lease_ttl": f"{LEASE_S}s",
            "admin_password_file": str(folder / "admin"), "brain_lease": f"{LEASE_S}s",
        }  # fmt: skip
        (folder / name).mkdir()
        brain = BrainProcess(name, config, folder)
        self.brains.append(brain)
        await brain.start()

    async def ready(self) -> None:
        """Everything runs."""
        await self.start_edge()
        await self.feed(80)
        for brain in self.brains:
            await until(brain.answers, START_S)
            await brain.log_in()
            self.consoles.append(Console(brain))

    async def start_edge(self) -> None:
        """Start the edge and give its driver plain values."""
        await asyncio.to_thread(self.edge.start)
        self.edge_up = True

    async def feed(self, value: float) -> None:
        """What the edge's device measures."""
        async with asyncio.timeout(START_S):
            for source, samples in (
                ("s1", [["TT-1", value], ["SP-1", 70], ["ESD-1", 0]]),
                ("s2", [["TT-2", 80], ["SP-2", 10]]),
            ):
                while True:
                    try:
                        await self.edge.tell(source, samples=samples)
                        break
                    except AssertionError:  # not up yet, after its own patience
                        continue

    async def status(self) -> dict[str, Any] | None:
        """The edge's page; None while it does not answer."""
        try:
            answer = await self.page.get("/api/status")
        except httpx.TransportError:
            return None
        return answer.json() if answer.status_code == 200 else None

    async def rows(self) -> list[tuple[str, str, str]]:
        """What stands in the brains' lists."""
        found: list[tuple[str, str, str]] = []
        for brain in self.brains:
            answer = await brain.web.get("/api/alarms")
            found += [(brain.name, row["alarm"], row["state"]) for row in answer.json()["rows"]]
        return found

    async def leader(self) -> BrainProcess:
        """The brain that leads, by the database."""

        async def found() -> BrainProcess | None:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                db = await asyncpg.connect(self.url, timeout=5)
                try:
                    holder = await db.fetchval(
                        "SELECT holder FROM lease WHERE name = 'leader' "
                        "AND until > clock_timestamp()"
                    )
                finally:
                    await db.close()
                name = (holder or "").partition(" ")[0]
                return next((each for each in self.brains if each.name == name), None)
            return None

        return await until(found, 30)

    async def acknowledge_at_edge(self) -> None:
        """Somebody at the edge's own page acknowledges everything."""
        status = await self.status()
        assert status is not None
        items = [
            {name: row[name] for name in ("alarm", "occurrence", "version")}
            for row in status["alarms"] if not row["acked"]
        ]  # fmt: skip
        answer = await self.page.post(
            "/api/alarms/ack", json={"items": items, "actor": "wang"},
            headers={"Idempotency-Key": f"at-the-edge-{items[0]['occurrence']}"},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text

    async def tend(self) -> None:
        """Start again what ended by itself, for ever."""
        while True:
            for brain in self.brains:
                process = brain.process
                if process is not None and process.returncode is not None and not brain.down:
                    self.restarts += 1
                    await brain.start()
            await asyncio.sleep(0.3)

    # faults

    def console_of(self, brain: BrainProcess) -> Console:
        """The page that shows this brain."""
        return next(each for each in self.consoles if each.brain is brain)

    async def kill_brain(self, brain: BrainProcess, down_s: float) -> None:
        """SIGKILL, and a start after a while."""
        brain.down = True
        await brain.end(signal.SIGKILL)
        await asyncio.sleep(down_s)
        await brain.start()
        brain.down = False

    async def stop_brain(self, brain: BrainProcess, for_s: float) -> None:
        """SIGSTOP and SIGCONT."""
        assert brain.process is not None
        console = self.console_of(brain)
        console.stopped = True
        brain.process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            brain.process.send_signal(signal.SIGCONT)
            console.stopped = False

    async def cut_link(self, for_s: float, *, reset: bool) -> None:
        """The link falls silent and is mended."""
        self.link.cut()
        await asyncio.sleep(for_s)
        await self.link.mend(reset=reset)

    async def restart_nats(self, name: str, down_s: float) -> None:
        """One of the servers ends and comes back with its data."""
        await asyncio.to_thread(self.servers.stop, name)
        await asyncio.sleep(down_s)
        await self.servers.start(name)

    async def restart_edge(self, down_s: float) -> None:
        """SIGKILL of the edge, and a start after a while."""
        self.edge_up = False
        await asyncio.to_thread(self.edge.kill)
        await asyncio.sleep(down_s)
        await self.start_edge()
        await self.feed(130)

    async def end(self) -> None:
        """Everything that was started here."""
        for console in self.consoles:
            await console.close()
        for brain in self.brains:
            brain.down = True
            if brain.process is not None and brain.process.returncode is None:
                brain.process.send_signal(signal.SIGCONT)
            await brain.end(signal.SIGKILL)
            await brain.web.aclose()
        await self.page.aclose()
        if self.edge_up:
            await asyncio.to_thread(self.edge.kill)


def kill_postgres(server: PostgresForTests) -> None:
    """SIGKILL of the server; it is supervised and comes back."""
    if server.pid is not None:
        os.kill(server.pid, signal.SIGKILL)


async def _linked(folder: Path, stack: AsyncExitStack) -> tuple[edge_world.World, SilentLink]:
    """The factory's and the edge's server, with a link between them that can fall silent."""
    servers = edge_world.World(folder)
    link = SilentLink(servers.servers["f9"].leaf_port or 0)
    await link.start()
    stack.push_async_callback(link.close)
    through = Upstream(leaf_url(edge_leaf("f9", "e9", "leaf-e9"), LOOPBACK, link.port))
    servers.servers["f9-e9"] = dataclasses.replace(servers.servers["f9-e9"], upstream=through)

    async def stop() -> None:
        for name in ("f9-e9", "f9"):
            with suppress(KeyError):
                await asyncio.to_thread(servers.stop, name)

    stack.push_async_callback(stop)
    await servers.start("f9")
    await servers.start("f9-e9")
    return servers, link


@asynccontextmanager
async def horn_plant(folder: Path, url: str, brains: Sequence[str]) -> AsyncIterator[HornPlant]:
    """All of it, started; nobody watches yet and nothing is wrong."""
    async with AsyncExitStack() as stack:
        (folder / "edge").mkdir()
        (folder / "books").mkdir()
        servers, link = await _linked(folder, stack)
        plant = HornPlant(folder, servers, link, url)
        stack.push_async_callback(plant.end)
        for name, data in {
            "app": b"app-f9", "admin": b"correct horse", "approval.key": plant.edge.approval,
        }.items():  # fmt: skip
            (folder / name).write_bytes(data)
        for name in brains:
            await plant.add_brain(name)
        await plant.ready()
        yield plant
