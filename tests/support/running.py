"""The whole system as a user runs it: `andon up` in a process of its own, driven from outside."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

T = TypeVar("T")
START_S = 120


def until(condition: Callable[[], T | None], seconds: float, what: str, every: float = 0.1) -> T:
    """Poll with a deadline; returns the first truthy answer, else fails saying what was awaited."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(every)


class RunningSystem:
    """A started system with its addresses, its plants and its people."""

    def __init__(self, folder: Path) -> None:
        self.state = folder
        self._log = folder.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self.up: dict[str, Any] = {}
        self.admin_password = ""
        self._clients: dict[str, httpx.Client] = {}
        self._serial = 0

    # life

    def start(self) -> None:
        """Start `andon up` and wait until every tier answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "shared.cli.main", "up", "--state", str(self.state)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd="/",
            )  # fmt: skip
        file = self.state / "run" / "up.json"

        def ready() -> dict[str, Any] | None:
            assert self._process is not None
            if self._process.poll() is not None:
                raise AssertionError(f"andon up ended:\n{self._log.read_text()[-3000:]}")
            return json.loads(file.read_text()) if file.exists() else None

        self.up = until(ready, START_S, "andon up", 0.2)
        self.admin_password = (self.state / "secrets" / "admin-password").read_text().strip()
        self.forget_logins()

    def stop(self) -> None:
        """Stop as Ctrl-C does; nothing may be left running."""
        if self._process is None:
            return
        mine = [psutil.Process(self._process.pid)]
        mine += mine[0].children(recursive=True)
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError("andon up did not stop within 30 s") from None
        finally:
            self.forget_logins()
        # A killed process may take a moment to be gone on a loaded machine.
        _, slow = psutil.wait_procs(mine[1:], timeout=3)
        left = [p for p in slow if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        assert not left, f"processes left behind: {left}"
        self._process = None

    def remove(self) -> None:
        """Delete the state (unless ANDON_KEEP is set: to look at its logs)."""
        if os.environ.get("ANDON_KEEP"):
            return
        shutil.rmtree(self.state, ignore_errors=True)
        self._log.unlink(missing_ok=True)

    def refresh(self) -> None:
        """Read the process ids again (a supervised process has been restarted)."""
        with contextlib.suppress(OSError, ValueError):
            self.up = json.loads((self.state / "run" / "up.json").read_text())

    def pid(self, name: str) -> int:
        """Process id of one supervised process."""
        self.refresh()
        return self.up["processes"][name]

    def kill(self, name: str) -> None:
        """SIGKILL one process; the supervisor will start it again."""
        os.kill(self.pid(name), signal.SIGKILL)

    def hold(self, name: str) -> None:
        """Kill a process and keep it down until `release`."""
        folder = self.state / "run" / "hold"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
        self.kill(name)

    def release(self, name: str) -> None:
        """Let a held process start again."""
        (self.state / "run" / "hold" / name).unlink(missing_ok=True)

    # addresses

    def brain_url(self, site: str) -> str:
        """A factory's console."""
        return self.up["console"][site]

    @property
    def cloud_url(self) -> str:
        """The group's console."""
        return self.up["cloud"]

    # people

    def client(self, place: str) -> httpx.Client:
        """A logged-in client of a site's brain, or of `cloud`."""
        if place not in self._clients:
            url = self.cloud_url if place == "cloud" else self.brain_url(place)
            client = httpx.Client(base_url=url, timeout=10)
            body = {"username": "admin", "password": self.admin_password}
            until(lambda: client.post("/api/session", json=body).status_code == 204, 15, "login")
            self._clients[place] = client
        return self._clients[place]

    def forget_logins(self) -> None:
        """Close all clients: a tier has been restarted."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def get(self, place: str, path: str) -> Any:
        """A GET that must succeed."""
        answer = self.client(place).get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, place: str, path: str, body: Any) -> httpx.Response:
        """A POST with an idempotency key of its own."""
        self._serial += 1
        key = f"test-{os.getpid()}-{time.monotonic_ns()}-{self._serial}"
        return self.client(place).post(path, json=body, headers={"Idempotency-Key": key})

    def alarm(self, site: str, alarm: str) -> dict[str, Any] | None:
        """The row of one alarm, if it is in the live list."""
        try:
            rows = self.get(site, "/api/alarms")["rows"]
        except httpx.TransportError:
            return None
        return next((row for row in rows if row["alarm"] == alarm), None)

    def wait_alarm(
        self, site: str, alarm: str, state: str | None, timeout: float = 60
    ) -> dict[str, Any]:
        """Wait until an alarm's row is in `state` (None: until it has left the list)."""
        if state is None:
            until(lambda: self.alarm(site, alarm) is None, timeout, f"{alarm} gone")
            return {}

        def found() -> dict[str, Any] | None:
            row = self.alarm(site, alarm)
            return row if row and row["state"] == state else None

        return until(found, timeout, f"{alarm} {state}")

    def acknowledge(self, site: str, alarm: str) -> dict[str, Any]:
        """Acknowledge the shown row."""
        row = self.alarm(site, alarm)
        assert row is not None, f"{alarm} is not in the list"
        item = {k: row[k] for k in ("alarm", "occurrence", "version")}
        answer = self.post(site, "/api/alarms/ack", {"items": [item]})
        assert answer.status_code == 200, answer.text
        return answer.json()["results"][0]

    # plants

    def fault(self, plant: str, fault: str, on: bool = True, **args: Any) -> None:
        """Switch a fault of a simulated plant."""
        body = {"plant": plant, "fault": fault, "on": on, "args": args}
        answer = httpx.post(self.up["simulators"] + "/faults", json=body, timeout=10)
        assert answer.status_code < 300, answer.text

    def plants(self) -> dict[str, Any]:
        """All internal values, faults and writes of the plants."""
        return httpx.get(self.up["simulators"] + "/state", timeout=10).json()

    def webhooks(self) -> list[dict[str, Any]]:
        """Webhooks that the linked system received and verified."""
        return httpx.get(self.up["simulators"] + "/hooks", timeout=10).json()["received"]

    def reset_plants(self) -> None:
        """All plants back to normal."""
        httpx.post(self.up["simulators"] + "/reset", timeout=10)

    def writes(self, plant: str) -> list[dict[str, Any]]:
        """Actuator writes that the devices of one plant received over the wire."""
        return [w for w in self.plants()["writes"] if w["plant"] == plant]


def new_state_folder() -> Path:
    """A folder that PostgreSQL's unprivileged user can reach when we are root."""
    base = "/var/tmp" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="andon-test-", dir=base))
    folder.chmod(0o755)
    return folder
