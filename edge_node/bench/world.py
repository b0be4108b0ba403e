"""A real edge for the bench: its engine with its driver children, and a NATS server with MQTT.

Started and ended here by its own handles, in a folder that is thrown away. There is no factory
above it: events stay in the outbox, where the bench counts them.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # pyright: ignore[reportMissingModuleSource]

from edge_node.bench.site import DEVICE, EDGE, SITE, write_site
from shared.bus.nats_conf import Device, NatsServer, render
from shared.embedded.nats_server import find_nats_server
from shared.embedded.ports import LOOPBACK, Ports, answers
from shared.errors import AndonError
from shared.security import generate_key

START_S = 120.0
PREFERRED_NICE = -15
GIVE_UP_S = 8.0
"""A loaded machine may hold a commit up for seconds."""


class BenchFailed(AndonError):
    """The edge did not do what is measured."""


def until(holds: Callable[[], Any], seconds: float, what: str) -> Any:
    """Poll until `holds()`; raises BenchFailed after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise BenchFailed(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)
    return found


@dataclass(frozen=True, slots=True)
class Use:
    """CPU seconds so far, and resident megabytes, of each part of the node."""

    cpu: dict[str, float]
    rss_mb: dict[str, float]

    def since(self, before: Use, seconds: float) -> dict[str, float]:
        """Cores used by each part, and by all of them."""
        cores = {k: round((v - before.cpu.get(k, 0.0)) / seconds, 3) for k, v in self.cpu.items()}
        return cores | {"node": round(sum(cores.values()), 3)}


class Node:
    """The running node."""

    def __init__(self, folder: Path, server: NatsServer, engine: int, nats: int) -> None:
        self.folder, self.server = folder, server
        self._engine, self._nats = psutil.Process(engine), psutil.Process(nats)
        self.password = "dev-bench"

    def ended(self) -> bool:
        """Whether the engine is gone."""
        return not self._engine.is_running() or self._engine.status() == psutil.STATUS_ZOMBIE

    def log(self) -> str:
        """What the engine has logged."""
        return (self.folder / "log").read_text(errors="replace")

    def count(self, kind: str) -> int:
        """Log lines of one event so far."""
        return self.log().count(f'"event": "{kind}"')

    def produced(self) -> int:
        """Events that are durable in the outbox, samples not counted."""
        path = self.folder / "state" / "edge.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            row = db.execute(
                "SELECT coalesce(sum(produced), 0) FROM outbox_lane WHERE lane <> 'history'"
            ).fetchone()
        return int(row[0])

    def use(self) -> Use:
        """CPU and memory of engine, drivers and NATS server now."""
        parts = {"engine": [self._engine], "drivers": self._engine.children(recursive=True)}
        parts["nats_server"] = [self._nats]
        cpu, rss = dict.fromkeys(parts, 0.0), dict.fromkeys(parts, 0.0)
        for name, processes in parts.items():
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    cpu[name] += times.user + times.system
                    rss[name] += process.memory_info().rss / 2**20
        total = {k: round(v, 1) for k, v in rss.items()}
        return Use(cpu, total | {"node": round(sum(rss.values()), 1)})

    @contextlib.contextmanager
    def preferred(self) -> Iterator[bool]:
        """Have the machine run node and bench before other work; False: it is not allowed."""
        children, mine = self._engine.children(recursive=True), psutil.Process()
        before = os.getpriority(os.PRIO_PROCESS, 0)
        try:
            for process in (self._engine, self._nats, *children, mine):
                _set_nice(process, PREFERRED_NICE)
        except PermissionError:
            yield False
            return
        try:
            yield True
        finally:
            _set_nice(mine, before)

    def grown(self, base: int, wanted: int, since: float) -> tuple[int, float]:
        """Wait until so many more events are durable, or none has come for a while.

        How many there are, and how many seconds after `since` the last one came.
        """
        last, made = time.monotonic(), base
        while made - base < wanted and time.monotonic() - last < GIVE_UP_S:
            now = self.produced()
            made, last = (now, time.monotonic()) if now != made else (made, last)
            time.sleep(0.02)
        return made - base, max(1e-3, last - since)

    def settled(self, quiet_s: float = 1.0, within_s: float = 60.0) -> int:
        """Wait until the outbox has not grown for a while; its count then."""
        deadline = time.monotonic() + within_s
        last, since = self.produced(), time.monotonic()
        while time.monotonic() - since < quiet_s:
            if time.monotonic() > deadline:
                raise BenchFailed("the outbox does not come to rest")
            time.sleep(0.1)
            now = self.produced()
            if now != last:
                last, since = now, time.monotonic()
        return last


def _set_nice(process: psutil.Process, nice: int) -> None:
    for thread in process.threads():  # on Linux each has its own
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, thread.id, nice)


def _server(folder: Path) -> NatsServer:
    take = Ports().take
    return NatsServer(
        "bench", "bench-e1", str(folder / "js"), take(), take(), "app-bench", "sys-bench",
        mqtt_port=take(), devices=(Device(DEVICE, "dev-bench"),), driver_password="drv-bench",
    )  # fmt: skip


def _settings(folder: Path, server: NatsServer, env: dict[str, Any]) -> Path:
    for name, secret in (("app", "app-bench"), ("drv", "drv-bench")):
        (folder / name).write_text(secret)
    for name in ("release.pub", "approval.pub"):
        (folder / name).write_bytes(generate_key()[1])
    url = f"nats://{LOOPBACK}:{server.client_port}"
    settings = {
        "site": SITE, "edge": EDGE, "site_dir": str(folder / "site"),
        "state_dir": str(folder / "state"), "nats_url": url, "nats_user": "app",
        "nats_password_file": str(folder / "app"), "release_key_file": str(folder / "release.pub"),
        "approval_key_file": str(folder / "approval.pub"),
        "device_credentials": {
            "plant": {"nats_url": url, "user": "driver", "password_file": str(folder / "drv")},
            "opc": {},
        },
        **env,
    }  # fmt: skip
    path = folder / "edge.yaml"
    path.write_text(json.dumps(settings))
    return path


@contextlib.contextmanager
def running_node(**site: Any) -> Iterator[tuple[Node, float]]:
    """A node with a site of its own, and how many seconds it took to start."""
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name, contextlib.ExitStack() as ends:
        folder = Path(name)
        write_site(folder / "site", **site)
        server = _server(folder)
        (folder / "nats.conf").write_text(render(server))
        config = _settings(folder, server, {})
        nats = _process(ends, [str(find_nats_server()), "-c", str(folder / "nats.conf")],
                        folder / "nats.log")  # fmt: skip
        until(lambda: answers(server.client_port), 20, "the NATS server's port")
        began = time.monotonic()
        command = [sys.executable, "-m", "edge_node", "run", "--config", str(config)]
        engine = _process(ends, command, folder / "log")
        node = Node(folder, server, engine, nats)
        try:
            until(
                lambda: "edge_started" in node.log() or node.ended(), START_S, "the engine's start"
            )
            if node.ended():
                raise BenchFailed("the engine has ended")
        except BenchFailed as error:
            raise BenchFailed(f"{error}\n{node.log()[-2000:]}") from error
        yield node, round(time.monotonic() - began, 2)


def _process(ends: contextlib.ExitStack, command: list[str], log: Path) -> int:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)

    def stop() -> None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)

    ends.callback(stop)
    return process.pid
