"""A driver child that does as the test says: real `ipc` frames, no device.

Started by the engine as `python tests/support/scripted_driver.py --source S`; the test speaks to it
over a Unix socket named in the source's settings. Every write is noted in a file, so that it is
known also after a kill.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_node.adapters.child_pipes import Pipes, die_with_parent, open_pipes
from edge_node.application.ipc import (
    Configure,
    DriverState,
    Samples,
    Stop,
    Texts,
    Write,
    WriteResult,
    pack,
    read_to_child,
)
from shared.clock import SystemClock

REPEAT_S = 0.5


class Scripted:
    """The child's state: last values, how it writes."""

    def __init__(self, pipes: Pipes, first: Configure) -> None:
        self._pipes, self._settings = pipes, first.settings
        self._index = {tag["id"]: i for i, tag in enumerate(first.tags)}
        self._values: dict[str, tuple[float, int]] = {}
        self._clock = SystemClock()
        self._mode = "ok"

    def _send(self, message: Any) -> None:
        self._pipes.writer.write(pack(message))

    def samples(self, rows: list[list[Any]]) -> None:
        """Rows of [tag, value, quality?, milliseconds ago?]."""
        now, n = self._clock.now_ms(), len(rows)
        full = [(t, float(v), int(m[0]) if m else 0, m[1] if len(m) > 1 else 0)
                for t, v, *m in rows]  # fmt: skip
        self._values.update({t: (v, q) for t, v, q, _ in full})
        columns = Samples(
            tags=struct.pack(f"<{n}i", *(self._index[t] for t, *_ in full)),
            times=struct.pack(f"<{n}q", *(now - int(ago) for *_, ago in full)),
            values=struct.pack(f"<{n}d", *(v for _, v, *_ in full)),
            qualities=bytes(q for _, _, q, _ in full),
        )
        self._send(columns)

    async def repeat(self) -> None:
        """Unchanged values stay fresh."""
        self._send(DriverState(state="connected"))
        while True:
            await asyncio.sleep(REPEAT_S)
            if self._values:
                self.samples([[tag, v, q] for tag, (v, q) in self._values.items()])

    async def listen(self) -> None:
        """Orders of the engine."""
        while True:
            message = await read_to_child(self._pipes.reader)
            if message is None or isinstance(message, Stop):
                os._exit(0)
            if isinstance(message, Write):
                self._write(message)

    def _write(self, order: Write) -> None:
        if self._mode == "lose":
            return
        if self._mode == "fail":
            self._send(WriteResult(id=order.id, outcome="failed", detail="as told"))
            return
        with Path(self._settings["writes"]).open("a") as log:
            line = {"id": order.id, "address": order.address, "value": order.value}
            log.write(json.dumps(line) + "\n")
        if self._mode == "silent":
            return
        tag = self._settings.get("echo", {}).get(order.address)
        if tag and self._mode == "ok" and isinstance(order.value, int | float):
            self.samples([[tag, order.value]])
        readback = order.value if not isinstance(order.value, dict) else None
        self._send(WriteResult(id=order.id, outcome="done", readback=readback))

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One JSON line of the test, one of answer."""
        while line := await reader.readline():
            told = json.loads(line)
            if "samples" in told:
                self.samples(told["samples"])
            if "texts" in told:
                rows = [(self._index[t], self._clock.now_ms(), v, 0) for t, v in told["texts"]]
                self._send(Texts(rows=rows))
            if "state" in told:
                self._send(DriverState(state=told["state"], detail="as told"))
            if "mode" in told:
                self._mode = told["mode"]
            if "forget" in told:
                self._values.clear()
            writer.write(b"{}\n")
            await writer.drain()
            await self._pipes.writer.drain()
            if told.get("die"):
                os._exit(1)
            if told.get("hang"):
                time.sleep(3600)  # noqa: ASYNC251 - the whole point


async def main() -> None:
    """Configure, then obey."""
    pipes = await open_pipes()
    first = await read_to_child(pipes.reader)
    assert isinstance(first, Configure)
    scripted = Scripted(pipes, first)
    path = first.settings["control"]
    Path(path).unlink(missing_ok=True)
    await asyncio.start_unix_server(scripted.control, path)
    await asyncio.gather(scripted.listen(), scripted.repeat())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--source")
    parser.parse_args()
    die_with_parent()
    asyncio.run(main())
