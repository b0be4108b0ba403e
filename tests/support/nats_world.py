"""A hub, a factory and two edges as real servers, for the tests of permissions.

Called by the integration tests; makes streams and buckets as the tiers do.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import nats
from nats.aio.client import Client

from shared.bus.nats_conf import (
    Device,
    NatsServer,
    Upstream,
    edge_leaf,
    factory_leaf,
    leaf_url,
    render,
)
from shared.embedded.nats_server import find_nats_server
from shared.embedded.ports import LOOPBACK, Ports, answers
from shared.messages.subjects import Node

E1, E2, BRAIN = Node("f1", "e1"), Node("f1", "e2"), Node("f1", "brain")
SETTLE_S = 0.4
"""Long enough for a message over two loopback hops (measured: 2 ms)."""


@dataclass
class World:
    """The addresses of the running servers."""

    servers: dict[str, NatsServer]

    async def connect(self, name: str, inbox: str = "_INBOX", user: str = "app") -> Client:
        """A connection to one server as its own process."""
        server = self.servers[name]
        return await nats.connect(
            f"nats://{LOOPBACK}:{server.client_port}", user=user,
            password=server.app_password if user == "app" else "drv", inbox_prefix=inbox.encode(),
            allow_reconnect=False, error_cb=ignore,
        )  # fmt: skip


async def ignore(_: Exception) -> None:
    """Permission violations arrive here; the tests look at the victim instead."""


def _servers(folder: Path) -> dict[str, NatsServer]:
    take = Ports().take

    def server(name: str, **more: object) -> NatsServer:
        return replace(
            NatsServer(name, name, str(folder / name), take(), take(), "app-" + name, "sys"), **more
        )

    f1 = factory_leaf("f1", "leaf-f1")
    hub = server("cloud", leaf_port=take(), leaves=(f1,))
    e1, e2 = edge_leaf("f1", "e1", "leaf-e1"), edge_leaf("f1", "e2", "leaf-e2")
    up = Upstream(leaf_url(f1, LOOPBACK, hub.leaf_port or 0))
    factory = server("f1", leaf_port=take(), leaves=(e1, e2), upstream=up)
    devices = (Device("line1", "dev-line1"), Device("line2", "dev-line2"))
    edges = {
        f"f1-{leaf.user}": server(
            f"f1-{leaf.user}", mqtt_port=take(), devices=devices, driver_password="drv",
            upstream=Upstream(leaf_url(leaf, LOOPBACK, factory.leaf_port or 0)),
        )
        for leaf in (e1, e2)
    }  # fmt: skip
    return {"cloud": hub, "f1": factory, **edges}


@contextmanager
def running_world(folder: Path) -> Iterator[World]:
    """All servers up, leaves joined, streams and buckets made."""
    servers = _servers(folder)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for name, server in servers.items():
            path = folder / f"{name}.conf"
            path.write_text(render(server))
            with (folder / f"{name}.log").open("wb") as log:
                running.append(
                    subprocess.Popen(
                        [str(find_nats_server()), "-c", str(path)], stdout=log, stderr=log
                    )
                )
        for server in servers.values():
            until(lambda port=server.client_port: answers(port))
        made = World(servers)
        asyncio.run(_furnish(made))
        yield made
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def until(holds: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


async def _furnish(world: World) -> None:
    """Streams as the tiers make them, a directive per edge, and every link proved alive."""
    hub, factory = await world.connect("cloud"), await world.connect("f1")
    await hub.jetstream().add_stream(name="EVENTS", subjects=["andon.*.*.outcome.*"])
    js = factory.jetstream()
    await js.add_stream(name="EVENTS", subjects=["andon.f1.*.alarm.*"])
    await js.add_stream(name="SAMPLES", subjects=["andon.f1.*.sample.*"])
    for node in (E1, E2):
        bucket = await js.create_key_value(bucket=node.directive_bucket, direct=True)
        await bucket.put("current", f"directive of {node.name}".encode())
    for lower, node in (("f1-e1", E1), ("f1-e2", E2), ("f1", BRAIN)):
        client = await world.connect(lower, node.inbox)
        await _eventually(lambda c=client, n=node: c.jetstream().publish(n.lane("live"), b"first"))
        await client.close()
    await hub.close()
    await factory.close()


async def _eventually(attempt: Callable[[], Awaitable[object]], within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while True:
            try:
                await attempt()
            except (nats.errors.Error, TimeoutError):
                await asyncio.sleep(0.1)
            else:
                return


async def state_of(client: Client) -> dict[str, object]:
    """Every stream of an upper tier: last sequence, count, consumers, settings."""
    js = client.jetstream()
    found: dict[str, object] = {}
    for info in await js.streams_info():
        name = info.config.name or ""
        consumers = [c.name for c in await js.consumers_info(name)]
        state = info.state
        found[name] = (state.messages, state.first_seq, state.last_seq, consumers, info.created)
    return found


class Overheard:
    """What a victim receives while an attack goes on."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []

    async def listen(self, client: Client, *subjects: str) -> None:
        """Note everything on `subjects`."""

        async def note(message: nats.aio.msg.Msg) -> None:
            self.messages.append((message.subject, message.data))

        for subject in subjects:
            await client.subscribe(subject, cb=note)
        await client.flush()
        await asyncio.sleep(SETTLE_S)
