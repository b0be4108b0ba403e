"""The engine's end of its child processes: start, watch, talk, restart with backoff.

Used for drivers and the local page. A child that hangs or dies costs its own tags and nothing else;
nothing here ever waits on a child without a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from edge_node.adapters.child_pipes import child_env
from edge_node.application.ipc import (
    Configure,
    DriverState,
    FromChild,
    Stop,
    ToChild,
    Write,
    WriteResult,
    pack,
    read_from_child,
)
from edge_node.domain.operations import PlannedWrite
from shared.errors import AndonError
from shared.telemetry import logger

log = logger("children")
FIRST_DELAY_S, MAX_DELAY_S = 0.25, 10.0
STEADY_S = 30.0
STOP_S = 2.0
MAX_UNSENT = 1 << 20
"""Bytes that may wait in a child's pipe; more means that it does not read."""
WRITE_GRACE_S = 2.5
READER_LIMIT = 1 << 20


class Child:
    """One supervised process that speaks `ipc` frames."""

    def __init__(
        self, name: str, command: Sequence[str], first: Callable[[], ToChild | None],
        on_message: Callable[[FromChild], None], on_down: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.name, self._command, self._first = name, list(command), first
        self._on_message, self._on_down = on_message, on_down
        self._process: asyncio.subprocess.Process | None = None
        self.starts = 0
        self.then: Callable[[], ToChild | None] = lambda: None
        """What follows the first message at every start."""

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    def send(self, message: ToChild) -> bool:
        """Hand a message to the pipe; False when the child is not there or does not read."""
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing():
            return False
        if process.stdin.transport.get_write_buffer_size() > MAX_UNSENT:
            return False
        process.stdin.write(pack(message))
        return True

    async def run(self) -> None:
        """Start it for ever."""
        loop = asyncio.get_running_loop()
        delay = FIRST_DELAY_S
        while True:
            began = loop.time()
            why = await self._once()
            log.warning("child_ended", child=self.name, why=why, restart_in_s=delay)
            self._on_down(why)
            if loop.time() - began > STEADY_S:
                delay = FIRST_DELAY_S
            await asyncio.sleep(delay)
            delay = min(delay * 2, MAX_DELAY_S)

    async def _once(self) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=READER_LIMIT,
                env=child_env(),
            )
        except OSError as error:
            return f"cannot start {self._command[0]}: {error.strerror}"
        self._process, self.starts = process, self.starts + 1
        try:
            if (first := self._first()) is not None:
                self.send(first)
            if (second := self.then()) is not None:
                self.send(second)
            return await self._listen(process)
        finally:
            await self._end(process)

    async def _listen(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        try:
            while (message := await read_from_child(process.stdout)) is not None:
                self._on_message(message)
                # A child that floods must not keep the other tasks from their turn.
                await asyncio.sleep(0)
        except (AndonError, ValueError, OSError) as error:
            return f"spoke nonsense: {error}"
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_S)
        return f"exit code {process.returncode}"

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        self._process = None
        if process.returncode is None:
            with suppress(ProcessLookupError, OSError):
                if process.stdin is not None and not process.stdin.is_closing():
                    process.stdin.write(pack(Stop()))
                    process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except (TimeoutError, asyncio.CancelledError):
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def kill(self) -> None:
        """End a child that hangs; `run` starts it again."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()


class Drivers:
    """The driver children, by source; `actuation.Devices` for the engine."""

    def __init__(self) -> None:
        self.children: dict[str, Child] = {}
        self.states: dict[str, DriverState] = {}
        self.on_state: Callable[[str, DriverState], None] = lambda source, state: None
        self._configures: dict[str, Configure] = {}
        self._waiting: dict[str, asyncio.Future[WriteResult]] = {}
        self._of_source: dict[str, set[str]] = {}

    def add(
        self, source: str, command: Sequence[str], configure: Configure,
        on_samples: Callable[[str, FromChild], None],
    ) -> Child:  # fmt: skip
        """Prepare the child of one source."""

        def on_message(message: FromChild) -> None:
            if isinstance(message, WriteResult):
                self._settle(message)
            elif isinstance(message, DriverState):
                self._show(source, message)
            else:
                on_samples(source, message)

        child = Child(
            f"driver:{source}", [*command, "--source", source], lambda: self._configures[source],
            on_message, lambda why: self._down(source, why),
        )  # fmt: skip
        self.configure(source, configure)
        self.children[source] = child
        self.states[source] = DriverState(state="connecting")
        return child

    def configure(self, source: str, configure: Configure) -> None:
        """What the source's child is told at its next start; the one at work goes on."""
        self._configures[source] = configure

    def forget(self, source: str) -> None:
        """The source has another child from now on, or none; its writes have no answer."""
        self.children.pop(source, None)
        self.states.pop(source, None)
        for order in list(self._of_source.get(source, ())):
            self._settle(WriteResult(id=order, outcome="unknown", detail="the site has changed"))

    def tell(self, source: str, message: ToChild) -> bool:
        """Hand a message to a source's child; False when it is not there or does not read."""
        child = self.children.get(source)
        return child is not None and child.send(message)

    def _show(self, source: str, state: DriverState) -> None:
        self.states[source] = state
        self.on_state(source, state)

    def _down(self, source: str, why: str) -> None:
        last, detail = self.states.get(source), f"driver process: {why}"
        if last is not None and last.state == "failed" and not last.detail.startswith(detail):
            detail = f"{detail}; before that: {last.detail}"[:500]  # why it ended itself
        self._show(source, DriverState(state="failed", detail=detail))
        for order in list(self._of_source.get(source, ())):
            self._settle(WriteResult(id=order, outcome="unknown", detail="driver ended"))

    def _settle(self, result: WriteResult) -> None:
        waiting = self._waiting.get(result.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(result)

    async def write(self, source: str, order: str, planned: PlannedWrite, ms: int) -> WriteResult:
        """Write once through the source's child, bounded in time."""
        child = self.children.get(source)
        message = Write(id=order, address=planned.address, value=planned.value, timeout_ms=ms)
        if order in self._waiting:
            return WriteResult(id=order, outcome="failed", detail="this order is under way")
        if child is None or not child.send(message):
            return WriteResult(id=order, outcome="failed", detail="driver not running; not sent")
        future: asyncio.Future[WriteResult] = asyncio.get_running_loop().create_future()
        self._waiting[order] = future
        self._of_source.setdefault(source, set()).add(order)
        try:
            return await asyncio.wait_for(future, 2 * ms / 1000 + WRITE_GRACE_S)
        except TimeoutError:
            return WriteResult(id=order, outcome="unknown", detail="driver did not answer")
        finally:
            del self._waiting[order]
            self._of_source[source].discard(order)
