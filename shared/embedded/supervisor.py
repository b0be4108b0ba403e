"""Runs a plan: engines, databases, tiers; writes `run/up.json`; stops in reverse order.

Called by `andon up`; never decides what runs (see `plan.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from shared.bus.nats_conf import NatsServer, render
from shared.clock import Clock
from shared.embedded.databases import ensure_databases
from shared.embedded.files import explain, make_folder, write_private
from shared.embedded.nats_server import nats_spec
from shared.embedded.plan import Plan, Tier
from shared.embedded.ports import answering
from shared.embedded.postgres import PostgresPlan, postgres_spec
from shared.embedded.process import Child, ChildSpec, rotate_logs
from shared.errors import ConfigError

Report = Callable[[str, int], None]
"""Called with (process, milliseconds it took) as each one becomes ready."""
Command = Callable[[Tier, Path], Sequence[str]]


def andon_command(tier: Tier, config: Path) -> Sequence[str]:
    """How a tier is run: this very interpreter, so that no PATH decides."""
    return (sys.executable, "-m", "shared.cli.main", *tier.verb, "--config", str(config))


class StateLock:
    """Only one system runs on a state folder; the kernel frees the lock when its holder dies."""

    def __init__(self, state: Path) -> None:
        self._path = make_folder(state / "run") / "up.lock"
        self._file: TextIO | None = None

    def take(self) -> None:
        """Raise ConfigError, naming the process, when another holds it."""
        try:
            file = self._path.open("a+")
        except OSError as error:
            raise explain(error, self._path) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            pid = file.read().strip() or "?"
            file.close()
            raise ConfigError(
                f"andon up already runs on this state folder, as process {pid}",
                where=str(self._path.parent.parent),
                mend=f"use it, stop it (kill {pid}), or give another folder with --state",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let the next one in."""
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(frozen=True, slots=True)
class Options:
    """How a plan is run."""

    state: Path
    profile: str = "demo"
    postgres_password: str = ""
    command: Command = andon_command
    env: Mapping[str, str] | None = None


class Supervisor:
    """A running plan."""

    def __init__(self, plan: Plan, options: Options, clock: Clock, report: Report) -> None:
        self.children: list[Child] = []
        self._plan, self._options, self._clock, self._report = plan, options, clock, report
        self._started = clock.now_ms()
        self._rotation: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bring everything up in order; on a failure what has started is stopped again."""
        try:
            # Servers need nothing of each other to start: a leaf keeps trying.
            servers = [self._add(self._nats(server)) for server in self._plan.nats]
            if self._plan.postgres_port is not None:
                servers.append(self._add(await asyncio.to_thread(self._postgres)))
            await self._together(servers)
            if self._plan.postgres_port is not None:
                await ensure_databases(
                    self._plan.postgres_port,
                    self._options.postgres_password,
                    self._plan.databases,
                )
            for edges in (False, True):  # edges last: they find all that they look for
                wave = [t for t in self._plan.tiers if t.name.startswith("edge-") is edges]
                await self._together([self._add(self._tier(tier)) for tier in wave])
        except BaseException:
            await self.stop()
            raise
        self._rotation = asyncio.create_task(rotate_logs(self.children))

    async def stop(self) -> None:
        """Stop tiers (newest first), then servers, each group at once; forget `run/up.json`."""
        if self._rotation is not None:
            self._rotation.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._rotation
        # Two steps of at most five seconds, then the servers: about twenty at most.
        for prefixes in (("sim", "edge-"), ("brain-", "cloud")):
            await self._stop([c for c in self.children if c.spec.name.startswith(prefixes)])
        await self._stop(self.children)
        self.children.clear()
        self._up_file.unlink(missing_ok=True)

    @staticmethod
    async def _stop(children: list[Child]) -> None:
        await asyncio.gather(*(child.stop() for child in reversed(children)))

    @property
    def _up_file(self) -> Path:
        return self._options.state / "run" / "up.json"

    def write_up_file(self) -> None:
        """Tell `andon doctor`, `drill` and `bench` where everything is."""
        document = {
            "pid": os.getpid(),
            "started": self._started,
            **self._plan.addresses,
            "processes": {c.spec.name: c.pid for c in self.children if c.pid is not None},
        }
        write_private(self._up_file, json.dumps(document, indent=1))

    def _changed(self, child: Child, what: str) -> None:
        if what == "restarted":
            self.write_up_file()

    def _add(self, spec: ChildSpec) -> Child:
        spec = replace(spec, hold=self._options.state / "run" / "hold" / spec.name)
        child = Child(spec, clock=self._clock, on_change=self._changed)
        self.children.append(child)
        return child

    async def _together(self, children: list[Child]) -> None:
        async def start(child: Child) -> None:
            began = self._clock.mono_ms()
            await child.start()
            self._report(child.spec.name, self._clock.mono_ms() - began)

        tasks = [asyncio.create_task(start(child)) for child in children]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    # what each child is

    def _log(self, name: str) -> Path:
        return make_folder(self._options.state / "logs") / f"{name}.log"

    def _nats(self, server: NatsServer) -> ChildSpec:
        name = f"nats-{server.name}"
        ports = [server.client_port, server.leaf_port, server.mqtt_port]
        folder = make_folder(self._options.state / "nats" / server.name, 0o700)
        taken = tuple(port for port in ports if port is not None)
        return nats_spec(name, render(server), folder, taken, self._log(name))

    def _postgres(self) -> ChildSpec:
        state = self._options.state
        return postgres_spec(
            PostgresPlan(
                data=state / "postgres",
                cache=state / "cache",
                port=self._plan.postgres_port or 0,
                password=self._options.postgres_password,
                log_path=self._log("postgres"),
                profile=self._options.profile,
            )
        )

    def _tier(self, tier: Tier) -> ChildSpec:
        path = self._options.state / "config" / f"{tier.name}.yaml"
        # JSON is YAML, and holds passwords in database addresses: private.
        write_private(path, json.dumps(tier.config, indent=1, ensure_ascii=False) + "\n")
        if folder := tier.config.get("state_dir"):
            make_folder(Path(folder), 0o700)
        return ChildSpec(
            name=tier.name,
            argv=tuple(self._options.command(tier, path)),
            log_path=self._log(tier.name),
            probe=answering(tier.port),
            env={"PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2", **(self._options.env or {})},
            ready_timeout_s=60.0,
            stop_timeout_s=5.0,
        )
