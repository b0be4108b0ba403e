"""A child's end of its pipes to the engine, and its death with the engine.

Called by the driver child and the page child; knows nothing of what the frames say.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
from dataclasses import dataclass

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Pipes:
    """The two ends."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


def child_env() -> dict[str, str]:
    """The environment of a child of this process, for `die_with_parent`."""
    return {**os.environ, "ANDON_PARENT_IS_INIT": "1" if os.getpid() == 1 else "0"}


def die_with_parent() -> None:
    """Be killed when the engine dies, also when it dies without closing its pipes (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1 and os.environ.get("ANDON_PARENT_IS_INIT") != "1":
            raise SystemExit(0)  # the parent died before the call


async def open_pipes() -> Pipes:
    """Frames on standard input and output; a stray print goes to standard error instead."""
    loop = asyncio.get_running_loop()
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), out
    )
    return Pipes(reader, asyncio.StreamWriter(transport, protocol, None, loop))


def ignore_interrupt(stop: asyncio.Event) -> None:
    """Ctrl-C reaches the whole terminal group: the engine decides; SIGTERM ends this process."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, stop.set)


def give_back_memory() -> None:
    """Return what importing a big library used only once (tens of MB for a generated protocol).

    What is left is what stays: the collector need not look at it again, which would hold up the
    live loop for tens of milliseconds now and then.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
        if trim is not None:
            trim(0)
