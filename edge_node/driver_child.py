"""`python -m edge_node.driver_child`: one source of the edge in a process of its own.

Started and supervised by the engine, which speaks to it in `ipc` frames; a hung device library
hangs this process, never the engine. Decides nothing about alarms; never repeats a write.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from contextlib import suppress

import msgspec

from edge_node.adapters.child_pipes import (
    Pipes,
    die_with_parent,
    give_back_memory,
    ignore_interrupt,
    open_pipes,
)
from edge_node.adapters.sources.batch import Batcher
from edge_node.adapters.sources.port import Computed, Driver, Source
from edge_node.adapters.sources.registry import build
from edge_node.application.ipc import Configure, Inputs, Stop, Write, WriteResult, read_to_child
from shared.clock import Clock, SystemClock
from shared.errors import AndonError, ContractError
from shared.telemetry import logger, setup_logs

log = logger("driver")
CONFIGURE_S = 10.0
CONNECT_S = 12.0
CLOSE_S = 2.0
FIRST_DELAY_S, MAX_DELAY_S = 0.25, 2.0
MAX_PENDING_WRITES = 64


async def close(driver: Driver) -> None:
    """Let go of the device within two seconds, whatever it does."""
    try:
        await asyncio.wait_for(driver.close(), CLOSE_S)
    except Exception as error:  # the connection is broken anyway; the next one is a new one
        log.debug("close_failed", error=repr(error))


async def drive(driver: Driver, source: Source, batcher: Batcher, clock: Clock) -> None:
    """The child's supervised loop: connect, run, and again, with the fault shown to the engine."""
    delay = FIRST_DELAY_S
    while True:
        began = clock.mono_ms()
        try:
            async with asyncio.timeout(CONNECT_S):
                await driver.connect()
            await driver.run()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # any fault of a device or its library: shown, then tried again
            detail = str(error) if isinstance(error, AndonError) else explain(source, error)
            batcher.state("failed", detail)
            log.warning("source_failed", source=source.id, detail=detail, error=repr(error))
        finally:
            await close(driver)
        if clock.mono_ms() - began > 10_000:
            delay = FIRST_DELAY_S
        await asyncio.sleep(delay)
        delay = min(delay * 2, MAX_DELAY_S)


def explain(source: Source, error: Exception) -> str:
    """A device library's fault in words: what, where, how to mend it."""
    what = "no answer in time" if isinstance(error, TimeoutError) else str(error) or repr(error)
    return (
        f"{source.driver} source {source.id} at {source.url}: {what}\n"
        "  mend: check that the device is on and that this machine reaches its address and port"
    )


class Writes:
    """Writes in progress: one at a time, in order, each within its own time."""

    def __init__(self, driver: Driver, batcher: Batcher) -> None:
        self._driver, self._batcher = driver, batcher
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, order: Write) -> None:
        """Start a write; its answer goes out through the batcher."""
        if len(self._tasks) >= MAX_PENDING_WRITES:
            detail = f"{MAX_PENDING_WRITES} writes are waiting already"
            self._batcher.result(WriteResult(id=order.id, outcome="failed", detail=detail))
            return
        task = asyncio.create_task(self._write(order))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, order: Write) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + order.timeout_ms / 1000
        try:
            async with asyncio.timeout_at(until):
                await self._turn.acquire()
        except TimeoutError:
            detail = "not sent: an earlier write to this device has not ended"
            self._batcher.result(WriteResult(id=order.id, outcome="failed", detail=detail))
            return
        try:
            left_ms = max(1, int((until - loop.time()) * 1000))
            result = await self._driver.write(msgspec.structs.replace(order, timeout_ms=left_ms))
        except Exception as error:  # a library's own fault: what reached the device is not known
            log.exception("write_failed", id=order.id)
            result = WriteResult(id=order.id, outcome="unknown", detail=repr(error))
        finally:
            self._turn.release()
        self._batcher.result(result)


async def listen(pipes: Pipes, driver: Driver, writes: Writes) -> None:
    """Take orders, and samples for a computed source, until the engine says stop or goes away."""
    while True:
        message = await read_to_child(pipes.reader)
        match message:
            case None | Stop():
                return
            case Write():
                writes.begin(message)
            case Inputs() if isinstance(driver, Computed):
                driver.feed(message)
            case _:
                raise ContractError(f"a driver does not understand {type(message).__name__}")


async def cannot_run(pipes: Pipes, batcher: Batcher, why: str) -> None:
    """Say why for as long as the engine wants it: a restart would change nothing."""
    log.error("source_cannot_run", why=why)
    batcher.state("failed", why)
    flushing = asyncio.create_task(batcher.run())
    try:
        while True:
            match await read_to_child(pipes.reader):
                case None | Stop():
                    return
                case Write(id=order):
                    detail = f"not sent: {why}"
                    batcher.result(WriteResult(id=order, outcome="failed", detail=detail))
    finally:
        flushing.cancel()


async def main() -> None:
    """Configure, then drive and listen until the engine ends it."""
    stop = asyncio.Event()
    ignore_interrupt(stop)
    pipes = await open_pipes()
    first = await asyncio.wait_for(read_to_child(pipes.reader), CONFIGURE_S)
    if first is None:
        return
    if not isinstance(first, Configure):
        raise ContractError(f"the first frame must be configure, not {type(first).__name__}")
    clock = SystemClock()
    batcher = Batcher(pipes.writer)
    try:
        source, driver = build(first, batcher, clock)
    except AndonError as error:
        await cannot_run(pipes, batcher, str(error))
        return
    batcher.state("connecting", source.url)
    flushing = asyncio.create_task(batcher.run())
    give_back_memory()
    driving = asyncio.create_task(drive(driver, source, batcher, clock))
    listening = asyncio.create_task(listen(pipes, driver, Writes(driver, batcher)))
    stopping = asyncio.create_task(stop.wait())
    tasks = {flushing, driving, listening, stopping}
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.wait(rest, timeout=CLOSE_S + 1)
    with suppress(OSError):  # the engine has gone: that is an ordinary end
        for task in done:
            task.result()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="edge_node.driver_child")
    parser.add_argument("--source", default="", help="shown in the process list only")
    parser.parse_args()
    die_with_parent()
    setup_logs(stream=sys.stderr)
    for library in ("asyncua", "pymodbus"):
        # They log a trace for every second of a cut; the driver says it once, as a state.
        logging.getLogger(library).setLevel(logging.CRITICAL)
    asyncio.run(main())
