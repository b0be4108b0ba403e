"""`andon bench e2e`: latencies and the resume rate of a whole running system, on real servers.

Starts `andon up` on a site of its own in a temporary folder and measures at the wires.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from shared.errors import AndonError
from simulators.bench_device import BenchDevice
from simulators.bench_site import ACTING, EDGE, SITE, SOURCE, write_site

Say = Callable[[str], None]
START_S, STOP_S, WAIT_S = 120.0, 30.0, 20.0
PACE_S = 0.05


class BenchFailed(AndonError):
    """The system did not do what is measured."""


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p99 and the largest of `values` (ms)."""
    ordered = sorted(values)
    if not ordered:
        raise BenchFailed("nothing was measured")

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

    return {"n": len(ordered), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0)}


class System:
    """The system under measurement."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.up: dict[str, Any] = json.loads((state / "run" / "up.json").read_text())
        self.http = httpx.Client(base_url=self.up["console"][SITE], timeout=10)
        password = (state / "secrets" / "admin-password").read_text().strip()
        body = {"username": "admin", "password": password}
        self.http.post("/api/session", json=body).raise_for_status()

    def committed(self) -> int:
        """Events of the edge that the brain's database holds."""
        rows = self.http.get("/api/watermarks").json()["watermarks"]
        mine = [r for r in rows if r["source"] == f"{SITE}.{EDGE}" and r["lane"] != "history"]
        return sum(r["seq"] for r in mine)

    def produced(self) -> tuple[int, int]:
        """(produced, buffered) events of the edge, without samples."""
        lanes = self.http.get("/api/fleet").json()["edges"][0]["lanes"]
        counts = [c for lane, c in lanes.items() if lane != "history"]
        return sum(c["produced"] for c in counts), sum(c["buffered"] for c in counts)

    def hold(self, name: str) -> None:
        """Kill a process and keep it down."""
        folder = self.state / "run" / "hold"
        folder.mkdir(exist_ok=True)
        (folder / name).touch()
        pid = json.loads((self.state / "run" / "up.json").read_text())["processes"][name]
        os.kill(pid, signal.SIGKILL)

    def release(self, name: str) -> None:
        """Let it start again."""
        (self.state / "run" / "hold" / name).unlink(missing_ok=True)


@contextlib.contextmanager
def running(say: Say) -> Iterator[tuple[System, BenchDevice]]:
    """A started system and its measuring device; everything is removed afterwards."""
    base = "/var/tmp" if hasattr(os, "geteuid") and os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="andon-bench-", dir=base) as name:
        folder = Path(name)
        folder.chmod(0o755)
        site, state = write_site(folder), folder / "state"
        say("启动真实系统 / starting the real system …")
        argv = [sys.executable, "-m", "shared.cli.main", "up", "--state", str(state),
                "--site", str(site), "--no-sim"]  # fmt: skip
        with (folder / "up.log").open("wb") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            wait_until(lambda: (state / "run" / "up.json").exists(), START_S, "andon up", process)
            system = System(state)
            port = system.up["nats"][f"{SITE}-{EDGE}"]["mqtt"]
            device = BenchDevice(port, state / "secrets" / f"nats-{SITE}-{EDGE}-{SOURCE}")
            yield system, device
            device.close()
            system.http.close()
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until(
    ready: Callable[[], Any], seconds: float, what: str, process: Any = None, every: float = 0.1
) -> Any:
    """What `ready` finds, asked until it finds something; raises BenchFailed."""
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            raise BenchFailed(f"{what}: not within {seconds:g} s")
        time.sleep(every)
    return found


class Console:
    """An attended console: notes when each raise is on the wire to the screen."""

    def __init__(self, system: System) -> None:
        self.raised: queue.Queue[tuple[str, float]] = queue.Queue(100_000)
        self._system = system
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.ready = threading.Event()
        self._thread.start()

    def _read(self) -> None:
        seen: set[str] = set()
        with (
            contextlib.suppress(httpx.HTTPError),
            self._system.http.stream("GET", "/api/stream", timeout=30) as stream,
        ):
            for line in stream.iter_lines():
                self.ready.set()
                if not line.startswith('data: {"epoch"'):
                    continue
                arrived = time.monotonic()
                for row in json.loads(line[6:]).get("rows", []):
                    if row["alarm"] == ACTING and row["active"] and row["occurrence"] not in seen:
                        seen.add(row["occurrence"])
                        self.raised.put_nowait((row["occurrence"], arrived))


def latencies(system: System, device: BenchDevice, trials: int, say: Say) -> dict[str, Any]:
    """Sample on the wire -> command on the wire, and -> row on the console's stream."""
    console = Console(system)
    if not console.ready.wait(WAIT_S):
        raise BenchFailed("the console's stream did not open")
    action: list[float] = []
    screen: list[float] = []
    for number in range(trials):
        if number % 50 == 0:
            say(f"延迟 / latency {number}/{trials}")
        began = device.set(act=True)
        try:
            action.append((device.commands.get(timeout=WAIT_S) - began) * 1000)
            screen.append((console.raised.get(timeout=WAIT_S)[1] - began) * 1000)
        except queue.Empty:
            raise BenchFailed(f"trial {number}: no command or no row within {WAIT_S} s") from None
        device.set(act=False)
        time.sleep(PACE_S)
    return {"sample_to_action": percentiles(action), "sample_to_console": percentiles(screen)}


def resume(system: System, device: BenchDevice, changes: int, say: Say) -> dict[str, Any]:
    """Cut the factory's broker and brain, make a backlog, and time its way home."""
    before = system.committed()
    say("断开工厂 / cutting the factory off …")
    for name in (f"brain-{SITE}", f"nats-{SITE}"):
        system.hold(name)
    for number in range(changes):
        device.set(plain=number % 2 == 0)
        if number % 20 == 19:  # a pace that a real plant's storm keeps: some 1,000 a second
            time.sleep(0.02)
    time.sleep(2.0)
    say("恢复 / reconnecting …")
    released = time.monotonic()
    for name in (f"nats-{SITE}", f"brain-{SITE}"):
        system.release(name)

    def answers() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return system.http.get("/api/healthz").status_code == 200
        return False

    wait_until(answers, 60, "the brain is back")
    back = time.monotonic()
    wanted = before + changes
    first = wait_until(lambda: max(0, system.committed() - before), 60, "first event", every=0.02)
    began = time.monotonic()
    wait_until(lambda: system.committed() >= wanted, 120, "the whole backlog", every=0.05)
    ended = time.monotonic()
    time.sleep(2)
    produced, buffered = system.produced()
    span = max(ended - began, 1e-3)
    return {
        "backlog": changes,
        "brain_back_s": round(back - released, 2),
        "caught_up_s": round(ended - released, 2),
        "events_per_s": round((changes - first) / span),
        "lost": max(0, wanted - system.committed()),
        "buffered_after": buffered,
        "produced": produced,
    }


def run(trials: int, backlog: int, say: Say) -> dict[str, Any]:
    """The whole benchmark."""
    with running(say) as (system, device):
        wait_until(
            lambda: any(
                "connected" in e["drivers"].values()
                for e in system.http.get("/api/fleet").json()["edges"]
            ),
            30, "the edge's driver",
        )  # fmt: skip
        device.set()
        time.sleep(1.0)
        result = latencies(system, device, trials, say)
        result["resume"] = resume(system, device, backlog, say)
        return result
