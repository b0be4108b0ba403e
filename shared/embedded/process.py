"""One supervised child process: start, readiness, restart with backoff, stop, log file.

Called by `andon up` for every engine and tier; never knows what a child does.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from shared.clock import Clock, SystemClock
from shared.errors import AndonError
from shared.telemetry import logger

log = logger("embedded")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
LOG_LIMIT = 8 * 1024 * 1024
"""Bytes after which a log file becomes `<name>.log.1`."""
Probe = Callable[[], Awaitable[bool]]
Prepare = Callable[[], Awaitable[None]]
OnChange = Callable[["Child", str], None]


class ChildFailedError(AndonError):
    """A child process could not be brought up: says which, and the end of its log."""


async def no_preparation() -> None:
    """What a child needs before each start when it needs nothing."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to run one child."""

    name: str
    argv: tuple[str, ...]
    log_path: Path
    probe: Probe
    env: Mapping[str, str] = field(default_factory=dict)
    identity: tuple[int, int] | None = None
    """Unprivileged (uid, gid) to run as; None keeps ours."""
    cwd: Path | None = None
    prepare: Prepare = no_preparation
    ready_timeout_s: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 6.0
    hold: Path | None = None
    """While this file exists a dead child stays down (drills: "with the brain stopped")."""
    death_signal: signal.Signals = signal.SIGKILL
    """Sent by the kernel when the supervisor dies, even by SIGKILL."""


def _before_exec(death_signal: int, parent: int) -> Callable[[], None]:
    def run() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
            if os.getppid() != parent:  # the supervisor died before the call above
                os._exit(1)

    return run


def log_tail(path: Path, lines: int = 8) -> str:
    """The last lines of a log file, for an error message."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def rotate(path: Path, limit: int = LOG_LIMIT) -> bool:
    """Move a log that grew past `limit` to `.1` by copying; the child appends on undisturbed."""
    try:
        if path.stat().st_size <= limit:
            return False
        shutil.copyfile(path, path.with_name(path.name + ".1"))
        os.truncate(path, 0)
    except OSError as error:
        log.warning("log_rotation_failed", file=str(path), error=str(error))
        return False
    return True


class Child:
    """A child process that is restarted until it is stopped."""

    def __init__(
        self,
        spec: ChildSpec,
        *,
        clock: Clock | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        self.spec = spec
        self.restarts = 0
        self._clock = clock or SystemClock()
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The running process, if any."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start and wait until ready; raises ChildFailedError. From then on it is kept running."""
        await self._launch()
        try:
            await self._until_ready()
        except BaseException:
            await self._end()
            raise
        self._keeper = asyncio.create_task(self._keep(), name=f"keep-{self.spec.name}")

    async def stop(self) -> None:
        """Stop for good: the stop signal, then SIGKILL to its whole group."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        await self._end()

    async def _launch(self) -> None:
        spec = self.spec
        await spec.prepare()
        spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        who = {}
        if spec.identity is not None:
            who = {
                "user": spec.identity[0],
                "group": spec.identity[1],
                "extra_groups": [],
            }
        output = os.open(spec.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # A session of its own: Ctrl-C reaches the supervisor alone, which stops in order.
            self._process = await asyncio.create_subprocess_exec(
                *spec.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **spec.env},
                cwd=spec.cwd or "/",
                start_new_session=True,
                preexec_fn=_before_exec(spec.death_signal, os.getpid()),
                **who,
            )
        except OSError as error:
            raise ChildFailedError(f"{spec.name}: cannot run {spec.argv[0]}: {error}") from error
        finally:
            os.close(output)

    async def _until_ready(self) -> None:
        spec, process = self.spec, self._process
        assert process is not None
        deadline = self._clock.mono_ms() + int(spec.ready_timeout_s * 1000)
        pause = 0.03
        while not await spec.probe():
            if process.returncode is not None:
                raise ChildFailedError(self._why(f"ended with code {process.returncode}"))
            if self._clock.mono_ms() > deadline:
                raise ChildFailedError(
                    self._why(f"is not ready after {spec.ready_timeout_s:.0f} s")
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        if process.returncode is not None:
            raise ChildFailedError(self._why(f"ended with code {process.returncode}"))

    def _why(self, what: str) -> str:
        return f"{self.spec.name} {what}; end of {self.spec.log_path}:\n" + log_tail(
            self.spec.log_path
        )

    async def _keep(self) -> None:
        delay = 0.5
        while True:
            process = self._process
            assert process is not None
            began = self._clock.mono_ms()
            code = await process.wait()
            self._sweep(process.pid)
            self._changed(f"exited:{code}")
            if self._clock.mono_ms() - began > 60_000:
                delay = 0.5
            log.error("child_exited", child=self.spec.name, code=code, restart_in_s=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 15.0)
            await self._while_held()
            self.restarts += 1
            try:
                await self._launch()
                await self._until_ready()
            except AndonError as error:
                log.error("child_restart_failed", child=self.spec.name, error=str(error))
                await self._end()
            else:
                self._changed("restarted")

    async def _while_held(self) -> None:
        hold = self.spec.hold
        while hold is not None and await asyncio.to_thread(hold.exists):  # noqa: ASYNC110 a file
            await asyncio.sleep(0.3)

    def _changed(self, what: str) -> None:
        if self._on_change is not None:
            self._on_change(self, what)

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(self.spec.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), self.spec.stop_timeout_s)
            except TimeoutError:
                log.error("child_killed", child=self.spec.name)
                self._kill_offspring(process.pid)
        self._sweep(process.pid)
        await process.wait()

    @staticmethod
    def _kill_offspring(pid: int) -> None:
        """PostgreSQL's workers have sessions of their own: the group's end is not theirs."""
        with suppress(psutil.Error):
            for each in psutil.Process(pid).children(recursive=True):
                with suppress(psutil.Error):
                    each.kill()

    @staticmethod
    def _sweep(pid: int) -> None:
        """Kill what is left of the child's process group (its own children)."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


async def rotate_logs(children: list[Child], every_s: float = 30.0) -> None:
    """Keep every child's log under its limit, for ever."""
    while True:
        await asyncio.sleep(every_s)
        for child in children:
            rotate(child.spec.log_path)
